//! Other callers while the server runs.

use reqwest::StatusCode;
use serde_json::json;
use stockade_server::config::{AccessConfig, TenantConfig};

use crate::{
    client::{Session, Stream, events, last},
    harness::{TestServer, access_of, caller},
    stub::wait_for,
};

async fn listen(server: &TestServer, token: &str) -> Stream {
    let params = json!({ "notifications": { "toolsListChanged": true } });
    let response = server.client(token).modern("subscriptions/listen", params).send().await.expect("a reply");
    let mut stream = Stream::of(response);
    stream.next().await.expect("an acknowledgement");
    stream
}

async fn lists(session: &Session) -> StatusCode {
    session.request("tools/list", json!({})).await.status()
}

#[tokio::test]
async fn a_caller_who_is_taken_out_is_out_and_the_others_notice_nothing() {
    let server = TestServer::start().await;
    let (north, south) = (server.north().session().await, server.south().session().await);
    let (mut of_north, mut of_south) = (listen(&server, "token-north").await, listen(&server, "token-south").await);
    let mut standalone = Stream::of(north.get().await);
    let client = server.north();
    let calling = tokio::spawn(async move { client.call("wait", json!({})).await });
    wait_for(&server.tools.begun, 1).await;

    server.running.replace_callers(&access_of([caller("south", "acme"), caller("west", "acme")])).expect("callers");
    assert_eq!(lists(&north).await, StatusCode::UNAUTHORIZED);
    assert_eq!(of_north.next().await, None, "the stream ends");
    assert_eq!(standalone.next().await, None, "the session's too");
    // What had begun keeps what it began with.
    server.tools.may_end.add_permits(1);
    assert_eq!(calling.await.expect("no panic")["result"]["isError"], false);
    // A new caller is in; the one who stays keeps session and stream.
    assert_eq!(server.client("token-west").call("echo", json!({})).await["result"]["isError"], false);
    assert_eq!(lists(&south).await, StatusCode::OK);
    server.tools.add_further();
    assert_eq!(of_south.next().await.expect("a message")["method"], "notifications/tools/list_changed");
    // Back again, north finds nothing of its former session.
    server.running.replace_callers(&access_of([caller("north", "acme"), caller("south", "acme")])).expect("callers");
    assert_eq!(lists(&north).await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_caller_of_another_tenant_or_with_other_limits_begins_anew() {
    let server = TestServer::start().await;
    let (north, south) = (server.north().session().await, server.south().session().await);
    let mut access = access_of([caller("north", "other"), caller("south", "acme")]);
    server.running.replace_callers(&access).expect("callers");
    assert_eq!((lists(&north).await, lists(&south).await), (StatusCode::NOT_FOUND, StatusCode::OK));
    // Only what it may use has changed: a session would go on listing what it may not use any more.
    access
        .tenants
        .insert("acme".into(), TenantConfig { tools: Some(["echo".into()].into()), ..TenantConfig::default() });
    server.running.replace_callers(&access).expect("callers");
    assert_eq!(lists(&south).await, StatusCode::NOT_FOUND);
    let session = server.south().session().await;
    let listed = events(session.request("tools/list", json!({})).await).await;
    assert_eq!(last(&listed)["result"]["tools"].as_array().expect("tools").len(), 1);
}

#[tokio::test]
async fn what_a_tenant_has_used_of_its_day_stays_used() {
    let server = TestServer::start().await;
    let limited = |rows: u64| {
        let mut access = access_of([caller("north", "acme"), caller("south", "acme")]);
        let limits = TenantConfig { rows_per_day_max: Some(rows), ..TenantConfig::default() };
        access.tenants.insert("acme".into(), limits);
        access
    };
    server.running.replace_callers(&limited(100)).expect("callers");
    server.north().call("echo", json!({ "rows": 60 })).await;
    server.running.replace_callers(&limited(50)).expect("callers");
    let refused = server.north().modern("tools/call", json!({ "name": "echo" })).send().await.expect("a reply");
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    server.running.replace_callers(&limited(100)).expect("callers");
    assert_eq!(server.north().call("echo", json!({})).await["result"]["isError"], false);
}

#[tokio::test]
async fn what_a_tenant_has_used_of_its_minute_stays_used() {
    let server = TestServer::start().await;
    let limited = |calls: u32| {
        let mut access = access_of([caller("north", "acme"), caller("south", "acme")]);
        let limits = TenantConfig { calls_per_minute_max: Some(calls), ..TenantConfig::default() };
        access.tenants.insert("acme".into(), limits);
        access
    };
    let call = async || {
        let reply = server.north().modern("tools/call", json!({ "name": "echo" })).send().await.expect("a reply");
        reply.status()
    };
    server.running.replace_callers(&limited(3)).expect("callers");
    assert_eq!((call().await, call().await), (StatusCode::OK, StatusCode::OK));
    server.running.replace_callers(&limited(5)).expect("callers");
    for _ in 0..3 {
        assert_eq!(call().await, StatusCode::OK, "five less two");
    }
    assert_eq!(call().await, StatusCode::TOO_MANY_REQUESTS);
    server.running.replace_callers(&limited(2)).expect("callers");
    assert_eq!(call().await, StatusCode::TOO_MANY_REQUESTS, "and not a fresh minute");
}

#[tokio::test]
async fn wrong_callers_change_nothing() {
    let server = TestServer::start().await;
    let session = server.north().session().await;
    let mut wrong = access_of([caller("south", "acme")]);
    wrong.tenants.insert("nobody".into(), TenantConfig::default());
    assert!(server.running.replace_callers(&wrong).is_err());
    assert!(server.running.replace_callers(&AccessConfig::default()).is_err(), "nobody could call");
    assert_eq!(lists(&session).await, StatusCode::OK);
}
