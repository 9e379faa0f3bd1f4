//! What the server takes on at most: reviews, connections, time; and who may come in.

use std::time::Duration;

use rejob::certs::accepted_tokens;
use rejob::server::Limits;

use super::client::{Client, PATIENCE, eventually, get, post};
use super::stub::TestServer;

const SHORT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn more_reviews_than_the_cap_are_told_to_come_back() {
    let limits = Limits { max_concurrent_reviews: 1, ..Limits::default() };
    let server = TestServer::limited(limits).await;
    let mut first = server.reviewing("slow", 1).await;

    let mut second = server.connect().await;
    let response = second.post("/v1/policies/ok", "{}").await;
    assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
    assert!(response.error().contains("try again"), "{response:?}");
    assert_eq!(second.get("/livez").await.status, 200, "probes do not count");
    server.metric("rejob_shed_total", 1).await;
    server.metric("rejob_in_flight", 1).await;

    server.stub.gate.add_permits(1);
    assert_eq!(first.response().await.status, 200);
    assert_eq!(second.post("/v1/policies/ok", "{}").await.status, 200);
}

#[tokio::test]
async fn large_bodies_have_a_bound_together_and_small_ones_get_through() {
    let megabyte = 1024 * 1024;
    let server =
        TestServer::limited(Limits { max_body_bytes: megabyte, ..Limits::default() }).await;
    let large = post("/v1/policies/slow", &"x".repeat(megabyte));
    let mut held = Vec::new();
    for count in 1..=3 {
        let mut client = server.connect().await;
        client.send(&large).await.unwrap();
        server.started(count).await;
        held.push(client);
    }
    let mut client = server.connect().await;
    client.send(&large).await.unwrap();
    assert_eq!(client.response().await.status, 503);
    assert_eq!(client.post("/v1/policies/ok", "{}").await.status, 200);
    server.stub.gate.add_permits(3);
    for mut client in held {
        assert_eq!(client.response().await.status, 200);
    }
    let response = client.post("/v1/policies/ok", &"x".repeat(megabyte)).await;
    assert_eq!(response.status, 200);
}

#[tokio::test]
async fn an_answer_that_nobody_reads_counts_until_it_is_gone() {
    let server = TestServer::start().await;
    // More than a connection holds.
    let large = post("/v1/policies/echo", &"x".repeat(8 * 1024 * 1024));
    let mut deaf = Vec::new();
    for count in 1..=3 {
        let mut client = server.connect().await;
        client.send(&large).await.unwrap();
        server.finished(count).await;
        deaf.push(client);
    }
    server.metric("rejob_in_flight", 0).await;
    let medium = "x".repeat(100 * 1024);
    let mut client = server.connect().await;
    assert_eq!(client.post("/v1/policies/ok", &medium).await.status, 503);
    drop(deaf);
    eventually("their shares are given back", || async {
        server.connect().await.post("/v1/policies/ok", &medium).await.status == 200
    })
    .await;
}

#[tokio::test]
async fn a_body_that_does_not_come_gives_its_place_back() {
    let limits = Limits { header_timeout: SHORT, ..Limits::default() };
    let server = TestServer::limited(limits).await;
    let mut client = server.connect().await;
    let head = "POST /v1/policies/ok?timeout=30s HTTP/1.1\r\nhost: x\r\n\
                content-type: application/json\r\ncontent-length: 8388608\r\n\r\n";
    client.send(head).await.unwrap();
    let response = client.response().await;
    assert_eq!((response.status, response.error().contains("in time")), (408, true));
}

/// The kubelet restarts a Pod whose probes are not answered.
#[tokio::test]
async fn connections_that_are_only_held_do_not_keep_the_admin_port_from_answering() {
    let server = TestServer::start().await;
    let mut held = Vec::new();
    for _ in 0..100 {
        held.push(Client::plain(server.admin).await.unwrap());
    }
    assert_eq!(server.admin("/livez").await.0, 200);
    for mut client in held {
        client.closed().await;
    }
}

#[tokio::test]
async fn a_panic_gives_its_place_back() {
    let limits = Limits { max_concurrent_reviews: 1, ..Limits::default() };
    let server = TestServer::limited(limits).await;
    let mut client = server.connect().await;
    for policy in ["panic", "late-panic"] {
        assert_eq!(client.post(&format!("/v1/policies/{policy}"), "{}").await.status, 500);
        assert_eq!(client.post("/v1/policies/ok", "{}").await.status, 200);
    }
}

#[tokio::test]
async fn the_reviewer_gets_the_timeout_of_the_request_less_a_margin() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    for (query, more_than, at_most) in [
        ("?timeout=3s", 0, 2_700),
        ("", 2_700, 9_500),
        ("?a=b&timeout=10s", 2_700, 9_500),
        ("?timeout=1m30s", 9_500, 29_500),
    ] {
        let response = client.post(&format!("/v1/policies/deadline{query}"), "{}").await;
        let milliseconds: u64 = response.body.parse().unwrap();
        assert!(milliseconds > more_than && milliseconds <= at_most, "{query}: {milliseconds}");
    }
}

#[tokio::test]
async fn a_review_that_takes_too_long_is_answered_for() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    let response = client.post("/v1/policies/hang?timeout=100ms", "{}").await;
    assert_eq!(response.status, 504);
    assert!(response.error().contains("timeout"), "{response:?}");
    assert_eq!(client.get("/livez").await.status, 200, "the connection is still good");
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_answered() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    let bytes = post("/v1/policies/ok?timeout=100ms", "{}");
    client.send(&bytes[..bytes.len() - 1]).await.unwrap();
    let response = client.response().await;
    assert_eq!((response.status, response.header("connection")), (408, Some("close")));
    server.metric("rejob_in_flight", 0).await;
}

#[tokio::test]
async fn a_review_is_not_broken_off_when_its_client_hangs_up() {
    let server = TestServer::start().await;
    let client = server.reviewing("slow", 1).await;
    drop(client);
    server.metric("rejob_open_connections", 0).await;
    server.metric("rejob_in_flight", 1).await;
    server.stub.gate.add_permits(1);
    server.finished(1).await;
}

#[tokio::test]
async fn a_review_is_told_when_nobody_waits_for_its_answer() {
    let server = TestServer::start().await;
    // The connection is cut.
    let client = server.reviewing("left", 1).await;
    drop(client);
    server.finished(1).await;
    // It is closed as TLS asks for, which may mean that only nothing more is sent.
    let mut client = server.reviewing("left", 2).await;
    client.half_close().await;
    let response = client.response().await;
    assert_eq!((response.status, response.header("connection")), (200, Some("close")));
    client.closed().await;
    // The server has answered in its place.
    let mut client = server.connect().await;
    assert_eq!(client.post("/v1/policies/left?timeout=100ms", "{}").await.status, 504);
    server.finished(3).await;
}

/// Tries until the client is as quick as a short limit asks: on a busy machine it may not be.
async fn in_time<T, F: Future<Output = Option<T>>>(mut attempt: impl FnMut() -> F) -> T {
    let tries = async {
        loop {
            if let Some(done) = attempt().await {
                return done;
            }
        }
    };
    tokio::time::timeout(PATIENCE, tries).await.expect("the client is never in time")
}

/// A connection on which a first request was answered.
async fn answered(server: &TestServer) -> Client {
    in_time(|| async {
        let mut client = server.connect().await;
        client.send(get("/livez")).await.ok()?;
        (client.try_response().await?.status == 200).then_some(client)
    })
    .await
}

#[tokio::test]
async fn headers_that_trickle_in_time_out() {
    let limits = Limits { header_timeout: SHORT, ..Limits::default() };
    let server = TestServer::limited(limits).await;
    // The first request of a connection, and one after another.
    for first in [true, false] {
        let (mut client, response) = in_time(|| async {
            let mut client = if first { server.connect().await } else { answered(&server).await };
            client.send("POST /v1/policies/ok HTTP/1.1\r\nx: ").await.ok()?;
            let response = client.try_response().await?;
            Some((client, response))
        })
        .await;
        assert_eq!((response.status, response.header("connection")), (408, Some("close")));
        assert!(response.error().contains("in time"), "{response:?}");
        client.closed().await;
    }
    server.metric("rejob_open_connections", 0).await;

    // Nothing was asked, nothing is answered.
    server.connect().await.closed().await;
}

#[tokio::test]
async fn an_idle_connection_outlasts_the_header_timeout_and_ends_with_its_own() {
    let limits = Limits { header_timeout: SHORT, ..Limits::default() };
    let server = TestServer::limited(limits).await;
    let mut client = answered(&server).await;
    tokio::time::sleep(6 * SHORT).await;
    assert_eq!(client.get("/livez").await.status, 200);

    let server = TestServer::limited(Limits { idle_timeout: SHORT, ..Limits::default() }).await;
    answered(&server).await.closed().await;
}

#[tokio::test]
async fn a_slow_review_is_no_idle_connection() {
    let limits = Limits { header_timeout: SHORT, idle_timeout: SHORT, ..Limits::default() };
    let server = TestServer::limited(limits).await;
    let mut client = in_time(|| async {
        let mut client = server.connect().await;
        client.send(post("/v1/policies/slow", "{}")).await.ok()?;
        tokio::select! {
            () = server.started(1) => Some(client),
            _ = client.try_response() => None,
        }
    })
    .await;
    tokio::time::sleep(6 * SHORT).await;
    server.stub.gate.add_permits(1);
    assert_eq!(client.response().await.status, 200);
}

#[tokio::test]
async fn a_handshake_that_does_not_come_times_out() {
    let limits = Limits { handshake_timeout: SHORT, ..Limits::default() };
    let server = TestServer::limited(limits).await;
    let mut client = Client::plain(server.webhook).await.unwrap();
    client.closed().await;
    server.metric("rejob_tls_handshake_failures_total", 1).await;
}

#[tokio::test]
async fn more_connections_than_the_cap_are_told_to_come_back() {
    let server = TestServer::limited(Limits { max_connections: 2, ..Limits::default() }).await;
    let mut held = [server.connect().await, server.connect().await];
    for client in &mut held {
        assert_eq!(client.get("/livez").await.status, 200);
    }
    for _ in 0..2 {
        let mut third = server.connect().await;
        let response = third.post("/v1/policies/ok", "{}").await;
        assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
        assert!(response.error().contains("--max-connections"), "{response:?}");
        third.closed().await;
    }
    server.metric("rejob_connections_over_limit_total", 2).await;
    server.metric("rejob_http_errors_total{code=\"503\"}", 2).await;
    for client in &mut held {
        assert_eq!(client.post("/v1/policies/ok", "{}").await.status, 200);
    }
    drop(held);
    server.metric("rejob_open_connections", 0).await;
    server.is_fine().await;
}

#[tokio::test]
async fn with_a_capability_other_paths_do_not_exist() {
    let tokens = accepted_tokens();
    let server = TestServer::with(Limits::default(), tokens.clone()).await;
    let mut client = server.connect().await;
    let nowhere = client.post("/nowhere", "{}").await;
    let good = "/v1/t/abc/policies/ok";
    assert_eq!(client.post(good, "{}").await.status, 404, "no token is set yet");
    tokens.set(["abc"]);
    assert_eq!(client.post(good, "{}").await.status, 200);
    for path in
        ["/v1/policies/ok", "/v1/t//policies/ok", "/v1/t/abd/policies/ok", "/v1/t/abcd/policies/x"]
    {
        let response = client.post(path, "{}").await;
        assert_eq!((response.status, &response.body), (404, &nowhere.body), "{path}");
    }
    assert_eq!(client.get("/v1/policies/ok").await.status, 404, "not even the method is told");

    tokens.set(["abc", "new"]);
    for token in ["abc", "new"] {
        assert_eq!(client.post(&format!("/v1/t/{token}/policies/ok"), "{}").await.status, 200);
    }
    tokens.set(["new"]);
    assert_eq!(client.post(good, "{}").await.status, 404);
}

#[tokio::test]
async fn without_a_capability_a_path_that_has_one_is_served_too() {
    let server = TestServer::start().await;
    let response = server.connect().await.post("/v1/t/abc/policies/ok", "{}").await;
    assert_eq!(response.status, 200);
}

#[tokio::test]
async fn the_admin_port_serves_probes_and_metrics_and_the_webhook_port_only_liveness() {
    let server = TestServer::start().await;
    assert_eq!(server.admin("/livez").await, (200, "ok".to_owned()));
    assert_eq!(server.admin("/readyz").await, (200, "[+]shutdown ok\n".to_owned()));
    assert!(server.admin("/metrics").await.1.contains("rejob_build_info{"));
    assert_eq!(server.admin("/v1/policies/ok").await.0, 404);
    let mut client = server.connect().await;
    assert_eq!(client.get("/livez").await.body, "ok");
    for path in ["/readyz", "/metrics"] {
        assert_eq!(client.get(path).await.status, 404, "{path}");
    }
}
