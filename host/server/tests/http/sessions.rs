//! Sessions of the older revision: whose they are, and how many there may be.

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    client::{Session, events, last, message},
    harness::TestServer,
    stub::wait_for,
};

#[tokio::test]
async fn another_callers_session_is_like_one_that_does_not_exist() {
    let server = TestServer::start().await;
    let session = server.north().session().await;
    let stolen = session.stolen_by(server.south());
    let unknown = crate::client::Session { client: server.south(), id: "no-such-session".into() };
    let cancel = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 7 } });
    let calling = session.request("tools/call", json!({ "name": "wait" })).await;
    wait_for(&server.tools.begun, 1).await;
    let mut answers = Vec::new();
    for session in [&stolen, &unknown] {
        let mut these = Vec::new();
        for response in [
            session.request("tools/list", json!({})).await,
            session.post(cancel.clone()).await,
            session.get().await,
            session.delete().await,
        ] {
            these.push((response.status(), response.text().await.expect("a body")));
        }
        answers.push(these);
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0][0].0, StatusCode::NOT_FOUND);
    // Neither the call nor the session has noticed.
    assert_eq!(server.tools.dropped.available_permits(), 0);
    server.tools.may_end.add_permits(1);
    assert_eq!(last(&events(calling).await)["result"]["isError"], false);
    assert_eq!(session.request("tools/list", json!({})).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn the_owner_closes_a_session_and_its_calls() {
    let server = TestServer::start().await;
    let session = server.north().session().await;
    let _calling = session.request("tools/call", json!({ "name": "wait" })).await;
    wait_for(&server.tools.begun, 1).await;
    assert_eq!(session.delete().await.status(), StatusCode::ACCEPTED);
    assert_eq!(session.request("tools/list", json!({})).await.status(), StatusCode::NOT_FOUND);
    wait_for(&server.tools.dropped, 1).await;
}

#[tokio::test]
async fn one_session_too_many_closes_the_callers_own_oldest() {
    let server = TestServer::with(|config| config.sessions_per_caller_max = 2).await;
    let others = server.south().session().await;
    let (first, second) = (server.north().session().await, server.north().session().await);
    // The first has been used last.
    assert_eq!(first.request("tools/list", json!({})).await.status(), StatusCode::OK);
    let third = server.north().session().await;
    assert_eq!(second.request("tools/list", json!({})).await.status(), StatusCode::NOT_FOUND);
    for session in [&first, &third, &others] {
        assert_eq!(session.request("tools/list", json!({})).await.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn when_there_is_no_room_a_session_is_refused_and_the_newer_revision_still_served() {
    let server = TestServer::with(|config| config.sessions_max = 1).await;
    let session = server.north().session().await;
    let refused = server.south().initialize().await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(server.south().call("echo", json!({})).await["result"]["isError"], false);
    assert_eq!(session.delete().await.status(), StatusCode::ACCEPTED);
    server.south().session().await;
}

#[tokio::test]
async fn an_idle_session_ends() {
    let server = TestServer::with(|config| config.session_idle_timeout_s = 3).await;
    let session = server.north().session().await;
    let mut stream = crate::client::Stream::of(session.get().await);
    // The stream ends with the session.
    assert_eq!(stream.next().await, None);
    assert_eq!(session.request("tools/list", json!({})).await.status(), StatusCode::NOT_FOUND);
}

/// Sends a call of `wait` and leaves once it has begun. Gives when the server has closed the connection.
pub(crate) async fn call_and_leave(server: &TestServer, session: &Session) {
    let body = message("tools/call", json!({ "name": "wait" }));
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer token-north\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nMcp-Session-Id: {}\r\nContent-Length: {}\r\n\r\n{body}",
        session.id,
        body.len()
    );
    let mut connection = TcpStream::connect(server.running.local_addr()).await.expect("a connection");
    connection.write_all(head.as_bytes()).await.expect("sent");
    wait_for(&server.tools.begun, 1).await;
    connection.shutdown().await.expect("closed");
    // The beginning of a stream, and the end.
    connection.read_to_end(&mut Vec::new()).await.expect("a reply");
}

#[tokio::test]
async fn a_call_whose_client_has_left_still_counts_among_the_callers_requests() {
    let server = TestServer::with(|config| config.requests_per_caller_max = 1).await;
    let session = server.north().session().await;
    call_and_leave(&server, &session).await;
    let list = async || server.north().modern("tools/list", json!({})).send().await.expect("a reply").status();
    assert_eq!(list().await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(server.tools.dropped.available_permits(), 0, "the call goes on");
    server.tools.may_end.add_permits(1);
    let free = async { while list().await != StatusCode::OK {} };
    tokio::time::timeout(std::time::Duration::from_secs(10), free).await.expect("the place comes back");
}

#[tokio::test]
async fn an_id_is_free_again_when_its_request_has_ended_and_not_before() {
    let server = TestServer::start().await;
    let session = server.north().session().await;
    let ping = async |id: Value| {
        let response = session.post(json!({ "jsonrpc": "2.0", "id": id, "method": "ping" })).await;
        let (status, text) = (response.status(), response.text().await.expect("a body"));
        (status, serde_json::from_str::<Value>(&text).unwrap_or_default())
    };
    let is_refused = |(status, reply): (StatusCode, Value)| {
        assert_eq!(
            (status, &reply["error"]["code"], &reply["id"]),
            (StatusCode::BAD_REQUEST, &json!(-32600), &json!(7))
        );
        assert!(reply["error"]["message"].as_str().expect("text").contains("under way"), "{reply}");
    };
    let is_free = async || {
        let free = async { while ping(json!(7)).await.0 != StatusCode::OK {} };
        tokio::time::timeout(std::time::Duration::from_secs(10), free).await.expect("the id is free");
    };
    let calling = session.request("tools/call", json!({ "name": "wait" })).await;
    wait_for(&server.tools.begun, 1).await;
    is_refused(ping(json!(7)).await);
    assert_eq!(ping(json!("7")).await.0, StatusCode::OK, "a text is another id");
    server.tools.may_end.add_permits(1);
    assert_eq!(last(&events(calling).await)["result"]["isError"], false, "the first one is answered");
    assert_eq!(ping(json!(7)).await.0, StatusCode::OK);
    // Of a client that has left.
    call_and_leave(&server, &session).await;
    is_refused(ping(json!(7)).await);
    server.tools.may_end.add_permits(1);
    is_free().await;
    // Of one that was cancelled.
    let _cancelled = session.request("tools/call", json!({ "name": "wait" })).await;
    wait_for(&server.tools.begun, 1).await;
    is_refused(ping(json!(7)).await);
    let cancel = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 7 } });
    assert_eq!(session.post(cancel).await.status(), StatusCode::ACCEPTED);
    is_free().await;
}
