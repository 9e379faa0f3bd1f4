//! Carries out a [`SecretChange`]: from the Secret as read to the Secret to write.
//!
//! Whatever is good is kept; only what the change names is made anew.

use jiff::Timestamp;

use super::bundle::Fingerprint;
use super::issue::{issue_ca, issue_leaf};
use super::pem::CertError;
use super::plan::{SecretChange, Situation};
use super::state::{Ca, CertSecret, Leaf, Retired, SecretState};
use super::token::TokenSource;

/// The secret after `change`.
///
/// # Errors
/// When a certificate or a token cannot be made.
pub fn apply(
    change: &SecretChange,
    situation: Situation<'_>,
    random: &mut impl TokenSource,
) -> Result<CertSecret, CertError> {
    let now = situation.now;
    let Some(secret) = situation.secret else { return create(situation, random) };
    let mut secret = secret.clone();
    match (change, &secret.ca, &mut secret.state) {
        (SecretChange::Create, ..) => return create(situation, random),
        (SecretChange::ReplaceCa(_), _, state) => {
            let ca = new_ca(situation)?;
            let leaf = new_leaf(situation, &ca, None)?;
            if let Ok(state) = state {
                state.leaves_until = leaf.pair.validity.not_after;
            }
            (secret.ca, secret.leaf, secret.next) = (Ok(ca), Ok(leaf), None);
        }
        (SecretChange::RepairState(_), ca, state) => {
            let not_after = secret.leaf.as_ref().ok().map(|leaf| leaf.pair.validity.not_after);
            let leaves_until = not_after.unwrap_or(now).max(longest(situation, ca.as_ref().ok()));
            let tokens = situation.lives.first_tokens(now, situation.published, random)?;
            *state = Ok(SecretState { tokens, leaves_until, retired: vec![] });
        }
        (SecretChange::RenewLeaf(_), Ok(ca), Ok(state)) => {
            let leaf = new_leaf(situation, ca, secret.leaf.as_ref().ok())?;
            state.leaves_until = state.leaves_until.max(leaf.pair.validity.not_after);
            secret.leaf = Ok(leaf);
        }
        (SecretChange::StageCa, ..) => secret.next = Some(new_ca(situation)?),
        (SecretChange::PromoteCa, Ok(old), Ok(state)) => {
            let Some(next) = secret.next.take() else { return Ok(secret) };
            let leaf = new_leaf(situation, &next, secret.leaf.as_ref().ok())?;
            let certificate = old.keypair.cert_pem.clone();
            let until = std::mem::replace(&mut state.leaves_until, leaf.pair.validity.not_after);
            state.retired.push(Retired { certificate, until, dropped: false });
            (secret.ca, secret.leaf) = (Ok(next), Ok(leaf));
        }
        (SecretChange::Adopt(anchors), _, Ok(state)) => {
            state.retired.extend(anchors.iter().map(|anchor| Retired {
                certificate: anchor.pem(),
                until: anchor.validity.not_after.min(now + situation.lives.cert),
                dropped: false,
            }));
        }
        (SecretChange::RotateToken, _, Ok(state)) => {
            state.tokens.rotate(now + situation.lives.token, random)?;
        }
        (SecretChange::Drop(dropped), _, Ok(state)) => {
            for ca in &mut state.retired {
                ca.dropped |= ca.anchor().is_some_and(|ca| dropped.contains(&ca.fingerprint));
            }
        }
        (SecretChange::Forget(gone), _, Ok(state)) => {
            state.retired.retain(|ca| !ca.anchor().is_none_or(|ca| gone.contains(&ca.fingerprint)));
        }
        // What cannot be read is replaced or repaired before anything else is changed.
        (_, Err(_), _) | (_, _, Err(_)) => {}
    }
    Ok(secret)
}

fn create(
    situation: Situation<'_>,
    random: &mut impl TokenSource,
) -> Result<CertSecret, CertError> {
    let ca = new_ca(situation)?;
    let leaf = new_leaf(situation, &ca, None)?;
    let leaves_until = leaf.pair.validity.not_after;
    let tokens = situation.lives.first_tokens(situation.now, situation.published, random)?;
    let state = SecretState { tokens, leaves_until, retired: vec![] };
    Ok(CertSecret { ca: Ok(ca), next: None, leaf: Ok(leaf), state: Ok(state) })
}

fn new_ca(situation: Situation<'_>) -> Result<Ca, CertError> {
    let keypair = issue_ca(situation.now, situation.lives.ca)?;
    Ca::read(&keypair.cert_pem, &keypair.key_pem).map_err(unusable)
}

/// A leaf under `ca` with the wanted names. One that is renewed before its time, for a name it
/// lacked, keeps the names it had: replicas of two releases may want different ones.
fn new_leaf(situation: Situation<'_>, ca: &Ca, old: Option<&Leaf>) -> Result<Leaf, CertError> {
    let mut names = situation.names.to_vec();
    if let Some(old) = old.filter(|old| situation.now < situation.lives.due(old.pair.validity)) {
        names.extend(old.pair.names.iter().filter(|name| !situation.names.contains(name)).cloned());
    }
    let not_after = longest(situation, Some(ca));
    let keypair = issue_leaf(&ca.keypair, &names, situation.now, not_after)?;
    Leaf::read(keypair, ca, situation.now).map_err(unusable)
}

/// The end of a leaf issued now: it does not outlive its CA.
fn longest(situation: Situation<'_>, ca: Option<&Ca>) -> Timestamp {
    let end = situation.now + situation.lives.cert;
    ca.map_or(end, |ca| end.min(ca.validity().not_after))
}

fn unusable(reason: String) -> CertError {
    CertError::Issue { names: "this server".to_owned(), reason }
}

/// How a change appears in the log.
pub fn describe(change: &SecretChange) -> String {
    let list =
        |cas: &[Fingerprint]| cas.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match change {
        SecretChange::Create => {
            "made a CA, a certificate and a path token: there was no Secret".to_owned()
        }
        SecretChange::ReplaceCa(problem) => format!("made another CA and certificate: {problem}"),
        SecretChange::RepairState(problem) => format!("made another path token: {problem}"),
        SecretChange::RenewLeaf(reason) => format!("issued another certificate: {reason}"),
        SecretChange::Adopt(anchors) => {
            let cas: Vec<Fingerprint> = anchors.iter().map(|anchor| anchor.fingerprint).collect();
            format!("keeping CAs found in the caBundle for a while: {}", list(&cas))
        }
        SecretChange::StageCa => "made the next CA, to be trusted before it issues".to_owned(),
        SecretChange::PromoteCa => "the next CA issues from now on".to_owned(),
        SecretChange::RotateToken => "the next path token takes over".to_owned(),
        SecretChange::Drop(cas) => format!("former CAs leave the caBundle: {}", list(cas)),
        SecretChange::Forget(cas) => format!("former CAs have left the caBundle: {}", list(cas)),
    }
}
