//! A relay of TCP connections from the API servers to the replicas, which delays and cuts them.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use support::net;

/// The relay; dropping it ends it.
pub struct Relay {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    /// The ports of the replicas: of the webhook, and of `/readyz`.
    replicas: Vec<(u16, u16)>,
    next: AtomicUsize,
    /// How long each piece is held, in milliseconds.
    delay: AtomicU64,
    /// After so many bytes the connection that carries them is cut; below zero, none is.
    budget: AtomicI64,
    open: Mutex<Vec<TcpStream>>,
    ended: AtomicBool,
}

impl Relay {
    pub fn start(replicas: Vec<(u16, u16)>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind a loopback port");
        let port = listener.local_addr().expect("the port of a listener").port();
        let shared = Arc::new(Shared {
            replicas,
            next: AtomicUsize::new(0),
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

    /// Holds each piece of every connection for so long.
    pub fn delay(&self, milliseconds: u64) {
        self.shared.delay.store(milliseconds, SeqCst);
    }

    /// Cuts the connection that carries that byte from now on.
    pub fn cut_after(&self, bytes: i64) {
        self.shared.budget.store(bytes, SeqCst);
    }

    /// Cuts every connection.
    pub fn cut_all(&self) {
        for stream in self.shared.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Neither delays nor cuts any more.
    pub fn calm(&self) {
        self.delay(0);
        self.cut_after(-1);
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
        let first = self.next.fetch_add(1, SeqCst);
        let count = self.replicas.len();
        let replica = (0..count).find_map(|n| {
            let (port, admin) = self.replicas[(first + n) % count];
            // As a Service does, but without the delay with which it learns of it.
            net::get(admin, "/readyz").filter(|(status, _)| *status == 200)?;
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()
        });
        // Without a replica the connection is closed.
        let Some(to) = replica else { return };
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
