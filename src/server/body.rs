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
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// How much of a refused body is read away before the connection is cut, in bytes.
const DISCARD_BYTES: usize = 64 * 1024 * 1024;

/// How long a refused body is read away before the connection is cut.
const DISCARD_TIME: Duration = Duration::from_secs(10);

/// Bodies up to this many bytes are not weighed.
const SMALL: usize = 64 * 1024;

/// Bodies that are not small may hold as many bytes together as this many of the largest size.
const LARGEST_AT_ONCE: usize = 8;

/// The bytes that large bodies may hold together, so that memory has a bound however many reviews
/// are in flight.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Semaphore>);

/// A share of the budget; given back when dropped.
pub type Share = Option<OwnedSemaphorePermit>;

impl Budget {
    /// The budget of a server that takes bodies up to `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let kibibytes = limit.div_ceil(1024).saturating_mul(LARGEST_AT_ONCE);
        Self(Arc::new(Semaphore::new(kibibytes.min(u32::MAX as usize))))
    }

    /// A share for this body, which may have up to `limit` bytes; `None` when the budget is used up.
    #[must_use]
    pub fn share(&self, body: &Body, limit: usize) -> Option<Share> {
        let hint = body.size_hint();
        let bytes = hint.upper().and_then(|upper| usize::try_from(upper).ok()).unwrap_or(limit);
        if bytes <= SMALL {
            return Some(None);
        }
        let kibibytes = u32::try_from(bytes.min(limit).div_ceil(1024)).unwrap_or(u32::MAX);
        Arc::clone(&self.0).try_acquire_many_owned(kibibytes).ok().map(Some)
    }
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
    /// The client sends too slowly.
    #[error("the body did not arrive within the request's timeout")]
    TooSlow,
    /// The client broke off or sent wrong chunks.
    #[error("the body cannot be read: {0}")]
    Broken(#[from] axum::Error),
}

/// Reads the whole body.
///
/// A body that arrives in one piece, which is nearly every review, is not copied.
///
/// # Errors
/// When it is larger than `limit` bytes, not complete at `deadline`, or broken.
pub async fn read(body: &mut Body, limit: usize, deadline: Instant) -> Result<Bytes, BodyError> {
    let announced = body.size_hint().lower();
    if announced > limit as u64 {
        return Err(BodyError::TooLarge { limit });
    }
    tokio::time::timeout_at(deadline, collect(body, limit)).await.map_err(|_| BodyError::TooSlow)?
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

/// Reads the rest of a refused body away, in the background.
pub fn discard(mut body: Body) {
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
    }));
}
