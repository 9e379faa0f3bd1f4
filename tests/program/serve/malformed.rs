//! Whatever is wrong with a request is answered, with the right status and as JSON.

use rejob::server::Limits;

use super::client::{Client, post};
use super::stub::TestServer;

/// A request head with a body of two bytes.
fn request(line: &str, headers: &[&str]) -> String {
    let headers: String = headers.iter().flat_map(|header| [*header, "\r\n"]).collect();
    format!("{line} HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n{headers}\r\n{{}}")
}

#[tokio::test]
async fn each_mistake_has_its_status_and_its_sentence() {
    let server = TestServer::start().await;
    // All on one connection: a mistake does not cost it.
    let mut client = server.connect().await;
    let json = "content-type: application/json";
    for (bytes, status, sentence) in [
        (request("POST /", &[json]), 404, "/v1/policies/{policy}"),
        (request("POST /v1/policies/", &[json]), 404, "/v1/policies/{policy}"),
        (request("POST /v1/policies/a/b", &[json]), 404, "/v1/policies/{policy}"),
        (request("POST /metrics", &[json]), 404, "no such path"),
        (request("POST /v1/policies/nope", &[json]), 404, "\"nope\"; there are: ok, slow"),
        (request("GET /v1/policies/ok", &[json]), 405, "POST"),
        (request("PUT /v1/policies/ok", &[json]), 405, "POST"),
        (request("POST /livez", &[json]), 405, "GET, HEAD"),
        (request("POST /v1/policies/ok", &[]), 415, "application/json"),
        (request("POST /v1/policies/ok", &["content-type: text/json"]), 415, "application/json"),
        (request("POST /v1/policies/ok", &[json, "content-encoding: gzip"]), 415, "Encoding"),
        (request("POST /v1/policies/ok?timeout=x", &[json]), 400, "timeout=x"),
        (request("POST /v1/policies/ok?timeout=-1s", &[json]), 400, "timeout=-1s"),
        (post("/v1/policies/strict", ""), 400, "EOF"),
        (post("/v1/policies/strict", "{"), 400, "EOF"),
        (post("/v1/policies/strict", "\u{0}"), 400, "expected value"),
        (post("/v1/policies/strict", "[]"), 400, "not an object"),
        (post("/v1/policies/panic", "{}"), 500, "its log says where"),
        (post("/v1/policies/late-panic", "{}"), 500, "its log says where"),
    ] {
        client.send(&bytes).await.unwrap();
        let response = client.response().await;
        assert_eq!(response.status, status, "{bytes}");
        assert!(response.error().contains(sentence), "{bytes}: {response:?}");
    }
    assert_eq!(client.post("/v1/policies/strict", "{}").await.status, 200);
    server.metric("rejob_http_errors_total{code=\"415\"}", 3).await;
    server.metric("rejob_in_flight", 0).await;
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_one() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    let response = client.get("/v1/policies/ok").await;
    assert_eq!(response.header("allow"), Some("POST"));
}

#[tokio::test]
async fn the_content_type_may_have_parameters() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    let header = "content-type: application/json; charset=utf-8";
    client.send(request("POST /v1/policies/ok", &[header])).await.unwrap();
    assert_eq!(client.response().await.status, 200);
}

fn small_bodies() -> Limits {
    Limits { max_body_bytes: 1000, ..Limits::default() }
}

#[tokio::test]
async fn a_client_that_sends_too_much_before_it_reads_still_gets_the_answer() {
    let server = TestServer::limited(small_bodies()).await;
    let mut client = server.connect().await;
    client.send(post("/v1/policies/ok", &"x".repeat(8 * 1024 * 1024))).await.unwrap();
    let response = client.response().await;
    assert_eq!(response.status, 413);
    assert!(response.error().contains("1000 bytes"), "{response:?}");
    assert_eq!(response.header("connection"), Some("close"));
    client.closed().await;
}

#[tokio::test]
async fn too_much_in_chunks_is_refused_while_the_client_sends() {
    let server = TestServer::limited(small_bodies()).await;
    let mut client = server.connect().await;
    let head = "POST /v1/policies/ok HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                transfer-encoding: chunked\r\n\r\n";
    client.send(head).await.unwrap();
    for _ in 0..3 {
        client.send(format!("1f4\r\n{}\r\n", "x".repeat(500))).await.unwrap();
    }
    assert_eq!(client.response().await.status, 413);
    // The connection is still read from: the rest can be sent without an error.
    client.send(format!("1f4\r\n{}\r\n0\r\n\r\n", "x".repeat(500))).await.unwrap();
    client.closed().await;
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_taken_whole_or_in_chunks() {
    let server = TestServer::limited(small_bodies()).await;
    let mut client = server.connect().await;
    let response = client.post("/v1/policies/ok", &"x".repeat(1000)).await;
    assert_eq!((response.status, response.body.as_str()), (200, "{\"length\":1000}"));
    let head = "POST /v1/policies/ok HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                transfer-encoding: chunked\r\n\r\n";
    client.send(head).await.unwrap();
    for _ in 0..2 {
        client.send(format!("1f4\r\n{}\r\n", "x".repeat(500))).await.unwrap();
    }
    client.send("0\r\n\r\n").await.unwrap();
    assert_eq!(client.response().await.body, "{\"length\":1000}");
}

#[tokio::test]
async fn a_client_that_asks_first_is_not_told_to_send_too_much() {
    let server = TestServer::limited(small_bodies()).await;
    let ask = |length: usize| {
        format!(
            "POST /v1/policies/ok HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\nexpect: 100-continue\r\n\r\n"
        )
    };
    let mut client = server.connect().await;
    client.send(ask(1001)).await.unwrap();
    assert_eq!(client.response().await.status, 413);
    client.closed().await;

    let mut client = server.connect().await;
    client.send(ask(1000)).await.unwrap();
    assert_eq!(client.response().await.status, 100);
    client.send("x".repeat(1000)).await.unwrap();
    assert_eq!(client.response().await.status, 200);
}

/// It is not known to be too much before it has come.
#[tokio::test]
async fn a_client_that_asks_first_and_sends_too_much_in_chunks_is_answered() {
    let server = TestServer::limited(small_bodies()).await;
    let mut client = server.connect().await;
    let head = "POST /v1/policies/ok HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                transfer-encoding: chunked\r\nexpect: 100-continue\r\n\r\n";
    client.send(head).await.unwrap();
    assert_eq!(client.response().await.status, 100);
    let chunk = format!("186a0\r\n{}\r\n", "x".repeat(100_000));
    for _ in 0..100 {
        client.send(&chunk).await.unwrap();
    }
    client.send("0\r\n\r\n").await.unwrap();
    assert_eq!(client.response().await.status, 413);
}

#[tokio::test]
async fn garbage_harms_nobody_else() {
    let server = TestServer::start().await;

    // Not TLS at all.
    let mut client = Client::plain(server.webhook).await.unwrap();
    client.send([0u8, 1, 2, 255].repeat(1000)).await.unwrap();
    server.metric("rejob_tls_handshake_failures_total", 1).await;

    // A TLS record that breaks off.
    let mut client = Client::plain(server.webhook).await.unwrap();
    client.send([0x16, 3, 1, 0x40, 0, 1]).await.unwrap();
    client.half_close().await;
    server.metric("rejob_tls_handshake_failures_total", 2).await;

    // Not HTTP.
    let mut client = server.connect().await;
    client.send("\u{1}\u{2}\r\n\r\n").await.unwrap();
    assert_eq!(client.response().await.status, 400);
    client.closed().await;

    // A request that breaks off in its headers, and one in its body.
    for bytes in ["POST /v1/poli", "POST /v1/policies/ok HTTP/1.1\r\ncontent-length: 9\r\n\r\n{"] {
        let mut client = server.connect().await;
        client.send(bytes).await.unwrap();
        client.half_close().await;
    }

    // Chunks that are none.
    let mut client = server.connect().await;
    let head = "POST /v1/policies/ok HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                transfer-encoding: chunked\r\n\r\nnot a length\r\n";
    client.send(head).await.unwrap();
    let response = client.response().await;
    assert_eq!(response.status, 400);
    assert!(response.error().contains("cannot be read"), "{response:?}");

    server.is_fine().await;
    server.metric("rejob_in_flight", 0).await;
}

#[tokio::test]
async fn plain_http_on_the_tls_port_is_told_so() {
    let server = TestServer::start().await;
    let mut client = Client::plain(server.webhook).await.unwrap();
    let response = client.get("/livez").await;
    assert_eq!(response.status, 400);
    assert!(response.error().contains("https://"), "{response:?}");
    client.closed().await;
}

#[tokio::test]
async fn a_connection_is_reused_and_pipelined_requests_are_answered_in_order() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    for _ in 0..3 {
        assert_eq!(client.post("/v1/policies/ok", "{}").await.status, 200);
    }
    let bodies = ["1", "22", "333"];
    let all: String = bodies.iter().map(|body| post("/v1/policies/ok", body)).collect();
    client.send(all).await.unwrap();
    for body in bodies {
        assert_eq!(client.response().await.body, format!("{{\"length\":{}}}", body.len()));
    }
    server.metric("rejob_open_connections", 1).await;
}

#[tokio::test]
async fn what_http_cannot_be_read_from_is_answered_too() {
    let server = TestServer::start().await;
    let lines =
        |headers: &str| format!("POST /v1/policies/ok HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
    let many = "x-many: y\r\n".repeat(300);
    for (bytes, status) in [
        ("\u{1}\u{2}\r\n\r\n".to_owned(), 400),
        ("garbage\r\n\r\n".to_owned(), 400),
        ("GET /livez\r\n\r\n".to_owned(), 400),
        ("GET /livez HTTP/9.9\r\n\r\n".to_owned(), 400),
        ("GET /a b HTTP/1.1\r\n\r\n".to_owned(), 400),
        (lines("content-length: x\r\n"), 400),
        (lines("content-length: -1\r\n"), 400),
        (lines("content-length: 2\r\ncontent-length: 3\r\n"), 400),
        (lines("content-length: 99999999999999999999\r\n"), 400),
        (lines("content-length: 18446744073709551615\r\n"), 431),
        (lines("bad name: x\r\n"), 400),
        (lines("no colon\r\n"), 400),
        (lines("transfer-encoding: gzip\r\n"), 400),
        (lines(&many), 431),
        (lines(&format!("x: {}\r\n", "y".repeat(400_000))), 431),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 505),
        ("PRI * HTTP/2.0\r\n\r\n".to_owned(), 400),
    ] {
        let shown = &bytes[..bytes.len().min(80)];
        // As the first request, and after another one.
        for others in 0..2 {
            let mut client = server.connect().await;
            for _ in 0..others {
                assert_eq!(client.get("/livez").await.status, 200);
            }
            client.send(&bytes).await.unwrap();
            let response = client.response().await;
            assert_eq!(response.status, status, "{shown}: {response:?}");
            assert_eq!(response.header("connection"), Some("close"), "{shown}");
            if status == 505 {
                assert!(response.error().contains("HTTP/1.1 only"), "{shown}: {response:?}");
            }
            client.closed().await;
        }
    }
    server.metric("rejob_http_errors_total{code=\"431\"}", 6).await;
    server.metric("rejob_http_errors_total{code=\"505\"}", 2).await;
    // Which of the two depends on the pieces in which it arrives.
    let mut client = server.connect().await;
    client.send(format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000))).await.unwrap();
    assert!(matches!(client.response().await.status, 414 | 431));
    server.is_fine().await;
}

#[tokio::test]
async fn what_follows_a_good_request_at_once_is_answered_in_its_turn() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    client.send(post("/v1/policies/ok", "{}") + "garbage\r\n\r\n").await.unwrap();
    assert_eq!(client.response().await.body, "{\"length\":2}");
    assert_eq!(client.response().await.status, 400);
    client.closed().await;
}

#[tokio::test]
async fn a_head_that_breaks_off_is_answered() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    client.send("POST /v1/poli").await.unwrap();
    client.half_close().await;
    let response = client.response().await;
    assert_eq!(response.status, 400);
    assert!(response.error().contains("ends too early"), "{response:?}");
    client.closed().await;
}

#[tokio::test]
async fn who_ends_its_side_after_the_request_still_gets_the_answer() {
    let server = TestServer::start().await;
    for (policy, status) in [("ok", 200), ("slow", 504), ("nope", 404)] {
        let mut client = server.connect().await;
        client.send(post(&format!("/v1/policies/{policy}"), "{}")).await.unwrap();
        client.half_close().await;
        assert_eq!(client.response().await.status, status, "{policy}");
        client.closed().await;
    }
    // Not in its first request: the end is to arrive together with the next one.
    let mut client = server.connect().await;
    assert_eq!(client.get("/livez").await.status, 200);
    client.send("GET /livez HTTP/1.1\r\nhost: rejob\r\n\r\n").await.unwrap();
    client.half_close().await;
    assert_eq!(client.response().await.status, 200);
    client.closed().await;
}
