//! What is not a proper request.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::TestServer;

#[tokio::test]
async fn what_is_not_json_rpc_gets_a_json_rpc_error() {
    let server = TestServer::start().await;
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    for (body, code, id) in [
        ("", -32700, Value::Null),
        ("{", -32700, Value::Null),
        ("\u{0}\u{1}", -32700, Value::Null),
        (deep.as_str(), -32600, Value::Null),
        ("null", -32600, Value::Null),
        ("5", -32600, Value::Null),
        ("{}", -32600, Value::Null),
        ("[]", -32600, Value::Null),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"tools/list"}]"#, -32600, Value::Null),
        (r#"{"jsonrpc":"1.0","id":9,"method":"tools/list"}"#, -32600, json!(9)),
        (r#"{"jsonrpc":"2.0","id":"a","method":5}"#, -32600, json!("a")),
        (r#"{"jsonrpc":"2.0","id":{"a":1},"method":"tools/list"}"#, -32600, Value::Null),
    ] {
        let response = server.north().post(body.to_owned()).send().await.expect("a reply");
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{body:.40}");
        let reply: Value = response.json().await.expect("JSON");
        assert_eq!((&reply["error"]["code"], &reply["id"]), (&json!(code), &id), "{body:.40}: {reply}");
    }
}

#[tokio::test]
async fn parameters_of_the_wrong_form_are_invalid_params() {
    let server = TestServer::start().await;
    let session = server.north().session().await;
    for params in [
        json!({}),
        json!({ "name": 5 }),
        json!({ "name": "echo", "arguments": [] }),
        json!({ "name": "echo", "arguments": "a" }),
    ] {
        let response = session.request("tools/call", params.clone()).await;
        let reply = crate::client::last(&crate::client::events(response).await).clone();
        assert_eq!(reply["error"]["code"], -32602, "{params}: {reply}");
        assert!(reply["error"]["message"].as_str().expect("text").contains("tools/call"), "{reply}");
    }
    let reply =
        server.north().modern("tools/call", json!({ "name": "echo", "arguments": 5 })).send().await.expect("a reply");
    let reply: Value = reply.json().await.expect("JSON");
    assert_eq!(reply["error"]["code"], -32602, "{reply}");
}

#[tokio::test]
async fn an_unknown_method_is_minus_32601() {
    let server = TestServer::start().await;
    for method in ["tools/destroy", "prompts/list", "resources/list", "logging/setLevel", "tasks/get"] {
        let reply = server.north().modern(method, json!({})).send().await.expect("a reply");
        let reply: Value = reply.json().await.expect("JSON");
        assert_eq!(reply["error"]["code"], -32601, "{method}: {reply}");
    }
}

#[tokio::test]
async fn headers_that_contradict_the_body_are_refused() {
    let server = TestServer::start().await;
    let request = server.north().modern("tools/call", json!({ "name": "echo" }));
    let mut request = request.build().expect("a request");
    request.headers_mut().insert("mcp-name", "who".parse().expect("a value"));
    let response = server.north().http.execute(request).await.expect("a reply");
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn another_content_type_is_not_a_parse_error() {
    let server = TestServer::start().await;
    let request = server.north().http.post(server.url("/mcp")).bearer_auth("token-north");
    let request =
        request.header("accept", "application/json, text/event-stream").header("content-type", "text/plain").body("{}");
    assert_eq!(request.send().await.expect("a reply").status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn a_cursor_that_was_never_given_is_refused() {
    let server = TestServer::start().await;
    let reply = server.north().modern("tools/list", json!({ "cursor": "x" })).send().await.expect("a reply");
    let reply: Value = reply.json().await.expect("JSON");
    assert_eq!(reply["error"]["code"], -32602, "{reply}");
}
