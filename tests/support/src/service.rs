//! What kube-proxy does: the address of the Service leads to the ready replicas, by turns, one TCP
//! connection after the other. An open connection stays where it is.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::replica::{Ports, Replica};
use super::site::{RELEASE, Site};
use super::{net, wait};

/// Whether this process may listen on that port.
pub fn may_bind(port: u16) -> bool {
    match TcpListener::bind((Ipv4Addr::new(127, 63, 0, 1), port)) {
        Err(error) => error.kind() != io::ErrorKind::PermissionDenied,
        Ok(_) => true,
    }
}

/// The Service; dropping it ends the forwarding.
pub struct Service {
    address: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    endpoints: Mutex<Vec<Arc<Endpoint>>>,
    next: AtomicUsize,
    done: AtomicBool,
}

struct Endpoint {
    ports: Ports,
    ready: AtomicBool,
    open: AtomicUsize,
    accepted: AtomicUsize,
}

impl Service {
    /// Forwards the address of the chart's Service to these replicas.
    pub fn of(site: &Site<'_>, replicas: &[Replica<'_>]) -> Self {
        let service = site.object("/api/v1", "services", RELEASE);
        let ip: IpAddr = service["spec"]["clusterIP"].as_str().unwrap().parse().unwrap();
        assert!(ip.is_loopback(), "{ip}");
        let ports = service["spec"]["ports"].as_array().unwrap();
        let port = ports.iter().find(|port| port["name"] == "webhook").unwrap();
        let port = u16::try_from(port["port"].as_u64().unwrap()).unwrap();
        let address = SocketAddr::from((ip, port));
        let listener = TcpListener::bind(address)
            .unwrap_or_else(|error| panic!("cannot listen on the Service's {address}: {error}"));
        let shared = Arc::new(Shared::default());
        let (accepting, probing) = (Arc::clone(&shared), Arc::clone(&shared));
        let threads = vec![
            std::thread::spawn(move || accepting.accept(&listener)),
            std::thread::spawn(move || probing.probe()),
        ];
        let service = Self { address, shared, threads };
        for replica in replicas {
            service.add(replica);
        }
        service
    }

    /// Adds a ready replica.
    pub fn add(&self, replica: &Replica<'_>) {
        let ports = replica.ports.expect("it is ready");
        self.shared.endpoints.lock().unwrap().push(Arc::new(Endpoint {
            ports,
            ready: AtomicBool::new(true),
            open: AtomicUsize::new(0),
            accepted: AtomicUsize::new(0),
        }));
    }

    /// How many connections the replica was given.
    pub fn accepted(&self, ports: Ports) -> usize {
        self.endpoint(ports).accepted.load(Ordering::SeqCst)
    }

    /// Waits until the replica is given no more connections and has none; then forgets it.
    pub fn wait_until_gone(&self, ports: Ports) {
        let endpoint = self.endpoint(ports);
        wait::until("the replica is out of the Service", || {
            let gone = !endpoint.ready.load(Ordering::SeqCst);
            (gone && endpoint.open.load(Ordering::SeqCst) == 0).then_some(())
        });
        self.shared.endpoints.lock().unwrap().retain(|endpoint| endpoint.ports != ports);
    }

    fn endpoint(&self, ports: Ports) -> Arc<Endpoint> {
        let endpoints = self.shared.endpoints.lock().unwrap();
        Arc::clone(endpoints.iter().find(|endpoint| endpoint.ports == ports).expect("an endpoint"))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.shared.done.store(true, Ordering::SeqCst);
        // Wakes the one that accepts.
        drop(TcpStream::connect(self.address));
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn accept(&self, listener: &TcpListener) {
        while let Ok((client, _)) = listener.accept() {
            if self.done.load(Ordering::SeqCst) {
                return;
            }
            // Without a ready endpoint the connection is refused; here: closed.
            let Some(endpoint) = self.choose() else { continue };
            forward(client, endpoint);
        }
    }

    fn choose(&self) -> Option<Arc<Endpoint>> {
        let endpoints = self.endpoints.lock().unwrap();
        let ready: Vec<_> =
            endpoints.iter().filter(|endpoint| endpoint.ready.load(Ordering::SeqCst)).collect();
        let turn = self.next.fetch_add(1, Ordering::SeqCst);
        let endpoint = Arc::clone(ready.get(turn % ready.len().max(1))?);
        endpoint.accepted.fetch_add(1, Ordering::SeqCst);
        endpoint.open.fetch_add(1, Ordering::SeqCst);
        Some(endpoint)
    }

    /// The kubelet's probes: a replica that is not ready is given no connection any more.
    fn probe(&self) {
        while !self.done.load(Ordering::SeqCst) {
            let endpoints = self.endpoints.lock().unwrap().clone();
            for endpoint in endpoints {
                let answer = net::get(endpoint.ports.admin, "/readyz");
                let ready = answer.is_some_and(|(status, _)| status == 200);
                endpoint.ready.store(ready, Ordering::SeqCst);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Copies both ways until both sides have ended.
fn forward(client: TcpStream, endpoint: Arc<Endpoint>) {
    std::thread::spawn(move || {
        if let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, endpoint.ports.webhook)) {
            let back = (server.try_clone(), client.try_clone());
            if let (Ok(from), Ok(to)) = back {
                let back = std::thread::spawn(move || copy(from, to));
                copy(client, server);
                let _ = back.join();
            }
        }
        endpoint.open.fetch_sub(1, Ordering::SeqCst);
    });
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let _ = from.set_nodelay(true);
    let whole = io::copy(&mut from, &mut to);
    // An end is passed on as an end, a reset as the end of everything.
    let _ = to.shutdown(if whole.is_ok() { Shutdown::Write } else { Shutdown::Both });
    if whole.is_err() {
        let _ = from.shutdown(Shutdown::Both);
    }
}
