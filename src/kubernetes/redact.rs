//! Takes path tokens out of texts that others wrote.
//!
//! The API server shows the whole URL of a webhook when a call fails, and the whole path when it
//! refuses a write. Such texts reach logs, Events, clients and the doctor.

/// What stands before a token in a path.
const BEFORE: &str = "/v1/t/";

/// The text with `***` for each path token.
pub fn redact(text: &str) -> String {
    let mut parts = text.split(BEFORE);
    let mut redacted = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_end = |c: char| !c.is_ascii_alphanumeric() && !"-._~%".contains(c);
        let rest = part.find(is_end).map_or("", |end| part.split_at(end).1);
        redacted.push_str(BEFORE);
        redacted.push_str("***");
        redacted.push_str(rest);
    }
    redacted
}

#[cfg(test)]
mod tests {
    use super::redact;

    #[test]
    fn tokens_are_taken_out_wherever_they_stand() {
        let token = "0123456789abcdef0123456789abcdef01234567";
        for (text, expected) in [
            ("nothing /v1/policies/x", "nothing /v1/policies/x".to_owned()),
            (
                "Post \"https://r.r.svc:443/v1/t/TOKEN/policies/replace?timeout=10s\": EOF",
                "Post \"https://r.r.svc:443/v1/t/***/policies/replace?timeout=10s\": EOF"
                    .to_owned(),
            ),
            ("\"/v1/t/TOKEN\" and /v1/t/TOKEN", "\"/v1/t/***\" and /v1/t/***".to_owned()),
            ("/v1/t//v1/t/TOKEN/", "/v1/t/***/v1/t/***/".to_owned()),
        ] {
            assert_eq!(redact(&text.replace("TOKEN", token)), expected);
        }
    }
}
