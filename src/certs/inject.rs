//! caBundle and path of each entry in the webhook configuration.
//!
//! The entry `<policy>.rejob.dev` gets the published CAs and `/v1/t/<token>/policies/<policy>`;
//! entries of other names and all other fields are left alone. The patch is a strategic merge patch
//! and not a server-side apply: the entries belong to whoever installed them, and an applier's claim
//! on a field of an entry would keep the entry alive when its owner removes it.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::bundle::{Anchor, Fingerprint, anchors};
use super::state::Tokens;

/// The suffix of the entries' names; what comes before it is the policy.
const ENTRY_SUFFIX: &str = ".rejob.dev";

/// The length of a token: 20 random bytes in hex. API servers accept lower-case letters, digits, `-`
/// and `.` only in a segment of `clientConfig.service.path` (`ValidateWebhookService` of
/// k8s.io/apiserver).
const TOKEN_LENGTH: usize = 40;

/// The webhook configuration as far as it matters here.
#[derive(Clone, Debug, Default)]
pub struct Published {
    /// The entries of ours, in order.
    pub entries: Vec<Entry>,
}

/// An entry `<policy>.rejob.dev`.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The entry's name.
    pub name: String,
    /// The policy it is for.
    pub policy: String,
    /// `clientConfig.caBundle`, PEM.
    pub ca_bundle: Vec<u8>,
    /// The CA certificates in it.
    pub anchors: Vec<Anchor>,
    /// Where it points to.
    pub target: Target,
}

/// Where an entry points to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `clientConfig.service`.
    Service {
        /// The DNS name API servers verify.
        host: String,
        /// `clientConfig.service.path`.
        path: Option<String>,
    },
    /// `clientConfig.url`.
    Url(String),
}

impl Entry {
    /// An entry, or `None` when it is not one of ours.
    #[must_use]
    pub fn new(name: &str, ca_bundle: Vec<u8>, target: Target) -> Option<Self> {
        let policy = name.strip_suffix(ENTRY_SUFFIX)?;
        if policy.is_empty() || policy.contains(['/', '.']) {
            return None;
        }
        let anchors = anchors(&ca_bundle);
        let (name, policy) = (name.to_owned(), policy.to_owned());
        Some(Self { name, policy, ca_bundle, anchors, target })
    }

    /// The name that API servers verify the certificate against.
    #[must_use]
    pub fn host(&self) -> Option<String> {
        match &self.target {
            Target::Service { host, .. } => Some(host.clone()),
            Target::Url(url) => {
                let uri: http::Uri = url.parse().ok()?;
                let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
                match host.parse::<IpAddr>() {
                    Ok(address) => Some(address.to_string()),
                    Err(_) => Some(host.to_ascii_lowercase()).filter(|host| is_dns_name(host)),
                }
            }
        }
    }

    /// The token in its path.
    fn token(&self) -> Option<&str> {
        let path = match &self.target {
            Target::Service { path, .. } => path.as_deref()?,
            Target::Url(url) => url,
        };
        let (before, policy) = path.rsplit_once("/policies/")?;
        let (_, token) = before.rsplit_once("/v1/t/")?;
        (policy == self.policy && !token.contains('/')).then_some(token)
    }

    /// The `clientConfig` fields that make it point to `token`.
    fn client_config(&self, token: &str) -> Value {
        let path = format!("/v1/t/{token}/policies/{}", self.policy);
        match &self.target {
            Target::Service { .. } => json!({ "service": { "path": path } }),
            Target::Url(url) => json!({ "url": format!("{}{path}", url_base(url)) }),
        }
    }
}

impl Published {
    /// The patch that makes the entries carry `bundle` and the current token; `None` when they do.
    ///
    /// The next token in a path is left there: it means that a newer Secret was published than the
    /// one that was read.
    #[must_use]
    pub fn patch(&self, bundle: &str, tokens: &Tokens) -> Option<Value> {
        let mut webhooks = Vec::new();
        for entry in &self.entries {
            let good_path =
                entry.token().is_some_and(|token| token == tokens.current || token == tokens.next);
            let good_bundle = entry.ca_bundle == bundle.as_bytes();
            if good_path && good_bundle {
                continue;
            }
            let mut config =
                if good_path { json!({}) } else { entry.client_config(&tokens.current) };
            if let (false, Value::Object(config)) = (good_bundle, &mut config) {
                config.insert("caBundle".to_owned(), Value::String(base64(bundle)));
            }
            webhooks.push(json!({ "name": entry.name, "clientConfig": config }));
        }
        (!webhooks.is_empty()).then(|| json!({ "webhooks": webhooks }))
    }

    /// Whether any entry's caBundle carries the CA.
    #[must_use]
    pub fn mentions(&self, ca: Fingerprint) -> bool {
        self.entries.iter().any(|entry| entry.carries(ca))
    }

    /// The CAs that every entry's caBundle carries.
    pub fn trusted_by_all(&self) -> impl Iterator<Item = Fingerprint> {
        let first = self.entries.first().into_iter().flat_map(|entry| &entry.anchors);
        first
            .map(|anchor| anchor.fingerprint)
            .filter(|ca| self.entries.iter().all(|entry| entry.carries(*ca)))
    }

    /// The first token in an entry's path that is of the server's making.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.entries.iter().filter_map(Entry::token).find(|token| is_token(token))
    }
    /// The names that the certificate must carry for the entries to be called, each once; hosts
    /// that no certificate can name are left out.
    #[must_use]
    pub fn hosts(&self) -> Vec<String> {
        let mut hosts: Vec<String> = self.entries.iter().filter_map(Entry::host).collect();
        hosts.sort();
        hosts.dedup();
        hosts
    }
}

impl Entry {
    fn carries(&self, ca: Fingerprint) -> bool {
        self.anchors.iter().any(|anchor| anchor.fingerprint == ca)
    }
}

/// A URL without the path that the server appends to it.
fn url_base(url: &str) -> &str {
    let base = match url.rsplit_once("/policies/") {
        Some((before, policy)) if !policy.contains('/') => match before.rsplit_once("/v1") {
            Some((base, "")) => base,
            Some((base, rest)) if rest.strip_prefix("/t/").is_some_and(is_segment) => base,
            _ => url,
        },
        _ => url,
    };
    base.trim_end_matches('/')
}

fn is_dns_name(host: &str) -> bool {
    !host.is_empty()
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

/// Whether a text has the form of the server's own tokens; others are not adopted from a
/// configuration or a Secret, because they could be guessed.
pub(super) fn is_token(text: &str) -> bool {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == TOKEN_LENGTH && text.bytes().all(hex)
}

fn is_segment(text: &str) -> bool {
    !text.is_empty() && !text.contains('/')
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}
