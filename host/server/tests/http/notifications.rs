//! Progress, cancellation, and changes of the list.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    client::{Stream, events},
    harness::TestServer,
    stub::wait_for,
};

fn assert_reports(messages: &[Value]) {
    let (result, reports) = messages.split_last().expect("messages");
    assert_eq!(result["result"]["isError"], false);
    let reports: Vec<_> = reports.iter().map(|report| &report["params"]).collect();
    // Two of the tool's five reports do not grow; NaN is none at all.
    let expected = [1, 2, 3].map(|done| {
        json!({ "progressToken": "p", "progress": f64::from(done), "total": 3.0, "message": format!("step {done}") })
    });
    assert_eq!(reports, expected.iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn progress_comes_before_the_result_in_both_revisions() {
    let server = TestServer::start().await;
    let params = json!({ "name": "report", "_meta": { "progressToken": "p" } });
    let modern = server.north().modern("tools/call", params.clone()).send().await.expect("a reply");
    assert_eq!(modern.headers()["content-type"], "text/event-stream");
    assert_reports(&events(modern).await);
    let session = server.north().session().await;
    assert_reports(&events(session.request("tools/call", params).await).await);
}

#[tokio::test]
async fn a_tool_that_reports_nothing_is_answered_in_plain_json() {
    let server = TestServer::start().await;
    let params = json!({ "name": "echo", "_meta": { "progressToken": "p" } });
    let reply = server.north().modern("tools/call", params).send().await.expect("a reply");
    assert_eq!(reply.headers()["content-type"], "application/json");
    let reply: Value = reply.json().await.expect("JSON");
    assert_eq!(reply["result"]["isError"], false);
}

#[tokio::test]
async fn a_client_that_leaves_cancels_its_call() {
    let server = TestServer::start().await;
    let client = server.north();
    let call = tokio::spawn(async move { client.call("wait", json!({})).await });
    wait_for(&server.tools.begun, 1).await;
    call.abort();
    wait_for(&server.tools.dropped, 1).await;
}

#[tokio::test]
async fn a_client_that_leaves_its_stream_cancels_its_call() {
    let server = TestServer::start().await;
    let params = json!({ "name": "wait", "_meta": { "progressToken": 1 } });
    let client = server.north();
    let call = tokio::spawn(async move { client.modern("tools/call", params).send().await });
    wait_for(&server.tools.begun, 1).await;
    call.abort();
    wait_for(&server.tools.dropped, 1).await;
}

#[tokio::test]
async fn a_cancelled_notification_cancels_the_call_of_its_session_alone() {
    let server = TestServer::start().await;
    let (session, other) = (server.north().session().await, server.north().session().await);
    let first = session.request("tools/call", json!({ "name": "wait" })).await;
    let second = other.request("tools/call", json!({ "name": "wait" })).await;
    wait_for(&server.tools.begun, 2).await;
    // Both calls have the id 7.
    let cancel = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 7, "reason": "enough" } });
    assert_eq!(session.post(cancel).await.status(), StatusCode::ACCEPTED);
    wait_for(&server.tools.dropped, 1).await;
    let answers = events(first).await;
    assert!(answers.is_empty(), "{answers:?}");
    server.tools.may_end.add_permits(1);
    assert_eq!(events(second).await.last().expect("a result")["result"]["isError"], false);
    assert_eq!(server.tools.dropped.available_permits(), 0);
}

#[tokio::test]
async fn a_subscription_hears_of_changes() {
    let server = TestServer::start().await;
    let params = json!({ "notifications": { "toolsListChanged": true, "promptsListChanged": true } });
    let response = server.north().modern("subscriptions/listen", params).send().await.expect("a reply");
    let mut stream = Stream::of(response);
    let acknowledged = stream.next().await.expect("an acknowledgement");
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(acknowledged["params"]["notifications"], json!({ "toolsListChanged": true }));
    server.tools.add_further();
    assert_eq!(stream.next().await.expect("a change")["method"], "notifications/tools/list_changed");
    let reply: Value =
        server.north().modern("tools/list", json!({})).send().await.expect("a reply").json().await.expect("JSON");
    assert_eq!(reply["result"]["tools"].as_array().expect("tools").len(), 6);
    // A change that this caller does not see is not told.
    server.tools.bump();
    server.north().modern("tools/list", json!({})).send().await.expect("a reply");
    server.running.shutdown().await;
    let next = stream.next().await.expect("the end");
    assert!(next["result"].is_object(), "the end comes next: {next}");
}

#[tokio::test]
async fn a_session_hears_of_changes() {
    let server = TestServer::start().await;
    let session = server.north().session().await;
    let mut stream = Stream::of(session.get().await);
    server.tools.add_further();
    assert_eq!(stream.next().await.expect("a change")["method"], "notifications/tools/list_changed");
}
