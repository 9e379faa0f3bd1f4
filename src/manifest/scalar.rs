//! What a YAML scalar means, by the rules of kubectl.
//!
//! kubectl and Helm read manifests with sigs.k8s.io/yaml, that is go.yaml.in/yaml/v2: YAML 1.1
//! without its base-60 numbers. `yes` and `on` are booleans, `0644` is octal, dates are strings.
//! This restates `resolve` of that package's resolve.go and the keys of sigs.k8s.io/yaml's
//! `convertToJSONableObject`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::node::{Node, Number};

/// The meaning of a scalar. `tag` is the name after `!!` (`None` without a tag or with a local one
/// such as `!foo`); `plain` says that it is written without quotes and not as a block.
///
/// # Errors
/// When the text is not what its tag says, or not a number that JSON can hold.
pub fn resolve(text: &str, plain: bool, tag: Option<&str>) -> Result<Node, String> {
    let implied = || implied(text);
    match tag {
        None if plain => implied(),
        None | Some("str" | "timestamp") => Ok(Node::String(text.to_owned())),
        Some("binary") => binary(text),
        Some("float") => match implied()? {
            Node::Number(Number::Int(_) | Number::Unsigned(_)) => {
                let value = text.replace('_', "").parse().unwrap_or_default();
                Ok(Node::Number(Number::float(value, text)))
            }
            Node::Number(number) => Ok(Node::Number(number)),
            _ => Err(format!("{text:?} is not a float, as its tag says")),
        },
        Some(tag) => match (tag, implied()?) {
            ("int", node @ Node::Number(Number::Int(_) | Number::Unsigned(_)))
            | ("bool", node @ Node::Bool(_))
            | ("null", node @ Node::Null) => Ok(node),
            ("int" | "bool" | "null", _) => {
                Err(format!("{text:?} is not a {tag}, as its tag says"))
            }
            _ => Ok(Node::String(text.to_owned())),
        },
    }
}

/// The meaning of a plain scalar without a tag.
fn implied(text: &str) -> Result<Node, String> {
    let first = text.bytes().next();
    let node =
        match text {
            "" | "~" | "null" | "Null" | "NULL" => Some(Node::Null),
            "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
                Some(Node::Bool(true))
            }
            "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off"
            | "OFF" => Some(Node::Bool(false)),
            ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF"
            | "-.inf" | "-.Inf" | "-.INF" => {
                return Err(format!("{text} is no number that Kubernetes can store: quote it"));
            }
            _ => match first {
                Some(b'.') => finite(&text.replace('_', ""))
                    .map(|value| Node::Number(Number::float(value, text))),
                Some(b'0'..=b'9' | b'+' | b'-') => number(&text.replace('_', "")).map(Node::Number),
                _ => None,
            },
        };
    Ok(node.unwrap_or_else(|| Node::String(text.to_owned())))
}

/// `strconv.ParseInt(text, 0, 64)`, `ParseUint(text, 0, 64)`, then a float in YAML's style.
fn number(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, text.get(1..)?),
        Some(b'+') => (false, text.get(1..)?),
        _ => (false, text),
    };
    let signed = digits.len() != text.len();
    if let Some(magnitude) = integer(digits) {
        let value = if negative { -i128::from(magnitude) } else { i128::from(magnitude) };
        if let Ok(value) = i64::try_from(value) {
            return Some(Number::Int(value));
        }
        if !signed {
            return Some(Number::Unsigned(magnitude));
        }
    }
    let float = is_float(digits).then(|| finite(text)).flatten()?;
    Some(Number::float(float, text))
}

/// An unsigned integer with Go's prefixes: `0x`, `0o`, `0b`, and `0` for octal.
fn integer(digits: &str) -> Option<u64> {
    let bytes = digits.as_bytes();
    let (radix, digits) = match bytes {
        [b'0', b'x' | b'X', _, ..] => (16, digits.get(2..)?),
        [b'0', b'o' | b'O', _, ..] => (8, digits.get(2..)?),
        [b'0', b'b' | b'B', _, ..] => (2, digits.get(2..)?),
        [b'0', _, ..] => (8, digits.get(1..)?),
        _ => (10, digits),
    };
    // `from_str_radix` would take a sign here, Go does not.
    digits.bytes().all(|byte| byte.is_ascii_alphanumeric()).then_some(())?;
    u64::from_str_radix(digits, radix).ok()
}

/// `(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`, the sign taken off.
fn is_float(digits: &str) -> bool {
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (digits, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent_is_one = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !exponent.is_empty() && all_digits(exponent)
    });
    all_digits(whole)
        && all_digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent_is_one
}

/// A float as Go parses it: out of range is no number.
fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

fn binary(text: &str) -> Result<Node, String> {
    let compact: String = text.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
    let bytes =
        STANDARD.decode(compact).map_err(|_| "a !!binary value is not base64".to_owned())?;
    String::from_utf8(bytes)
        .map(Node::String)
        .map_err(|_| "a !!binary value is not text: use binaryData or data".to_owned())
}

/// The key of a map in JSON.
///
/// # Errors
/// When the key is nothing or no scalar.
pub fn key(node: &Node) -> Result<String, String> {
    match node {
        Node::String(text) => Ok(text.clone()),
        Node::Bool(value) => Ok(value.to_string()),
        Node::Number(Number::Float(value, _)) => Ok(float_key(*value)),
        Node::Number(number) => Ok(number.spelling()),
        Node::Null => Err("a key is empty: write the name of a field before the colon".to_owned()),
        Node::Sequence(_) | Node::Mapping(_) => {
            Err("a list or map is used as a key: Kubernetes knows keys that are text only"
                .to_owned())
        }
    }
}

/// `strconv.FormatFloat(value, 'g', -1, 32)`.
fn float_key(value: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "sigs.k8s.io/yaml formats keys as float32")]
    let value = value as f32;
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        value.to_string()
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{mantissa}e{sign}{:02}", exponent.abs())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn plain(text: &str) -> Value {
        resolve(text, true, None).unwrap().to_value()
    }

    /// Each value is what sigs.k8s.io/yaml 1.6.0 (go.yaml.in/yaml/v2 2.4.4) makes of the text.
    #[test]
    fn plain_scalars_mean_what_kubectl_reads() {
        for (text, value) in [
            ("yes", json!(true)),
            ("on", json!(true)),
            ("y", json!(true)),
            ("Off", json!(false)),
            ("~", json!(null)),
            ("", json!(null)),
            ("yEs", json!("yEs")),
            ("0644", json!(420)),
            ("0o644", json!(420)),
            ("0x1F", json!(31)),
            ("0b11", json!(3)),
            ("-0b11", json!(-3)),
            ("08", json!(8.0)),
            ("1_000", json!(1000)),
            ("+5", json!(5)),
            ("1e3", json!(1000.0)),
            ("1.", json!(1.0)),
            (".5", json!(0.5)),
            ("1e400", json!("1e400")),
            ("1:30", json!("1:30")),
            ("2001-01-01", json!("2001-01-01")),
            ("1.2.3", json!("1.2.3")),
            ("-", json!("-")),
            ("+", json!("+")),
            ("--flag", json!("--flag")),
            ("-+5", json!("-+5")),
            ("0x", json!("0x")),
            ("1Gi", json!("1Gi")),
            ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
            ("-9223372036854775808", json!(i64::MIN)),
            ("18446744073709551616", json!(18_446_744_073_709_551_616.0)),
            ("+18446744073709551615", json!(18_446_744_073_709_551_615.0)),
        ] {
            assert_eq!(plain(text), value, "{text:?}");
        }
    }

    #[test]
    fn a_quoted_or_tagged_string_stays_a_string() {
        for text in ["1", "yes", "", "~", "0644", ".inf"] {
            assert_eq!(resolve(text, false, None).unwrap().to_value(), json!(text));
            assert_eq!(resolve(text, true, Some("str")).unwrap().to_value(), json!(text));
        }
    }

    #[test]
    fn tags_say_what_the_text_must_be() {
        assert_eq!(resolve("3", false, Some("int")).unwrap().to_value(), json!(3));
        assert_eq!(resolve("3", true, Some("float")).unwrap().to_value(), json!(3.0));
        assert_eq!(resolve("aGk=\n", false, Some("binary")).unwrap().to_value(), json!("hi"));
        for (text, tag) in
            [("x", "int"), ("3", "bool"), ("x", "null"), ("x", "float"), ("%", "binary")]
        {
            assert!(resolve(text, true, Some(tag)).is_err(), "{tag} {text}");
        }
    }

    #[test]
    fn what_json_cannot_hold_is_refused() {
        assert!(resolve(".nan", true, None).unwrap_err().contains("quote it"));
        assert!(key(&Node::Null).is_err());
        assert!(key(&Node::Sequence(Vec::new())).is_err());
    }

    #[test]
    fn keys_are_text() {
        for (text, wanted) in
            [("1", "1"), ("0x10", "16"), ("on", "true"), ("1.20", "1.2"), ("1e6", "1e+06")]
        {
            assert_eq!(key(&resolve(text, true, None).unwrap()).unwrap(), wanted);
        }
    }
}
