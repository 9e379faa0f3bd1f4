//! Kubernetes quantities in one spelling per amount.
//!
//! `1000m` and `1`, `1Gi` and `1024Mi`, `0.5` and `500m` are the same amount, and the API server
//! finds them equal (`resource.Quantity`). The rules are those of `ParseQuantity`: amounts are
//! rounded up (away from zero) to the nano, and binary ones are capped at 2^63-1.

use serde_json::Value;

/// Nano units in the smallest step of a plain quantity.
pub(super) const NANO: i128 = 1;
/// Nano units in the smallest step of a `ResourceList`'s quantity.
pub(super) const MILLI: i128 = 1_000_000;
const UNIT: i128 = 1_000_000_000;
/// The most that a binary spelling stands for.
const MOST_BINARY: i128 = i64::MAX as i128 * UNIT;

/// The one spelling of a quantity, rounded up to `step` nano units; what is none is kept.
pub(super) fn canonical(value: &Value, step: i128) -> Value {
    let nano = match value {
        // Go decodes it to the zero value.
        Value::Null => Some(0),
        Value::String(text) => parse(text),
        // Rust never writes a float with an exponent, so this is its exact decimal spelling.
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => parse(&format!("{float}")),
            _ => parse(&number.to_string()),
        },
        _ => None,
    };
    match nano.and_then(|nano| round_up(nano, step)) {
        Some(nano) => Value::String(spell(nano)),
        None => value.clone(),
    }
}

/// An amount in nano units; `None` where it is not a quantity or does not fit.
fn parse(text: &str) -> Option<i128> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (whole, rest) = text.split_at_checked(digits_end)?;
    let (fraction, suffix) = match rest.strip_prefix('.') {
        Some(rest) => {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            rest.split_at_checked(end)?
        }
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let mantissa: i128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    let (base, exponent) = scale(suffix)?;
    let places = i32::try_from(fraction.len()).ok()?;
    let nano = if base == 2 {
        let nano =
            shift(mantissa.checked_mul(1_i128.checked_shl(exponent.unsigned_abs())?)?, 9 - places)?;
        nano.min(MOST_BINARY)
    } else {
        shift(mantissa, exponent.checked_add(9 - places)?)?
    };
    Some(if negative { -nano } else { nano })
}

/// The base and the exponent of a suffix.
fn scale(suffix: &str) -> Option<(u8, i32)> {
    let known = match suffix {
        "n" => (10, -9),
        "u" => (10, -6),
        "m" => (10, -3),
        "" => (10, 0),
        "k" => (10, 3),
        "M" => (10, 6),
        "G" => (10, 9),
        "T" => (10, 12),
        "P" => (10, 15),
        "E" => (10, 18),
        "Ki" => (2, 10),
        "Mi" => (2, 20),
        "Gi" => (2, 30),
        "Ti" => (2, 40),
        "Pi" => (2, 50),
        "Ei" => (2, 60),
        _ => (10, suffix.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    Some(known)
}

/// `amount * 10^places`, rounded up where digits are lost.
fn shift(amount: i128, places: i32) -> Option<i128> {
    if amount == 0 {
        return Some(0);
    }
    match 10_i128.checked_pow(places.unsigned_abs()) {
        Some(power) if places >= 0 => amount.checked_mul(power),
        Some(power) => Some(amount / power + i128::from(amount % power != 0)),
        None if places >= 0 => None,
        None => Some(1),
    }
}

/// Away from zero to the next multiple of `step`.
fn round_up(nano: i128, step: i128) -> Option<i128> {
    let steps = nano / step + (nano % step).signum();
    steps.checked_mul(step)
}

/// The shortest spelling, decimal before binary; what would be capped is not written as binary.
fn spell(nano: i128) -> String {
    const DECIMAL: [(&str, u32); 10] = [
        ("E", 27),
        ("P", 24),
        ("T", 21),
        ("G", 18),
        ("M", 15),
        ("k", 12),
        ("", 9),
        ("m", 6),
        ("u", 3),
        ("n", 0),
    ];
    const BINARY: [(&str, u32); 6] =
        [("Ei", 60), ("Pi", 50), ("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10)];
    if nano == 0 {
        return "0".to_owned();
    }
    let decimal = DECIMAL
        .iter()
        .map(|(suffix, power)| (suffix, 10_i128.pow(*power)))
        .find(|(_, unit)| nano % unit == 0)
        .map(|(suffix, unit)| format!("{}{suffix}", nano / unit));
    let binary = BINARY
        .iter()
        .map(|(suffix, power)| (suffix, UNIT << power))
        .find(|(_, unit)| nano % unit == 0 && nano.abs() <= MOST_BINARY)
        .map(|(suffix, unit)| format!("{}{suffix}", nano / unit));
    match (decimal, binary) {
        (Some(decimal), Some(binary)) if binary.len() < decimal.len() => binary,
        (Some(decimal), _) => decimal,
        (None, _) => format!("{nano}n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canonical_spelling_is_its_own() {
        for (text, wanted) in [
            ("1024Mi", "1Gi"),
            ("1000m", "1"),
            ("-2048", "-2Ki"),
            // 2^63 and more can be written as decimals only.
            ("9223372036854775808", "9223372036854775808"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("18446744073709551616", "18446744073709551616"),
            ("8Ei", "9223372036854775807"),
            ("-16Ei", "-9223372036854775807"),
            ("10E", "10E"),
        ] {
            let once = canonical(&Value::from(text), NANO);
            assert_eq!(once, wanted, "{text}");
            assert_eq!(canonical(&once, NANO), once, "{text}");
        }
    }
}
