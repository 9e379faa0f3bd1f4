//! caBundle and path of each entry in the webhook configuration.
//!
//! The entry `<policy>.rejob.dev` gets the published CAs and `/v1/t/<token>/policies/<policy>`;
//! entries of other names and all other fields are left alone. The patch is a strategic merge patch
//! and not a server-side apply: the entries belong to the tool that installed them, and an applier's claim
//! on a field of an entry would keep the entry alive when its owner removes it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use rustls_pki_types::ServerName;
use serde_json::{Value, json};

use super::bundle::{Anchor, Fingerprint, anchors};
use super::token::{Tokens, is_token};
use crate::kubernetes::webhook::{Entry, ReviewPath, entries};

/// The webhook configuration, with the CA certificates that its entries carry.
#[derive(Clone, Default)]
pub struct WebhookConfiguration {
    object: MutatingWebhookConfiguration,
    /// Of each of our entries, in order.
    anchors: Vec<Vec<Anchor>>,
}

impl WebhookConfiguration {
    /// Reads the bundles of our entries.
    pub fn new(object: MutatingWebhookConfiguration) -> Self {
        let bundle = |entry: Entry<'_>| anchors(entry.ca_bundle().unwrap_or_default());
        let anchors = entries(&object).map(bundle).collect();
        Self { object, anchors }
    }

    /// Our entries, in order.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        entries(&self.object)
    }

    /// The CA certificates of each of our entries, in the same order.
    pub fn anchors(&self) -> &[Vec<Anchor>] {
        &self.anchors
    }

    /// The patch that makes the entries carry the current token and, where there is one, `bundle`;
    /// `None` when they do.
    ///
    /// The next token in a path is left there: it was published from a newer Secret than the one
    /// that was read, and takes over if this one is the newest now.
    pub fn patch(&self, bundle: Option<&str>, tokens: &Tokens) -> Option<Value> {
        let mut webhooks = Vec::new();
        for entry in self.entries() {
            let accepted = |token: &str| token == tokens.current || token == tokens.next;
            let good_path = token(entry).is_some_and(accepted);
            let new_bundle = bundle.filter(|new| entry.ca_bundle() != Some(new.as_bytes()));
            if good_path && new_bundle.is_none() {
                continue;
            }
            let mut config = if good_path { json!({}) } else { call(entry, &tokens.current) };
            if let (Some(bundle), Value::Object(config)) = (new_bundle, &mut config) {
                config.insert("caBundle".to_owned(), Value::String(STANDARD.encode(bundle)));
            }
            webhooks.push(json!({ "name": entry.webhook.name, "clientConfig": config }));
        }
        (!webhooks.is_empty()).then(|| json!({ "webhooks": webhooks }))
    }

    /// Whether any entry's caBundle carries the CA.
    pub fn mentions(&self, ca: Fingerprint) -> bool {
        self.anchors.iter().any(|bundle| carries(bundle, ca))
    }

    /// The CAs that every entry's caBundle carries.
    pub fn trusted_by_all(&self) -> impl Iterator<Item = Fingerprint> {
        let first = self.anchors.first().into_iter().flatten();
        first
            .map(|anchor| anchor.fingerprint)
            .filter(|ca| self.anchors.iter().all(|bundle| carries(bundle, *ca)))
    }

    /// The first token in an entry's path that is of the server's making.
    pub fn token(&self) -> Option<&str> {
        self.entries().filter_map(token).find(|token| is_token(token))
    }

    /// Whether every entry's path carries that token.
    pub fn all_carry(&self, wanted: &str) -> bool {
        let mut tokens = self.entries().map(token).peekable();
        tokens.peek().is_some() && tokens.all(|token| token == Some(wanted))
    }

    /// Whether any entry's path carries that token.
    pub fn any_carries(&self, wanted: &str) -> bool {
        self.entries().any(|entry| token(entry) == Some(wanted))
    }

    /// The names that the certificate must carry for the entries to be called, each once; hosts
    /// that no certificate can name are left out.
    pub fn hosts(&self) -> Vec<String> {
        let hosts = self.entries().filter_map(|entry| Some(entry.target()?.host));
        let nameable = |host: &String| ServerName::try_from(host.as_str()).is_ok();
        let mut hosts: Vec<String> = hosts.filter(nameable).collect();
        hosts.sort();
        hosts.dedup();
        hosts
    }
}

fn carries(bundle: &[Anchor], ca: Fingerprint) -> bool {
    bundle.iter().any(|anchor| anchor.fingerprint == ca)
}

/// The token in an entry's path, if the path is that of its policy.
fn token(entry: Entry<'_>) -> Option<&str> {
    entry.path().filter(|path| path.policy == entry.policy)?.token
}

/// The `clientConfig` fields that make an entry call with that token.
fn call(entry: Entry<'_>, token: &str) -> Value {
    let path = ReviewPath { base: entry.base(), token: Some(token), policy: entry.policy };
    match entry.webhook.client_config.service {
        Some(_) => json!({ "service": { "path": path.to_string() } }),
        None => json!({ "url": path.to_string() }),
    }
}
