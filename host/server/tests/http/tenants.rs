//! What each tenant may use, and that one tenant's use is not another's.

use reqwest::StatusCode;
use serde_json::{Value, json};
use stockade_server::{
    AlwaysReady,
    config::{AccessConfig, ServerConfig},
};

use crate::{
    harness::{TestServer, caller},
    stub::wait_for,
};

/// `north` and `south` are of `acme`, `west` is of `zeta`; `tenants` is TOML.
async fn server(tenants: &str, change: impl FnOnce(&mut ServerConfig)) -> TestServer {
    let tenants = toml::from_str(tenants).expect("tables");
    let access = AccessConfig { callers: [caller("west", "zeta")].into(), tenants, ..AccessConfig::default() };
    TestServer::with_all(change, access, std::sync::Arc::new(AlwaysReady)).await
}

async fn names(client: crate::client::Client) -> Vec<String> {
    let reply: Value =
        client.modern("tools/list", json!({})).send().await.expect("a reply").json().await.expect("JSON");
    let tools = reply["result"]["tools"].as_array().expect("tools").clone();
    tools.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect()
}

#[tokio::test]
async fn a_tenant_sees_and_calls_its_plugins_and_tools_and_no_others() {
    let tenants = "[acme]\nplugins = ['stub']\ntools = ['echo', 'report']\n[zeta]\nplugins = ['reports']";
    let server = server(tenants, |_| {}).await;
    assert_eq!(names(server.north()).await, ["echo"], "both lists must hold");
    assert_eq!(names(server.client("token-west")).await, ["report"]);
    let unknown = server.north().call("no_such_tool", json!({})).await;
    for tool in ["who", "report", "wait"] {
        assert_eq!(server.north().call(tool, json!({})).await, unknown, "{tool}");
    }
    let session = server.north().session().await;
    let reply = session.request("tools/call", json!({ "name": "who" })).await.text().await.expect("a body");
    assert!(reply.contains("-32602") && reply.contains("Unknown tool"), "{reply}");
    assert_eq!(server.north().call("echo", json!({})).await["result"]["isError"], false);
}

#[tokio::test]
async fn an_empty_list_is_nothing() {
    let server = server("[acme]\nplugins = []", |_| {}).await;
    assert!(names(server.north()).await.is_empty());
    assert_eq!(names(server.client("token-west")).await.len(), 5);
}

#[tokio::test]
async fn beyond_the_calls_of_a_minute_there_is_429_with_a_time() {
    let server = server("[acme]\ncalls_per_minute_max = 2", |_| {}).await;
    // The tenant's callers share them, and unknown tools count.
    assert_eq!(server.north().call("echo", json!({})).await["result"]["isError"], false);
    assert_eq!(server.south().call("no_such_tool", json!({})).await["error"]["code"], -32602);
    for tool in ["echo", "no_such_tool"] {
        let request = server.north().modern("tools/call", json!({ "name": tool, "arguments": {} }));
        let response = request.send().await.expect("a reply");
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        let after: u64 = response.headers()["retry-after"].to_str().expect("text").parse().expect("seconds");
        assert!((1..=30).contains(&after), "{after}");
        let reply: Value = response.json().await.expect("JSON");
        let text = reply["result"]["content"][0]["text"].as_str().expect("text");
        let expected = format!("LIMIT_REACHED: this tenant has used what it may; try again in {after} s");
        assert!(text.starts_with(&expected), "{text}");
    }
    let session = server.south().session().await;
    let reply = session.request("tools/call", json!({ "name": "echo" })).await.text().await.expect("a body");
    assert!(reply.contains("LIMIT_REACHED"), "{reply}");
    assert_eq!(names(server.north()).await.len(), 5, "lists are no calls");
    assert_eq!(server.client("token-west").call("echo", json!({})).await["result"]["isError"], false);
}

#[tokio::test]
async fn beyond_the_rows_of_a_day_the_next_call_is_refused() {
    let server = server("[acme]\nrows_per_day_max = 10", |_| {}).await;
    for rows in [9, 1] {
        assert_eq!(server.north().call("echo", json!({ "rows": rows })).await["result"]["isError"], false);
    }
    let request = server.south().modern("tools/call", json!({ "name": "echo", "arguments": {} }));
    let response = request.send().await.expect("a reply");
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    let after: u64 = response.headers()["retry-after"].to_str().expect("text").parse().expect("seconds");
    assert!((1..=86_400).contains(&after), "{after}");
    assert_eq!(server.client("token-west").call("echo", json!({ "rows": 100 })).await["result"]["isError"], false);
}

#[tokio::test]
async fn beyond_the_cpu_time_of_a_day_the_next_call_is_refused() {
    let server = server("[acme]\ncpu_s_per_day_max = 2", |_| {}).await;
    for cpu_ms in [1_999, 1] {
        assert_eq!(server.north().call("echo", json!({ "cpu_ms": cpu_ms })).await["result"]["isError"], false);
    }
    let request = server.south().modern("tools/call", json!({ "name": "echo", "arguments": {} }));
    let response = request.send().await.expect("a reply");
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    let after: u64 = response.headers()["retry-after"].to_str().expect("text").parse().expect("seconds");
    assert!((1..=86_400).contains(&after), "{after}");
    assert_eq!(server.client("token-west").call("echo", json!({ "cpu_ms": 9_000 })).await["result"]["isError"], false);
}

#[tokio::test]
async fn a_tenants_calls_wait_for_its_own_places_alone() {
    let server = server("[acme]\ncalls_max = 1", |config| config.call_queue_timeout_ms = 50).await;
    let client = server.north();
    let waiting = tokio::spawn(async move { client.call("wait", json!({})).await });
    wait_for(&server.tools.begun, 1).await;
    // Another caller of the same tenant waits in vain, another tenant does not wait.
    let busy = server.south().call("echo", json!({})).await;
    assert!(busy.to_string().contains("SERVER_BUSY"), "{busy}");
    assert_eq!(server.client("token-west").call("echo", json!({})).await["result"]["isError"], false);
    server.tools.may_end.add_permits(1);
    waiting.await.expect("no panic");
    assert_eq!(server.south().call("echo", json!({})).await["result"]["isError"], false);
}

#[tokio::test]
async fn a_tenants_requests_have_a_limit_of_their_own() {
    let server = server("[acme]\nrequests_max = 1", |_| {}).await;
    let client = server.north();
    let waiting = tokio::spawn(async move { client.call("wait", json!({})).await });
    wait_for(&server.tools.begun, 1).await;
    let refused = server.south().modern("tools/list", json!({})).send().await.expect("a reply");
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(server.client("token-west").call("echo", json!({})).await["result"]["isError"], false);
    server.tools.may_end.add_permits(1);
    waiting.await.expect("no panic");
}

#[tokio::test]
async fn a_tenants_sessions_have_a_limit_of_their_own() {
    let server = server("[acme]\nsessions_max = 1", |_| {}).await;
    let session = server.north().session().await;
    let refused = server.south().initialize().await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(session.request("tools/list", json!({})).await.status(), StatusCode::OK, "nobody lost one for it");
    server.client("token-west").session().await;
}
