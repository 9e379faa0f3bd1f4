//! Loopback ports, and HTTP/1.1 without TLS for etcd's gateway and rejob's admin port.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use super::{plane, wait};

/// A port that was free a moment ago. Who uses it must be ready to try another one.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind a loopback port");
    listener.local_addr().expect("the port of a listener").port()
}

/// A range of loopback addresses for the Services of one control plane.
pub fn address_range() -> String {
    let unique = plane::unique();
    let (pid, number) = unique.split_once('-').expect("two parts");
    let pid = u32::from_str_radix(pid, 16).expect("a number");
    let place = pid.wrapping_mul(31).wrapping_add(number.parse().expect("a number"));
    format!("127.{}.{}.0/24", 64 + (place >> 8) % 128, place % 256)
}

/// The status and the body of `GET path` on a loopback port; `None` when nobody answers.
pub fn get(port: u16, path: &str) -> Option<(u16, String)> {
    exchange(port, &format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n"))
}

/// The status and the body of `POST path` with a JSON body on a loopback port.
pub fn post(port: u16, path: &str, body: &str) -> Option<(u16, String)> {
    let length = body.len();
    exchange(
        port,
        &format!(
            "POST {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ),
    )
}

/// HTTP/1.0: the body ends with the connection and is never chunked.
fn exchange(port: u16, request: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(wait::DEADLINE)).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}
