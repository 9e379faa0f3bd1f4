//! Carries out a [`Change`]: from the Secret as read to the Secret as it is to be written.
//!
//! Whatever is good is kept; only what the change names is made anew.

use jiff::Timestamp;

use super::bundle::Fingerprint;
use super::issue::{issue_ca, issue_leaf};
use super::pem::CertError;
use super::plan::{Change, Seen};
use super::state::{Ca, CertSecret, Leaf, Retired, SecretState, Tokens};

/// Makes path tokens.
pub trait TokenSource {
    /// A new token: 160 bits of randomness as 40 lower-case hex digits.
    ///
    /// # Errors
    /// When the system has no randomness.
    fn token(&mut self) -> Result<String, CertError>;
}

/// The secret after `change`.
///
/// # Errors
/// When a certificate or a token cannot be made.
pub fn apply(
    change: &Change,
    seen: Seen<'_>,
    random: &mut impl TokenSource,
) -> Result<CertSecret, CertError> {
    let now = seen.now;
    let Some(secret) = seen.secret else { return create(seen, random) };
    let mut secret = secret.clone();
    match change {
        Change::Create => return create(seen, random),
        Change::ReplaceCa(_) => {
            let (ca, leaf) = (new_ca(seen)?, None);
            let leaf = new_leaf(seen, &ca, leaf)?;
            if let Ok(state) = &mut secret.state {
                state.leaves_until = leaf.pair.validity.not_after;
            }
            (secret.ca, secret.leaf, secret.next) = (Ok(ca), Ok(leaf), None);
        }
        Change::RepairState(_) => {
            let not_after = secret.leaf.as_ref().ok().map(|leaf| leaf.pair.validity.not_after);
            let leaves_until = not_after.unwrap_or(now).max(longest(seen, secret.ca.as_ref().ok()));
            secret.state =
                Ok(SecretState { tokens: tokens(seen, random)?, leaves_until, retired: vec![] });
        }
        Change::RenewLeaf(_) => {
            let (Ok(ca), Ok(state)) = (&secret.ca, &mut secret.state) else { return Ok(secret) };
            let leaf = new_leaf(seen, ca, secret.leaf.as_ref().ok())?;
            state.leaves_until = state.leaves_until.max(leaf.pair.validity.not_after);
            state.tokens.rotate_at.get_or_insert(now + seen.lives.settle);
            secret.leaf = Ok(leaf);
        }
        Change::StageCa => secret.next = Some(new_ca(seen)?),
        Change::PromoteCa => {
            let (Ok(old), Some(next), Ok(state)) =
                (&secret.ca, secret.next.take(), &mut secret.state)
            else {
                return Ok(secret);
            };
            let leaf = new_leaf(seen, &next, secret.leaf.as_ref().ok())?;
            let until = state.leaves_until;
            let certificate = old.keypair.cert_pem.clone();
            state.retired.push(Retired { certificate, until, dropped: false });
            state.leaves_until = leaf.pair.validity.not_after;
            state.tokens.rotate_at.get_or_insert(now + seen.lives.settle);
            (secret.ca, secret.leaf) = (Ok(next), Ok(leaf));
        }
        Change::Adopt(anchors) => {
            let Ok(state) = &mut secret.state else { return Ok(secret) };
            state.retired.extend(anchors.iter().map(|anchor| Retired {
                certificate: anchor.pem(),
                until: anchor.validity.not_after.min(now + seen.lives.cert),
                dropped: false,
            }));
        }
        Change::RotateToken => {
            let Ok(state) = &mut secret.state else { return Ok(secret) };
            let next = std::mem::replace(&mut state.tokens.next, random.token()?);
            state.tokens.previous = Some(std::mem::replace(&mut state.tokens.current, next));
            state.tokens.rotate_at = None;
        }
        Change::Drop(dropped) => {
            let Ok(state) = &mut secret.state else { return Ok(secret) };
            for ca in &mut state.retired {
                ca.dropped |= ca.anchor().is_some_and(|ca| dropped.contains(&ca.fingerprint));
            }
        }
        Change::Forget(gone) => {
            let Ok(state) = &mut secret.state else { return Ok(secret) };
            state.retired.retain(|ca| !ca.anchor().is_none_or(|ca| gone.contains(&ca.fingerprint)));
        }
    }
    Ok(secret)
}

fn create(seen: Seen<'_>, random: &mut impl TokenSource) -> Result<CertSecret, CertError> {
    let ca = new_ca(seen)?;
    let leaf = new_leaf(seen, &ca, None)?;
    let leaves_until = leaf.pair.validity.not_after;
    let state = SecretState { tokens: tokens(seen, random)?, leaves_until, retired: vec![] };
    Ok(CertSecret { ca: Ok(ca), next: None, leaf: Ok(leaf), state: Ok(state) })
}

/// Tokens for a Secret without any. The one that is published stays until everybody knows the
/// others: replicas that have not read this Secret yet still accept it.
fn tokens(seen: Seen<'_>, random: &mut impl TokenSource) -> Result<Tokens, CertError> {
    let published = seen.published.and_then(|published| published.token()).map(str::to_owned);
    let rotate_at = published.as_ref().map(|_| seen.now + seen.lives.settle * 2);
    let current = published.map_or_else(|| random.token(), Ok)?;
    Ok(Tokens { current, next: random.token()?, previous: None, rotate_at })
}

fn new_ca(seen: Seen<'_>) -> Result<Ca, CertError> {
    let keypair = issue_ca(seen.now, seen.lives.ca)?;
    Ca::read(&keypair.cert_pem, &keypair.key_pem).map_err(unusable)
}

/// A leaf under `ca` with the wanted names. One that is renewed before its time, for a name it
/// lacked, keeps the names it had: replicas of two releases may want different ones.
fn new_leaf(seen: Seen<'_>, ca: &Ca, old: Option<&Leaf>) -> Result<Leaf, CertError> {
    let mut names = seen.names.to_vec();
    if let Some(old) = old.filter(|old| seen.now < seen.lives.due(old.pair.validity)) {
        names.extend(old.pair.names.iter().filter(|name| !seen.names.contains(name)).cloned());
    }
    let not_after = longest(seen, Some(ca));
    let keypair = issue_leaf(&ca.keypair, &names, seen.now, not_after)?;
    Leaf::read(keypair, ca, seen.now).map_err(unusable)
}

/// The end of a leaf issued now: it does not outlive its CA.
fn longest(seen: Seen<'_>, ca: Option<&Ca>) -> Timestamp {
    let end = seen.now + seen.lives.cert;
    ca.map_or(end, |ca| end.min(ca.validity().not_after))
}

fn unusable(reason: String) -> CertError {
    CertError::Issue { names: "this server".to_owned(), reason }
}

/// How a change is told in the log.
#[must_use]
pub fn describe(change: &Change) -> String {
    let list =
        |cas: &[Fingerprint]| cas.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match change {
        Change::Create => {
            "made a CA, a certificate and a path token: there was no Secret".to_owned()
        }
        Change::ReplaceCa(problem) => format!("made another CA and certificate: {problem}"),
        Change::RepairState(problem) => format!("made another path token: {problem}"),
        Change::RenewLeaf(reason) => format!("issued another certificate: {reason}"),
        Change::Adopt(anchors) => {
            let cas: Vec<Fingerprint> = anchors.iter().map(|anchor| anchor.fingerprint).collect();
            format!("keeping CAs found in the caBundle for a while: {}", list(&cas))
        }
        Change::StageCa => "made the next CA, to be trusted before it issues".to_owned(),
        Change::PromoteCa => "the next CA issues from now on".to_owned(),
        Change::RotateToken => "the next path token takes over".to_owned(),
        Change::Drop(cas) => format!("former CAs leave the caBundle: {}", list(cas)),
        Change::Forget(cas) => format!("former CAs have left the caBundle: {}", list(cas)),
    }
}
