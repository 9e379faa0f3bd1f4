//! What Kubernetes takes for a name (k8s.io/apimachinery/pkg/util/validation).

/// The longest DNS-1123 subdomain.
pub const MAX_SUBDOMAIN: usize = 253;

/// Whether the text is a DNS-1123 label, as the name of a namespace is (`IsDNS1123Label`).
pub fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_part(text)
}

/// Whether the text is a DNS-1123 subdomain, as the names of most objects are
/// (`IsDNS1123Subdomain`).
pub fn is_subdomain(text: &str) -> bool {
    text.len() <= MAX_SUBDOMAIN && text.split('.').all(is_part)
}

/// Whether the text is what stands between two dots; its length is not looked at, as there.
fn is_part(text: &str) -> bool {
    let edge = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.bytes().next().is_some_and(edge)
        && text.bytes().last().is_some_and(edge)
        && text.bytes().all(|byte| edge(byte) || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_kubernetes_takes() {
        for name in ["a", "0", "a-b.c1", &"x".repeat(253)] {
            assert!(is_subdomain(name), "{name}");
        }
        for name in ["", "A", "a_b", "-a", "a-", "a..b", ".a", "a.", "a b", "é", &"x".repeat(254)]
        {
            assert!(!is_subdomain(name), "{name}");
        }
        for name in ["rejob-system", "0", &"x".repeat(63)] {
            assert!(is_label(name), "{name}");
        }
        for name in ["", "a/b", "..", "A", "a?b", "a.b", "-a", "a-", &"x".repeat(64)] {
            assert!(!is_label(name), "{name}");
        }
    }
}
