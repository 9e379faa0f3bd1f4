//! Going away: not ready first, then no new connections, and nothing in flight is lost.

use std::time::Duration;

use rejob::server::Limits;

use super::client::{Client, PATIENCE, eventually, post};
use super::stub::TestServer;

const LONG: Duration = Duration::from_hours(1);

async fn ended(server: TestServer) {
    tokio::time::timeout(PATIENCE, server.running).await.expect("the server runs on").unwrap();
}

#[tokio::test]
async fn during_the_grace_everything_is_served_but_each_answer_closes() {
    let mut server = TestServer::limited(Limits { drain_grace: LONG, ..Limits::default() }).await;
    let mut idle = server.connect().await;
    assert_eq!(idle.get("/livez").await.header("connection"), None);
    let slow = server.reviewing("slow", 1).await;

    server.stop();
    eventually("the server is not ready", || async { server.admin("/readyz").await.0 == 503 })
        .await;
    assert!(server.admin("/readyz").await.1.contains("draining"));
    assert_eq!(server.admin("/livez").await.0, 200);

    let mut late = server.connect().await;
    server.stub.gate.add_permits(1);
    for client in [&mut idle, &mut late] {
        client.send(post("/v1/policies/ok", "{}")).await.unwrap();
    }
    for mut client in [slow, idle, late] {
        let response = client.response().await;
        assert_eq!((response.status, response.header("connection")), (200, Some("close")));
        client.closed().await;
    }
    server.running.abort();
}

#[tokio::test]
async fn what_is_in_flight_is_answered_before_the_end() {
    let limits = Limits { drain_grace: Duration::ZERO, drain_timeout: LONG, ..Limits::default() };
    let mut server = TestServer::limited(limits).await;
    let mut idle = server.connect().await;
    assert_eq!(idle.get("/livez").await.status, 200);
    let mut slow = server.reviewing("slow", 1).await;

    server.stop();
    idle.closed().await;
    eventually("no connection is accepted", || async { server.try_connect().await.is_err() }).await;
    assert!(!server.running.is_finished(), "a review is in flight");
    server.stub.gate.add_permits(1);
    let response = slow.response().await;
    assert_eq!((response.status, response.header("connection")), (200, Some("close")));
    ended(server).await;
}

#[tokio::test]
async fn a_review_whose_client_is_gone_is_waited_for_too() {
    let limits = Limits { drain_grace: Duration::ZERO, drain_timeout: LONG, ..Limits::default() };
    let mut server = TestServer::limited(limits).await;
    let slow = server.reviewing("slow", 1).await;
    drop(slow);
    server.metric("rejob_open_connections", 0).await;
    server.stop();
    eventually("no connection is accepted", || async { server.try_connect().await.is_err() }).await;
    assert!(!server.running.is_finished(), "a review is in flight");
    server.stub.gate.add_permits(1);
    ended(server).await;
}

#[tokio::test]
async fn the_hard_limit_ends_what_does_not_end() {
    let short = Duration::from_millis(50);
    let limits = Limits { drain_grace: Duration::ZERO, drain_timeout: short, ..Limits::default() };
    let mut server = TestServer::limited(limits).await;
    let _hung = server.reviewing("hang", 1).await;
    server.stop();
    ended(server).await;
}

#[tokio::test]
async fn a_silent_client_does_not_hold_the_end_up() {
    let limits = Limits { drain_grace: Duration::ZERO, drain_timeout: LONG, ..Limits::default() };
    let mut server = TestServer::limited(limits).await;
    // One that never says hello, and one that never asks.
    let _silent = Client::plain(server.webhook).await.unwrap();
    let _connected = server.connect().await;
    server.metric("rejob_open_connections", 2).await;
    server.stop();
    ended(server).await;
}
