//! Lists and calls, in both revisions.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    client::{MODERN, OLDER, events, last},
    harness::TestServer,
    stub::SECRET,
};

#[tokio::test]
async fn discovery_names_the_server_and_its_revisions() {
    let server = TestServer::with(|config| config.instructions = Some("Sales data.".into())).await;
    let response = server.north().modern("server/discover", json!({})).send().await.expect("a reply");
    let reply: Value = response.json().await.expect("JSON");
    let versions = reply["result"]["supportedVersions"].as_array().expect("versions");
    assert!(versions.contains(&json!(MODERN)) && versions.contains(&json!(OLDER)), "{reply}");
    assert_eq!(reply["result"]["instructions"], "Sales data.");
    assert_eq!(reply["result"]["capabilities"]["tools"]["listChanged"], true);
}

#[tokio::test]
async fn tools_are_listed_as_read_only_in_both_revisions() {
    let server = TestServer::start().await;
    let modern = server.north().modern("tools/list", json!({})).send().await.expect("a reply");
    assert_eq!(modern.headers()["content-type"], "application/json");
    let modern: Value = modern.json().await.expect("JSON");
    let session = server.north().session().await;
    let older = last(&events(session.request("tools/list", json!({})).await).await).clone();
    assert_eq!(modern["result"]["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "stockade");
    assert_eq!(older["result"]["_meta"], Value::Null);
    assert_eq!(modern["result"]["tools"], older["result"]["tools"]);
    let tools = modern["result"]["tools"].as_array().expect("tools");
    assert_eq!(tools.len(), 5);
    assert_eq!(
        tools[0],
        json!({
            "name": "echo",
            "title": "Title of echo",
            "description": "What echo does",
            "inputSchema": { "type": "object" },
            "outputSchema": { "type": "object" },
            "annotations": { "readOnlyHint": true, "destructiveHint": false, "idempotentHint": true, "openWorldHint": false },
        })
    );
}

#[tokio::test]
async fn a_result_is_structured_and_text_in_both_revisions() {
    let server = TestServer::start().await;
    let params = json!({ "name": "echo", "arguments": { "a": [1, null, "ü"] } });
    let modern = server.north().call("echo", params["arguments"].clone()).await;
    let session = server.north().session().await;
    let older = last(&events(session.request("tools/call", params).await).await).clone();
    for reply in [&modern, &older] {
        assert_eq!(reply["id"], 7);
        assert_eq!(reply["result"]["structuredContent"], json!({ "a": [1, null, "ü"] }));
        assert_eq!(reply["result"]["content"][0]["text"], r#"{"a":[1,null,"ü"]}"#);
        assert_eq!(reply["result"]["isError"], false);
    }
    assert_eq!(modern["result"]["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "stockade");
    assert_eq!(older["result"]["_meta"], Value::Null);
}

#[tokio::test]
async fn the_request_id_is_the_servers_own() {
    let server = TestServer::start().await;
    let params = json!({ "name": "who", "arguments": {}, "_meta": { "request_id": "mine" } });
    let request = server.north().modern("tools/call", params).header("x-request-id", "mine");
    let reply: Value = request.send().await.expect("a reply").json().await.expect("JSON");
    let id = reply["result"]["structuredContent"]["request_id"].as_str().expect("an id").to_owned();
    let other = server.north().call("who", json!({})).await;
    assert_eq!(id.as_bytes()[14], b'7', "a UUID of version 7: {id}");
    assert_ne!(other["result"]["structuredContent"]["request_id"], id);
}

#[tokio::test]
async fn an_unknown_tool_is_minus_32602_in_both_revisions() {
    let server = TestServer::start().await;
    let modern = server.north().call("no_such_tool", json!({})).await;
    let session = server.north().session().await;
    let reply = session.request("tools/call", json!({ "name": "no_such_tool" })).await;
    let older = last(&events(reply).await).clone();
    for reply in [modern, older] {
        assert_eq!(reply["error"], json!({ "code": -32602, "message": "Unknown tool" }));
    }
}

#[tokio::test]
async fn a_failed_call_tells_its_caller_no_inner_text() {
    let server = TestServer::start().await;
    for (with, starts) in [
        ("validation", "VALIDATION_ERROR: no such store (request "),
        ("authorization", "AUTHORIZATION_ERROR: not allowed (request "),
        ("stopped", "MCP_ERROR: the tool was stopped (request "),
        ("unexpected", "MCP_ERROR: internal error (request "),
        ("panic", "MCP_ERROR: internal error (request "),
    ] {
        let reply = server.north().call("fail", json!({ "with": with })).await;
        assert_eq!(reply["result"]["isError"], true);
        let text = reply["result"]["content"][0]["text"].as_str().expect("text");
        assert!(text.starts_with(starts), "{text}");
        assert!(!reply.to_string().contains(SECRET));
    }
}

#[tokio::test]
async fn a_revision_from_the_future_or_the_past_is_settled() {
    let server = TestServer::start().await;
    let older = |version: &str| {
        let params =
            json!({ "protocolVersion": version, "capabilities": {}, "clientInfo": { "name": "t", "version": "0" } });
        server.north().post(crate::client::message("initialize", params)).send()
    };
    for (asked, answered) in [("2025-06-18", "2025-06-18"), ("2025-11-25", "2025-11-25"), ("1999-01-01", "2025-11-25")]
    {
        let response = older(asked).await.expect("a reply");
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(last(&events(response).await)["result"]["protocolVersion"], answered, "{asked}");
    }
}
