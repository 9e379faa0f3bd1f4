//! The pull policy that the API server gives an image.
//!
//! `pkg/util/parsers` reads the image with `distribution/reference`; an image without tag and
//! digest has the tag `latest`, and one that does not parse has none at all. So the grammar is
//! restated here as far as it decides whether an image parses.

/// `Always` for the tag `latest`, else `IfNotPresent`.
pub(super) fn default_pull_policy(image: &str) -> &'static str {
    if tag(image) == Some("latest") { "Always" } else { "IfNotPresent" }
}

/// The tag; `latest` where there is neither tag nor digest, `None` where there is only a digest or
/// the image does not parse.
fn tag(image: &str) -> Option<&str> {
    let (rest, digest) = match image.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (image, None),
    };
    // A colon behind the last slash begins the tag, another one a port.
    let slash = rest.rfind('/').map_or(0, |at| at + 1);
    let (name, tag) = match rest.get(slash..)?.split_once(':') {
        Some((last, tag)) => (rest.get(..slash + last.len())?, Some(tag)),
        None => (rest, None),
    };
    let parses = is_name(name)
        && tag.is_none_or(is_tag)
        && digest.is_none_or(is_digest)
        && !is_identifier(image);
    match (parses, tag, digest) {
        (true, Some(tag), _) => Some(tag),
        (true, None, None) => Some("latest"),
        _ => None,
    }
}

/// An optional registry host, then path components, of 255 bytes at most.
fn is_name(name: &str) -> bool {
    const OFFICIAL: &str = "library/";
    // What stands before the first slash is a host if it looks like one (`splitDockerDomain`).
    let (host, path) = match name.split_once('/') {
        Some((host, path))
            if host.contains(['.', ':']) || host == "localhost" || host.contains(is_upper) =>
        {
            (Some(host), path)
        }
        _ => (None, name),
    };
    let is_docker_hub = host.is_none_or(|host| matches!(host, "docker.io" | "index.docker.io"));
    let prefix = if is_docker_hub && !path.contains('/') { OFFICIAL.len() } else { 0 };
    prefix + path.len() <= 255 && host.is_none_or(is_host) && path.split('/').all(is_component)
}

fn is_upper(c: char) -> bool {
    c.is_ascii_uppercase()
}

fn is_host(host: &str) -> bool {
    if let Some(rest) = host.strip_prefix('[') {
        let Some((address, rest)) = rest.split_once(']') else { return false };
        let good =
            !address.is_empty() && address.chars().all(|c| c.is_ascii_hexdigit() || c == ':');
        return good && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_number));
    }
    let (name, port) = match host.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (host, None),
    };
    port.is_none_or(is_number)
        && name.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Lower-case letters and digits, with `.`, `_`, `__` or dashes between them.
fn is_component(component: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    component.starts_with(alphanumeric)
        && component.ends_with(alphanumeric)
        && component
            .split(alphanumeric)
            .all(|gap| matches!(gap, "" | "." | "_" | "__") || gap.bytes().all(|b| b == b'-'))
}

/// A word character, then up to 127 of word characters, dots and dashes.
fn is_tag(tag: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.len() <= 128
        && tag.starts_with(word)
        && tag.chars().all(|c| word(c) || c == '.' || c == '-')
}

/// `algorithm:hex`, of the length that the algorithm has.
fn is_digest(digest: &str) -> bool {
    let Some((algorithm, hex)) = digest.split_once(':') else { return false };
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return false,
    };
    hex.len() == length && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// 64 hex digits are taken for an image's identifier, which is not a name.
fn is_identifier(image: &str) -> bool {
    image.len() == 64 && image.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}
