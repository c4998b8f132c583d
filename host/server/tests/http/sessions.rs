//! Sessions of the older revision: whose they are, and how many there may be.

use reqwest::StatusCode;
use serde_json::json;

use crate::{
    client::{events, last},
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
    let server = TestServer::with(|config| config.session_idle_timeout_s = 1).await;
    let session = server.north().session().await;
    let mut stream = crate::client::Stream::of(session.get().await);
    // The stream ends with the session.
    assert_eq!(stream.next().await, None);
    assert_eq!(session.request("tools/list", json!({})).await.status(), StatusCode::NOT_FOUND);
}
