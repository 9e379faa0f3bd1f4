//! The headers by which a request is made in another user's name (constrained impersonation,
//! KEP-5284). A user who cannot be named exactly is not named at all: whoever else answered the
//! checks might have other rights.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::client::escape;
use crate::review::UserInfo;

/// May do everything, and nobody may act in its name.
const SUPERUSERS: &str = "system:masters";

/// The headers for that user; none where rejob may act in its own name: a user in `system:masters`
/// has every right. For a service account it is the name alone; the API server derives the rest.
///
/// # Errors
/// When the user cannot be named in headers: a sentence without its end.
pub(super) fn headers(user: &UserInfo) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    if user.groups.iter().any(|group| group == SUPERUSERS) {
        return Ok(headers);
    }
    headers.append("impersonate-user", value(&user.username)?);
    if is_service_account(&user.username) {
        return Ok(headers);
    }
    if !user.uid.is_empty() {
        headers.append("impersonate-uid", value(&user.uid)?);
    }
    for group in &user.groups {
        headers.append("impersonate-group", value(group)?);
    }
    for (key, values) in &user.extra {
        let name = format!("impersonate-extra-{}", escape(key, is_safe));
        let name = HeaderName::try_from(name).map_err(|_| unfit(key))?;
        for text in values {
            headers.append(&name, value(text)?);
        }
    }
    Ok(headers)
}

fn is_service_account(name: &str) -> bool {
    let parts = name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
    parts.is_some_and(|(_, name)| !name.contains(':'))
}

/// A header's value; blanks at its ends would be lost on the way.
fn value(text: &str) -> Result<HeaderValue, String> {
    let exact = !text.is_empty() && !text.starts_with([' ', '\t']) && !text.ends_with([' ', '\t']);
    exact
        .then(|| HeaderValue::from_bytes(text.as_bytes()).ok())
        .flatten()
        .ok_or_else(|| unfit(text))
}

fn unfit(text: &str) -> String {
    format!("{text:?} of that user cannot be sent in a header")
}

/// What stands in a key as it is, as client-go escapes it (`headerKeyEscape`); capitals do not, which the
/// API server would read as small letters: it then says that it takes no such key.
fn is_safe(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(user: &UserInfo) -> Result<Vec<String>, String> {
        let text = |value: &HeaderValue| String::from_utf8(value.as_bytes().to_vec()).unwrap();
        let headers = headers(user)?;
        Ok(headers.iter().map(|(name, value)| format!("{name}: {}", text(value))).collect())
    }

    fn user(name: &str) -> UserInfo {
        UserInfo { username: name.into(), ..UserInfo::default() }
    }

    #[test]
    fn a_user_is_named_with_uid_groups_and_extra() {
        let extra = |key: &str, values: &[&str]| {
            (key.to_owned(), values.iter().map(|&value| value.to_owned()).collect())
        };
        let ada = UserInfo {
            uid: "7".into(),
            groups: vec!["dev & ops".into(), "größe".into()],
            extra: [
                extra("authentication.kubernetes.io/credential-id", &["X509SHA256=ab", "b c"]),
                extra("example.com/50%:Größe", &["1"]),
            ]
            .into(),
            ..user("ada:lovelace@example.com/ü \"x\"")
        };
        let expected = [
            "impersonate-user: ada:lovelace@example.com/ü \"x\"",
            "impersonate-uid: 7",
            "impersonate-group: dev & ops",
            "impersonate-group: größe",
            "impersonate-extra-authentication.kubernetes.io%2fcredential-id: X509SHA256=ab",
            "impersonate-extra-authentication.kubernetes.io%2fcredential-id: b c",
            "impersonate-extra-example.com%2f50%25%3a%47r%c3%b6%c3%9fe: 1",
        ];
        assert_eq!(lines(&ada).unwrap(), expected);
    }

    #[test]
    fn a_service_account_is_named_by_its_name_alone() {
        let name = "system:serviceaccount:team:deployer";
        let account = UserInfo {
            uid: "7".into(),
            groups: vec!["system:serviceaccounts".into()],
            extra: [("authentication.kubernetes.io/pod-name".to_owned(), vec!["p".to_owned()])]
                .into(),
            ..user(name)
        };
        assert_eq!(lines(&account).unwrap(), [format!("impersonate-user: {name}")]);
    }

    #[test]
    fn nobody_acts_in_the_name_of_a_superuser() {
        let admin = UserInfo { groups: vec!["a".into(), SUPERUSERS.into()], ..user("admin") };
        assert_eq!(lines(&admin).unwrap(), [""; 0]);
    }

    #[test]
    fn who_cannot_be_named_exactly_is_not_named() {
        let with = |group: &str| UserInfo { groups: vec![group.into()], ..user("ada") };
        for odd in [user(""), user(" ada"), user("ada\t"), user("a\nb"), with("dev "), with("")] {
            let error = lines(&odd).unwrap_err();
            assert!(error.ends_with("of that user cannot be sent in a header"), "{error}");
        }
    }
}
