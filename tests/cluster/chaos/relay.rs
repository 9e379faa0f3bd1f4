//! A relay of TCP connections, which delays and cuts them: from the API servers to the replicas, and from
//! a replica to its API server.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::random::Random;

/// The relay; dropping it ends it.
pub struct Relay {
    port: u16,
    shared: Arc<Shared>,
}

/// Connects to where the relay leads; `None` closes the connection.
type Connect = dyn Fn() -> Option<TcpStream> + Send + Sync;

struct Shared {
    connect: Box<Connect>,
    /// How long each piece is held, in milliseconds.
    delay: AtomicU64,
    /// After so many bytes the connection that carries them is cut; below zero, none is.
    budget: AtomicI64,
    open: Mutex<Vec<TcpStream>>,
    ended: AtomicBool,
}

impl Relay {
    pub fn start(connect: impl Fn() -> Option<TcpStream> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind a loopback port");
        let port = listener.local_addr().expect("the port of a listener").port();
        let shared = Arc::new(Shared {
            connect: Box::new(connect),
            delay: AtomicU64::new(0),
            budget: AtomicI64::new(-1),
            open: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let of_thread = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if of_thread.ended.load(SeqCst) {
                    return;
                }
                of_thread.accept(stream);
            }
        });
        Self { port, shared }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Holds each piece of every connection for some milliseconds less than that: how many.
    pub fn delay_up_to(&self, random: &mut Random, bound: u64) -> u64 {
        let milliseconds = random.below(bound);
        self.shared.delay.store(milliseconds, SeqCst);
        milliseconds
    }

    /// Cuts the connection that carries some byte below that from now on: which.
    pub fn cut_later(&self, random: &mut Random, bound: u64) -> u64 {
        let bytes = random.below(bound);
        self.shared.budget.store(i64::try_from(bytes).unwrap(), SeqCst);
        bytes
    }

    /// Cuts every connection.
    pub fn cut_all(&self) {
        for stream in self.shared.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Neither delays nor cuts any more.
    pub fn calm(&self) {
        self.shared.delay.store(0, SeqCst);
        self.shared.budget.store(-1, SeqCst);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.ended.store(true, SeqCst);
        self.cut_all();
        // Wakes the listener.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, from: TcpStream) {
        let Some(to) = (self.connect)() else { return };
        let copy = |stream: &TcpStream| stream.try_clone().expect("share a connection");
        self.open.lock().unwrap().extend([copy(&from), copy(&to)]);
        for (from, to) in [(copy(&from), copy(&to)), (to, from)] {
            let shared = self.clone();
            std::thread::spawn(move || {
                shared.pump(&from, &to);
                let _ = from.shutdown(Shutdown::Both);
                let _ = to.shutdown(Shutdown::Both);
            });
        }
    }

    fn pump(&self, mut from: &TcpStream, mut to: &TcpStream) {
        let mut piece = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut piece) {
            std::thread::sleep(Duration::from_millis(self.delay.load(SeqCst)));
            let before = self.budget.fetch_sub(i64::try_from(read).unwrap(), SeqCst);
            if before >= 0 && before < i64::try_from(read).unwrap() {
                return;
            }
            if to.write_all(&piece[..read]).is_err() {
                return;
            }
        }
    }
}
