//! Carries out a [`Change`]: from the Secret as read to the Secret as it is to be written.
//!
//! Whatever is good is kept; only what the change names is made anew.

use jiff::Timestamp;

use super::bundle::Fingerprint;
use super::issue::{issue_ca, issue_leaf};
use super::pem::CertError;
use super::plan::{Change, Seen};
use super::state::{Book, Ca, Leaf, Retired, State, Tokens};

/// Makes path tokens.
pub trait TokenSource {
    /// A new token: 160 bits of randomness as 40 lower-case hex digits.
    ///
    /// # Errors
    /// When the system has no randomness.
    fn token(&mut self) -> Result<String, CertError>;
}

/// The state after `change`.
///
/// # Errors
/// When a certificate or a token cannot be made.
pub fn apply(
    change: &Change,
    seen: Seen<'_>,
    random: &mut impl TokenSource,
) -> Result<State, CertError> {
    let now = seen.now;
    let Some(state) = seen.state else { return create(seen, random) };
    let mut state = state.clone();
    match change {
        Change::Create => return create(seen, random),
        Change::ReplaceCa(_) => {
            let (ca, leaf) = (new_ca(seen)?, None);
            let leaf = new_leaf(seen, &ca, leaf)?;
            if let Ok(book) = &mut state.book {
                book.leaves_until = leaf.pair.validity.not_after;
            }
            (state.ca, state.leaf, state.next) = (Ok(ca), Ok(leaf), None);
        }
        Change::RepairBook(_) => {
            let not_after = state.leaf.as_ref().ok().map(|leaf| leaf.pair.validity.not_after);
            let leaves_until = not_after.unwrap_or(now).max(longest(seen, state.ca.as_ref().ok()));
            state.book = Ok(Book { tokens: tokens(seen, random)?, leaves_until, retired: vec![] });
        }
        Change::RenewLeaf(_) => {
            let (Ok(ca), Ok(book)) = (&state.ca, &mut state.book) else { return Ok(state) };
            let leaf = new_leaf(seen, ca, state.leaf.as_ref().ok())?;
            book.leaves_until = book.leaves_until.max(leaf.pair.validity.not_after);
            book.tokens.rotate_at.get_or_insert(now + seen.lives.settle);
            state.leaf = Ok(leaf);
        }
        Change::StageCa => state.next = Some(new_ca(seen)?),
        Change::PromoteCa => {
            let (Ok(old), Some(next), Ok(book)) = (&state.ca, state.next.take(), &mut state.book)
            else {
                return Ok(state);
            };
            let leaf = new_leaf(seen, &next, state.leaf.as_ref().ok())?;
            let until = book.leaves_until;
            let certificate = old.keypair.cert_pem.clone();
            book.retired.push(Retired { certificate, until, dropped: false });
            book.leaves_until = leaf.pair.validity.not_after;
            book.tokens.rotate_at.get_or_insert(now + seen.lives.settle);
            (state.ca, state.leaf) = (Ok(next), Ok(leaf));
        }
        Change::Adopt(anchors) => {
            let Ok(book) = &mut state.book else { return Ok(state) };
            book.retired.extend(anchors.iter().map(|anchor| Retired {
                certificate: anchor.pem(),
                until: anchor.validity.not_after.min(now + seen.lives.cert),
                dropped: false,
            }));
        }
        Change::RotateToken => {
            let Ok(book) = &mut state.book else { return Ok(state) };
            let next = std::mem::replace(&mut book.tokens.next, random.token()?);
            book.tokens.previous = Some(std::mem::replace(&mut book.tokens.current, next));
            book.tokens.rotate_at = None;
        }
        Change::Drop(dropped) => {
            let Ok(book) = &mut state.book else { return Ok(state) };
            for ca in &mut book.retired {
                ca.dropped |= ca.anchor().is_some_and(|ca| dropped.contains(&ca.fingerprint));
            }
        }
        Change::Forget(gone) => {
            let Ok(book) = &mut state.book else { return Ok(state) };
            book.retired.retain(|ca| !ca.anchor().is_none_or(|ca| gone.contains(&ca.fingerprint)));
        }
    }
    Ok(state)
}

fn create(seen: Seen<'_>, random: &mut impl TokenSource) -> Result<State, CertError> {
    let ca = new_ca(seen)?;
    let leaf = new_leaf(seen, &ca, None)?;
    let leaves_until = leaf.pair.validity.not_after;
    let book = Book { tokens: tokens(seen, random)?, leaves_until, retired: vec![] };
    Ok(State { ca: Ok(ca), next: None, leaf: Ok(leaf), book: Ok(book) })
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
        Change::RepairBook(problem) => format!("made another path token: {problem}"),
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
