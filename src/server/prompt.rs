//! Polls a future again at once when it has woken itself.
//!
//! The reader and the service of an HTTP connection are one task and wake each other for each piece
//! of a request's body. To the runtime that is a task that yields: it goes to the end of the queue,
//! and another thread is woken to help with it, which costs more than what is left to do.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures::task::AtomicWaker;

/// How often a future is polled before its task yields, so that others have their turn too.
const TURNS: usize = 16;

/// Nobody polls the future: who wakes it wakes its task.
const IDLE: u8 = 0;
/// The future is being polled.
const POLLED: u8 = 1;
/// The future was woken, also while it was being polled.
const WOKEN: u8 = 2;

/// A future that is polled until it really waits.
#[derive(Debug)]
pub struct Prompt<F> {
    future: F,
    wakes: Arc<Wakes>,
    waker: Waker,
}

#[derive(Debug, Default)]
struct Wakes {
    state: AtomicU8,
    task: AtomicWaker,
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Always a write: what was written before the wake-up is seen by who takes notice of it.
        if self.state.fetch_or(WOKEN, Ordering::AcqRel) & POLLED == 0 {
            self.task.wake();
        }
    }
}

impl<F> Prompt<F> {
    /// The future, polled so.
    pub fn new(future: F) -> Self {
        let wakes = Arc::new(Wakes::default());
        Self { future, waker: Waker::from(Arc::clone(&wakes)), wakes }
    }
}

impl<F: Future + Unpin> Future for Prompt<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Self { future, wakes, waker } = self.get_mut();
        wakes.task.register(context.waker());
        for _ in 0..TURNS {
            // What woke it before this is seen by this poll.
            wakes.state.swap(POLLED, Ordering::AcqRel);
            let outcome = Pin::new(&mut *future).poll(&mut Context::from_waker(waker));
            let woken = wakes.state.swap(IDLE, Ordering::AcqRel) & WOKEN != 0;
            if outcome.is_ready() || !woken {
                return outcome;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::ready;

    use futures::task::noop_waker;

    use super::*;

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Count(AtomicU8);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn poll<F: Future + Unpin>(future: &mut F) -> (Poll<F::Output>, u8) {
        let count = Arc::new(Count::default());
        let outcome =
            Pin::new(future).poll(&mut Context::from_waker(&Waker::from(Arc::clone(&count))));
        (outcome, count.0.load(Ordering::Relaxed))
    }

    #[test]
    fn a_future_that_wakes_itself_goes_on_without_its_task_being_woken() {
        let mut left = 3;
        let mut future = Prompt::new(poll_fn(|context| {
            context.waker().wake_by_ref();
            left -= 1;
            if left == 0 { Poll::Ready(()) } else { Poll::Pending }
        }));
        assert_eq!(poll(&mut future), (Poll::Ready(()), 0));
    }

    #[test]
    fn a_future_that_never_stops_waking_itself_yields() {
        let mut polls = 0;
        let mut future = Prompt::new(poll_fn(|context| {
            polls += 1;
            context.waker().wake_by_ref();
            Poll::<()>::Pending
        }));
        assert_eq!(poll(&mut future), (Poll::Pending, 1));
        assert_eq!(polls, TURNS);
    }

    #[test]
    fn a_future_that_waits_is_woken_by_what_it_waits_for() {
        let (sender, mut receiver) = tokio::sync::oneshot::channel();
        let mut future = Prompt::new(&mut receiver);
        let first = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&first));
        assert!(Pin::new(&mut future).poll(&mut Context::from_waker(&waker)).is_pending());
        // The task may have moved: the last waker counts.
        let last = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&last));
        assert!(Pin::new(&mut future).poll(&mut Context::from_waker(&waker)).is_pending());
        sender.send(7).unwrap();
        assert_eq!((first.0.load(Ordering::Relaxed), last.0.load(Ordering::Relaxed)), (0, 1));
        let outcome = Pin::new(&mut future).poll(&mut Context::from_waker(&noop_waker()));
        assert_eq!(outcome.map(Result::unwrap), Poll::Ready(7));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_wake_up_by_another_thread_is_lost() {
        for _ in 0..1000 {
            let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
            let send = tokio::spawn(async move {
                for number in 0..20 {
                    sender.send(number).await.unwrap();
                }
            });
            let mut sum = 0;
            let receive = Prompt::new(poll_fn(|context| {
                loop {
                    match ready!(receiver.poll_recv(context)) {
                        Some(number) => sum += number,
                        None => return Poll::Ready(()),
                    }
                }
            }));
            receive.await;
            send.await.unwrap();
            assert_eq!(sum, 190);
        }
    }
}
