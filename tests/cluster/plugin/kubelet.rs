//! A node whose kubelet answers one question: what a container has written.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;

use support::plane::ControlPlane;

/// Registers the node that [`support::namespace::Namespace::bind`] puts Pods on, and answers for
/// its kubelet: every container has written this.
pub fn node(plane: &ControlPlane, log: &'static str) {
    let pair = plane.pki().server();
    let chain = vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).expect("PEM")];
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("PEM");
    let tls = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
    let tls = Arc::new(tls.expect("a certificate"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind a loopback port");
    let port = listener.local_addr().expect("the port of a listener").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = ServerConnection::new(tls.clone()).expect("a connection");
            let mut stream = BufReader::new(StreamOwned::new(connection, stream));
            let mut request = String::new();
            while stream.read_line(&mut request).is_ok_and(|length| length > 2) {}
            let is_log = request.starts_with("GET /containerLogs/");
            let (status, body) = if is_log { ("200 OK", log) } else { ("404 Not Found", "") };
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
            let answer =
                format!("{head}Content-Type: text/plain\r\nConnection: close\r\n\r\n{body}");
            // The API server sees what goes wrong here, and so the test does.
            let _ = stream.get_mut().write_all(answer.as_bytes());
        }
    });
    let admin = plane.admin();
    let name = json!({ "name": "node" });
    admin.post("/api/v1/nodes", &json!({ "metadata": name }));
    let status = json!({ "status": {
        "addresses": [{ "type": "InternalIP", "address": "127.0.0.1" }],
        "daemonEndpoints": { "kubeletEndpoint": { "Port": port } },
    }});
    admin.patch("merge", "/api/v1/nodes/node/status", &status).ok();
}
