//! A request's body: read whole, under a limit and a deadline, or read away.
//!
//! A server that answers and closes while the client still sends makes the client's kernel throw
//! the answer away (a TCP reset). So a refused body is still read, in the background and within
//! bounds, and the client sees why it was refused.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use memchr::memchr_iter;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::idle::Activity;

/// How much of a refused body is read away before the connection is cut, in bytes.
const DISCARD_BYTES: usize = 64 * 1024 * 1024;

/// How long a refused body is read away before the connection is cut.
const DISCARD_TIME: Duration = Duration::from_secs(10);

/// Bodies up to this many bytes are not weighed.
const SMALL: usize = 64 * 1024;

/// Bodies that are not small may hold as many bytes together as this many of the largest size. A review
/// that replaces a Job takes five times its body.
const LARGEST_AT_ONCE: usize = 3;

/// What the values of all large bodies that are worked on may take together, and those of one.
const HEAVIEST: usize = 96 * 1024 * 1024;
/// What an object takes, and every other value, as measured on Jobs of nothing else (rounded up).
const OBJECT: usize = 1600;
const VALUE: usize = 200;

/// The bytes that large bodies may hold together, so that memory has a bound however many reviews
/// are in flight.
///
/// Values take more room than their text: a JSON object of one field is ten bytes, and a kilobyte when
/// it is read, copied and hashed. Large bodies are weighed by what they contain as well.
#[derive(Debug, Clone)]
pub struct Budget {
    bytes: Arc<Semaphore>,
    values: Arc<Semaphore>,
}

/// A share of the budget; given back when dropped.
pub type Share = Option<OwnedSemaphorePermit>;

impl Budget {
    /// The budget of a server that takes bodies up to `limit` bytes.
    pub fn new(limit: usize) -> Self {
        let kibibytes = limit.div_ceil(1024).saturating_mul(LARGEST_AT_ONCE);
        Self {
            bytes: Arc::new(Semaphore::new(kibibytes.min(u32::MAX as usize))),
            values: Arc::new(Semaphore::new(HEAVIEST / 1024)),
        }
    }

    /// A share for this body, which may have up to `limit` bytes; `None` when the budget is used up.
    pub fn share(&self, body: &Body, limit: usize) -> Option<Share> {
        let hint = body.size_hint();
        let bytes = hint.upper().and_then(|upper| usize::try_from(upper).ok()).unwrap_or(limit);
        if bytes <= SMALL {
            return Some(None);
        }
        share(&self.bytes, bytes.min(limit))
    }

    /// A share for the values in this body; `None` when others take too much.
    ///
    /// # Errors
    /// When it holds more than is worked on at once.
    pub fn values(&self, body: &[u8]) -> Result<Option<Share>, BodyError> {
        match weight(body) {
            0 => Ok(Some(None)),
            weight if weight > HEAVIEST => Err(BodyError::TooManyValues),
            weight => Ok(share(&self.values, weight)),
        }
    }
}

/// A share of so many bytes of a budget in kibibytes.
fn share(budget: &Arc<Semaphore>, bytes: usize) -> Option<Share> {
    let kibibytes = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
    Arc::clone(budget).try_acquire_many_owned(kibibytes).ok().map(Some)
}

/// What the values in a body take at most.
fn weight(body: &[u8]) -> usize {
    if body.len() <= SMALL {
        return 0;
    }
    let count = |byte| memchr_iter(byte, body).count();
    let most = count(b'{') * OBJECT + (count(b',') + count(b'[')) * VALUE;
    // JSON inside of strings counts only where that matters.
    if most <= HEAVIEST / 16 { most } else { weight_outside_of_strings(body) }
}

fn weight_outside_of_strings(body: &[u8]) -> usize {
    let (mut weight, mut in_string) = (0, false);
    let mut bytes = body.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => in_string = !in_string,
            b'\\' => drop(bytes.next()),
            b'{' if !in_string => weight += OBJECT,
            b',' | b'[' if !in_string => weight += VALUE,
            _ => {}
        }
    }
    weight
}

/// Why there is no body.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It is larger than the limit; the rest of it is still to come.
    #[error("the body is larger than {limit} bytes, the limit of this server (--max-body-bytes)")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// It is not larger than the limit, but would be when it is read.
    #[error(
        "the objects in the body have too many fields to be worked on (some {} of one field each); \
         make the Job smaller",
        HEAVIEST / (OBJECT + VALUE)
    )]
    TooManyValues,
    /// The client sends too slowly.
    #[error("the body did not arrive in time")]
    TooSlow,
    /// The client ended its side before the end of the body.
    #[error("the body ends too early")]
    BrokenOff,
    /// The connection broke, or the client sent wrong chunks.
    #[error("the body cannot be read: {0}")]
    Broken(#[from] axum::Error),
}

/// Whether a body is as small as it may be, as far as its length is announced.
///
/// # Errors
/// When it is too large.
pub fn announced(body: &Body, limit: usize) -> Result<(), BodyError> {
    let fits = body.size_hint().lower() <= limit as u64;
    fits.then_some(()).ok_or(BodyError::TooLarge { limit })
}

/// Reads the whole body.
///
/// A body that arrives in one piece, which is nearly every review, is not copied.
///
/// # Errors
/// When it is too large, too late or broken, or when the client ends its side too early.
pub async fn read(
    body: &mut Body,
    limit: usize,
    deadline: Instant,
    client_ended: &CancellationToken,
) -> Result<Bytes, BodyError> {
    tokio::select! {
        biased;
        collected = collect(body, limit) => collected,
        () = client_ended.cancelled() => Err(BodyError::BrokenOff),
        () = tokio::time::sleep_until(deadline) => Err(BodyError::TooSlow),
    }
}

async fn collect(body: &mut Body, limit: usize) -> Result<Bytes, BodyError> {
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if first.len() + all.len() + data.len() > limit {
            return Err(BodyError::TooLarge { limit });
        }
        if first.is_empty() && all.is_empty() {
            first = data;
            continue;
        }
        if all.is_empty() {
            let announced = usize::try_from(body.size_hint().lower()).unwrap_or(0);
            all.reserve((first.len() + data.len() + announced).min(limit));
            all.extend_from_slice(&std::mem::take(&mut first));
        }
        all.extend_from_slice(&data);
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

/// Reads the rest of a refused body away, in the background. Then the connection is idle again.
pub fn discard(mut body: Body, activity: Option<Activity>) {
    if body.is_end_stream() {
        return;
    }
    tokio::spawn(tokio::time::timeout(DISCARD_TIME, async move {
        let mut left = DISCARD_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                break;
            }
        }
        if let Some(activity) = activity {
            activity.rests();
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_body_is_weighed_by_its_values() {
        let budget = Budget::new(8 * 1024 * 1024);
        let objects =
            |count: usize| format!("[{}0]", r#"{"name":"a"},"#.repeat(count)).into_bytes();
        // Small, and large of long strings.
        assert!(matches!(budget.values(&objects(1000)), Ok(Some(None))));
        assert!(matches!(budget.values(&vec![b'x'; 8 * 1024 * 1024]), Ok(Some(None))));
        // One that fits, beside which there is room for a smaller one only.
        let first = budget.values(&objects(30_000)).unwrap().unwrap();
        assert!(first.is_some());
        assert!(budget.values(&objects(30_000)).unwrap().is_none());
        assert!(budget.values(&objects(10_000)).unwrap().is_some());
        drop(first);
        assert!(budget.values(&objects(30_000)).unwrap().is_some());
        // What stands in strings is text.
        let text = objects(220_000).escape_ascii().to_string();
        let text = format!(r#"["{}"]"#, text.replace(r"\'", "'")).into_bytes();
        assert!(budget.values(&text).unwrap().is_some());
        // One that never fits, in three megabytes.
        assert!(matches!(budget.values(&objects(220_000)), Err(BodyError::TooManyValues)));
    }
}
