//! What the self-managed way does next: pure, from the time and what was seen.
//!
//! Every replica runs this against the same Secret and the same webhook configuration; each answer
//! is one write that only succeeds if nobody else wrote in between. The rules keep one invariant:
//! *a leaf that is served verifies against the caBundle that is published.* A new CA is therefore
//! published before it issues, and a former one stays until the last leaf it issued has expired.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::bundle::{Anchor, Fingerprint};
use super::configuration::WebhookConfiguration;
use super::pair::{CLOCK_LEEWAY, Validity};
use super::pem::CertError;
use super::state::{Ca, CertSecret, Retired, SecretState};
use super::token::{PublishedSince, TokenSource, Tokens};

/// At most this many former CAs are kept, so that a caBundle cannot grow without end.
const MOST_RETIRED: usize = 16;

/// How long things live and how long they are waited for.
#[derive(Clone, Debug)]
pub struct Lifetimes {
    /// A leaf's life.
    pub cert: Duration,
    /// A CA's life.
    pub ca: Duration,
    /// Renewal is due when this part of a life has passed: numerator and denominator.
    pub renew: (u32, u32),
    /// How often a replica looks.
    pub interval: Duration,
    /// How long a CA is seen published before it is relied on, and a token kept before it is
    /// published: longer than every replica and every API server needs to notice.
    pub propagation: Duration,
    /// How far the clocks of replicas may differ.
    pub skew: Duration,
    /// How long a path token is the current one.
    pub token: Duration,
    /// How long the previous token is still accepted after the current one was seen published.
    pub grace: Duration,
}

/// How long a path token is the current one.
const TOKEN_LIFE: Duration = Duration::from_hours(1);

impl Lifetimes {
    /// The pace that fits the lifetimes: a look every 10 seconds and a minute for propagation, less if the
    /// lifetimes are hours or less.
    pub fn new(cert: Duration, ca: Duration) -> Self {
        let interval = (cert / 60).min(Duration::from_secs(10));
        let skew = (cert / 10).min(CLOCK_LEEWAY);
        let propagation = interval * 6;
        let (token, grace) = (TOKEN_LIFE, propagation * 5);
        Self { cert, ca, renew: (2, 3), interval, propagation, skew, token, grace }
    }

    /// Tokens for a Secret without any. One that is published gives way as soon as all replicas know
    /// the others.
    ///
    /// # Errors
    /// When a token cannot be made.
    pub fn first_tokens(
        &self,
        now: Timestamp,
        published: Option<&WebhookConfiguration>,
        random: &mut impl TokenSource,
    ) -> Result<Tokens, CertError> {
        let published = published.and_then(WebhookConfiguration::token);
        let life = if published.is_some() { self.propagation * 2 } else { self.token };
        Tokens::make(published, now + life, random)
    }

    /// Whether the next token takes over. `token_for`: for how long the current one was seen in
    /// every entry.
    pub fn token_due(
        &self,
        now: Timestamp,
        tokens: &Tokens,
        published: &WebhookConfiguration,
        token_for: Duration,
    ) -> bool {
        // A time too far ahead was written by a clock that was wrong.
        let over = now >= tokens.rotate_at || tokens.rotate_at > now + self.token + self.skew;
        // A next token that is published already stems from a newer Secret: from one that is there,
        // and then the write is refused, or from one that somebody replaced by an older copy.
        (over && token_for >= self.propagation) || published.any_carries(&tokens.next)
    }

    /// Whether the previous token is still accepted. `token_for`: for how long the current one was
    /// seen in every entry. That begins anew at a restart, so the wall clock counts too where the
    /// replica found the current one there when it started.
    pub fn previous_accepted(
        &self,
        now: Timestamp,
        tokens: &Tokens,
        token_for: Duration,
        since: &PublishedSince,
    ) -> bool {
        // It ends at `rotate_at - token + grace + skew`; what a Secret says may overflow.
        let over = tokens.rotate_at < now + self.token - self.grace - self.skew;
        token_for < self.grace && !(since.found() && over)
    }

    /// When to renew a certificate.
    pub fn due(&self, validity: Validity) -> Timestamp {
        let life = Duration::try_from(validity.not_after.duration_since(validity.not_before));
        let (numerator, denominator) = self.renew;
        validity.not_before + life.unwrap_or_default() / denominator.max(1) * numerator
    }
}

/// What a replica knows when it decides.
#[derive(Clone, Copy)]
pub struct Situation<'a> {
    /// The wall clock.
    pub now: Timestamp,
    /// The lives.
    pub lives: &'a Lifetimes,
    /// The names the leaf must carry.
    pub names: &'a [String],
    /// The Secret; `None` when there is none.
    pub secret: Option<&'a CertSecret>,
    /// The webhook configuration; `None` when there is none.
    pub published: Option<&'a WebhookConfiguration>,
    /// For how long this replica has seen each CA in every entry of the configuration.
    pub published_for: &'a BTreeMap<Fingerprint, Duration>,
    /// For how long this replica has seen the current token in every entry.
    pub token_for: Duration,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Write the Secret.
    Write(SecretChange),
    /// Write caBundle and paths into the webhook configuration.
    Publish,
    /// Nothing until the next look.
    Wait(Waiting),
}

/// A change of the Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretChange {
    /// There is none: make everything.
    Create,
    /// The CA cannot be used: make another, and a leaf; keep what else is good.
    ReplaceCa(String),
    /// The tokens and former CAs cannot be read: write them anew.
    RepairState(String),
    /// Issue another leaf.
    RenewLeaf(String),
    /// CAs that somebody published and replicas may still serve under: keep them for a while.
    Adopt(Vec<Anchor>),
    /// Make the next CA, to be published.
    StageCa,
    /// The next CA is trusted everywhere: let it issue.
    PromoteCa,
    /// Let the next token take over.
    RotateToken,
    /// Former CAs whose last leaf has expired are to leave the caBundle.
    Drop(Vec<Fingerprint>),
    /// Former CAs that have left it.
    Forget(Vec<Fingerprint>),
}

/// Why there is nothing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// All is well.
    Settled,
    /// There is no webhook configuration, or it has no entry of ours.
    NoConfiguration,
    /// The CA begins in the future: this machine's clock is behind; it must not touch anything.
    ClockBehind,
}

/// The next action, the first rule that applies.
pub fn next(situation: Situation<'_>) -> Action {
    let now = situation.now;
    let Some(secret) = situation.secret else { return Action::Write(SecretChange::Create) };
    let ca = match &secret.ca {
        Err(problem) => return Action::Write(SecretChange::ReplaceCa(problem.clone())),
        Ok(ca) if ca.anchor.expired(now) => {
            let problem = format!("ca.crt expired at {}", ca.validity().not_after);
            return Action::Write(SecretChange::ReplaceCa(problem));
        }
        Ok(ca) if ca.validity().not_before > now + CLOCK_LEEWAY => {
            return Action::Wait(Waiting::ClockBehind);
        }
        Ok(ca) => ca,
    };
    let state = match &secret.state {
        Err(problem) => return Action::Write(SecretChange::RepairState(problem.clone())),
        Ok(state) => state,
    };
    if let Some(reason) = renewal(situation, ca, secret) {
        return Action::Write(SecretChange::RenewLeaf(reason));
    }
    let Some(published) =
        situation.published.filter(|published| published.entries().next().is_some())
    else {
        return Action::Wait(Waiting::NoConfiguration);
    };
    let unknown = unknown_anchors(situation, secret, state, published);
    if !unknown.is_empty() {
        return Action::Write(SecretChange::Adopt(unknown));
    }
    if published.patch(Some(&secret.bundle()), &state.tokens).is_some() {
        return Action::Publish;
    }
    rotation(situation, ca, secret, state, published)
        .map_or(Action::Wait(Waiting::Settled), Action::Write)
}

/// Why the leaf must be issued again.
fn renewal(situation: Situation<'_>, ca: &Ca, secret: &CertSecret) -> Option<String> {
    let leaf = match &secret.leaf {
        Err(problem) => return Some(problem.clone()),
        Ok(leaf) => leaf,
    };
    if let Some(name) = situation.names.iter().find(|name| !leaf.pair.names.contains(name)) {
        return Some(format!("it lacks the name {name}"));
    }
    // One that ends with its CA cannot be replaced by a longer one.
    let validity = leaf.pair.validity;
    let renewable = validity.not_after < ca.validity().not_after;
    (renewable && situation.now >= situation.lives.due(validity))
        .then(|| "two thirds of its life have passed".to_owned())
}

/// CAs in the caBundle that the Secret does not know. Another Secret's, from before somebody
/// deleted it; or a newer Secret's than was read, and then the write fails and it is read again.
fn unknown_anchors(
    situation: Situation<'_>,
    secret: &CertSecret,
    state: &SecretState,
    published: &WebhookConfiguration,
) -> Vec<Anchor> {
    let known: Vec<Fingerprint> = secret.known().collect();
    let mut unknown: Vec<Anchor> = Vec::new();
    for anchor in published.anchors().iter().flatten() {
        let new = unknown.iter().all(|other| other.fingerprint != anchor.fingerprint);
        if new && !known.contains(&anchor.fingerprint) && !anchor.expired(situation.now) {
            unknown.push(anchor.clone());
        }
    }
    unknown.truncate(MOST_RETIRED.saturating_sub(state.retired.len()));
    unknown
}

/// What the passing of time asks for, once everything is published.
fn rotation(
    situation: Situation<'_>,
    ca: &Ca,
    secret: &CertSecret,
    state: &SecretState,
    published: &WebhookConfiguration,
) -> Option<SecretChange> {
    let Situation { now, lives, .. } = situation;
    match &secret.next {
        Some(next) if next.anchor.expired(now) => return Some(SecretChange::StageCa),
        Some(next) => {
            let seen_for = situation.published_for.get(&next.anchor.fingerprint);
            if seen_for.is_some_and(|seen_for| *seen_for >= lives.propagation) {
                return Some(SecretChange::PromoteCa);
            }
        }
        None if now >= lives.due(ca.validity()) => return Some(SecretChange::StageCa),
        None => {}
    }
    if lives.token_due(now, &state.tokens, published, situation.token_for) {
        return Some(SecretChange::RotateToken);
    }
    let fingerprints = |retired: &dyn Fn(&Retired) -> bool| -> Vec<Fingerprint> {
        let matching = state.retired.iter().filter(|ca| retired(ca));
        matching.filter_map(Retired::anchor).map(|anchor| anchor.fingerprint).collect()
    };
    let over = fingerprints(&|ca| !ca.dropped && now > ca.until + lives.skew);
    if !over.is_empty() {
        return Some(SecretChange::Drop(over));
    }
    let mut gone = fingerprints(&|ca| ca.dropped);
    gone.retain(|fingerprint| !published.mentions(*fingerprint));
    (!gone.is_empty()).then_some(SecretChange::Forget(gone))
}

/// What a replica serves at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Serving {
    /// The leaf.
    pub leaf: Fingerprint,
    /// The CA that issued it.
    pub ca: Fingerprint,
    /// The leaf's validity.
    pub validity: Validity,
}

/// Whether to serve the Secret's leaf instead of what is served now.
///
/// It needs its CA to be published; for `propagation` if what is served now still works, because not
/// every API server has seen the caBundle at once.
pub fn serve(situation: Situation<'_>, serving: Option<Serving>) -> Option<Serving> {
    let secret = situation.secret?;
    let (Ok(ca), Ok(leaf)) = (&secret.ca, &secret.leaf) else { return None };
    let candidate = Serving {
        leaf: Fingerprint::of(leaf.pair.key.cert.first()?),
        ca: ca.anchor.fingerprint,
        validity: leaf.pair.validity,
    };
    let published_for = situation.published_for.get(&candidate.ca)?;
    let works = |serving: &Serving| {
        situation.now <= serving.validity.not_after
            && situation.published_for.contains_key(&serving.ca)
    };
    let switch = match serving.filter(works) {
        Some(serving) if serving.leaf == candidate.leaf => false,
        Some(serving) if serving.ca == candidate.ca => true,
        Some(_) => *published_for >= situation.lives.propagation,
        None => true,
    };
    switch.then_some(candidate)
}
