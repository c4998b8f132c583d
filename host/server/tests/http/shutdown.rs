//! The end.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{client::Stream, harness::TestServer, stub::wait_for};

#[tokio::test]
async fn a_call_under_way_finishes_and_nobody_new_gets_in() {
    let server = TestServer::start().await;
    let (client, tools, url) = (server.north(), server.tools.clone(), server.url("/healthz"));
    let calling = tokio::spawn(async move { client.call("wait", json!({})).await });
    wait_for(&tools.begun, 1).await;
    let stopping = tokio::spawn(server.running.shutdown());
    // Once it has begun to stop, connections are refused.
    while reqwest::get(&url).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!stopping.is_finished());
    tools.may_end.add_permits(1);
    let reply = calling.await.expect("no panic");
    assert_eq!(reply["result"]["isError"], false);
    stopping.await.expect("no panic");
}

#[tokio::test]
async fn a_call_that_does_not_end_is_cut_off_after_the_grace() {
    // Longer than what connections get without it for their last bytes.
    let grace = Duration::from_secs(2);
    let server = TestServer::with(|config| config.shutdown_grace_s = grace.as_secs()).await;
    let (client, tools) = (server.north(), server.tools.clone());
    let calling = tokio::spawn(async move { client.modern("tools/call", json!({ "name": "wait" })).send().await });
    wait_for(&tools.begun, 1).await;
    let began = Instant::now();
    server.running.shutdown().await;
    wait_for(&tools.dropped, 1).await;
    // However slow the machine is: no timer is early.
    assert!(began.elapsed() >= grace, "cut off after {:?}", began.elapsed());
    let _ = calling.await.expect("no panic");
}

#[tokio::test]
async fn a_session_call_without_a_connection_has_ended_when_the_server_has() {
    let server = TestServer::with(|config| config.shutdown_grace_s = 1).await;
    let session = server.north().session().await;
    let tools = server.tools.clone();
    crate::sessions::call_and_leave(&server, &session).await;
    server.running.shutdown().await;
    assert_eq!(tools.dropped.available_permits(), 1, "what is recorded of it is recorded");
}

#[tokio::test]
async fn streams_end_without_waiting_for_the_grace() {
    // So long that to wait for it is to hang.
    let server = TestServer::with(|config| config.shutdown_grace_s = 3_600).await;
    let params = json!({ "notifications": { "toolsListChanged": true } });
    let response = server.north().modern("subscriptions/listen", params).send().await.expect("a reply");
    let mut subscription = Stream::of(response);
    subscription.next().await.expect("an acknowledgement");
    let session = server.north().session().await;
    let mut standalone = Stream::of(session.get().await);
    let stopped = tokio::time::timeout(Duration::from_secs(60), server.running.shutdown()).await;
    stopped.expect("the streams alone do not keep the server");
    let result: Value = subscription.next().await.expect("a result");
    assert_eq!((&result["id"], result["result"].is_object()), (&json!(7), true), "{result}");
    assert_eq!(subscription.next().await, None);
    assert_eq!(standalone.next().await, None);
}
