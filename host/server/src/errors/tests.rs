use std::sync::Arc;

use serde_json::{Value, json};
use stockade_db::Inner;
use stockade_runtime::Invocation;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    AlwaysReady,
    config::{ServerConfig, TelemetryConfig},
    mcp::{Shared, stdio},
    serve,
    telemetry::Metrics,
    tools::one_tool::{OneTool, office},
};

fn operation() -> Operation {
    let metrics = Metrics::start(&TelemetryConfig::default()).expect("metrics");
    metrics.begin("tools/call", None, "tcp", None)
}

fn text(error: CallError) -> String {
    let result = answer(Failure::Call(error), "r-1", &mut operation()).expect("a tool error");
    assert_eq!(result.is_error, Some(true));
    assert_eq!(result.structured_content, None);
    result.content.first().and_then(|block| block.as_text()).expect("text").text.clone()
}

#[test]
fn every_case_says_what_the_caller_may_read_and_nothing_more() {
    let inner = || Inner::new("secret");
    let code = || "CODE".to_owned();
    let cases = [
        (CallError::InvalidArguments("`a`: is missing".into()), "VALIDATION_ERROR: `a`: is missing (request r-1)"),
        (
            CallError::Validation { code: code(), message: "no such store".into() },
            "VALIDATION_ERROR: no such store (request r-1)",
        ),
        (CallError::Authorization { code: code(), inner: inner() }, "AUTHORIZATION_ERROR: not allowed (request r-1)"),
        (
            CallError::Database { sqlstate: "42P01".into(), message: "relation \"x\" does not exist".into() },
            "DATABASE_ERROR: relation \"x\" does not exist [SQLSTATE 42P01] (request r-1)",
        ),
        (
            CallError::QueryTimeout { code: code() },
            "QUERY_TIMEOUT: the call ran out of time; it may be tried again (request r-1)",
        ),
        (
            CallError::Busy { limit: "a_limit" },
            "SERVER_BUSY: too many calls are running; try again in a moment (request r-1)",
        ),
        (
            CallError::Stopped { kind: StopKind::Limit("a_limit"), inner: inner() },
            "MCP_ERROR: the tool was stopped (request r-1)",
        ),
        (CallError::Failed { code: code(), inner: inner() }, "MCP_ERROR: the tool failed (request r-1)"),
        (
            CallError::Unavailable,
            "SERVER_BUSY: something that the call needs cannot be reached; try again in a moment (request r-1)",
        ),
        (CallError::Unexpected { inner: inner() }, "MCP_ERROR: internal error (request r-1)"),
    ];
    for (error, expected) in cases {
        assert_eq!(text(error), expected);
    }
}

#[test]
fn an_unknown_tool_is_a_protocol_error() {
    let error = answer(Failure::Call(CallError::UnknownTool), "r-1", &mut operation()).expect_err("a protocol error");
    assert_eq!((error.code.0, error.message.as_ref(), error.data), (-32602, "Unknown tool", None));
}

const SECRET: &str = "inner-text-of-a-failure";

/// Every way in which a call fails, with a secret wherever the caller may not look. A new one is to be
/// added here: the match says so.
fn every_kind() -> Vec<CallError> {
    let (secret, inner) = (|| SECRET.to_owned(), || Inner::new(SECRET));
    let (code, message) = (|| "CODE".to_owned(), || "for the caller".to_owned());
    let kinds = vec![
        CallError::UnknownTool,
        CallError::InvalidArguments(message()),
        CallError::Validation { code: secret(), message: message() },
        CallError::Authorization { code: secret(), inner: inner() },
        CallError::Database { sqlstate: code(), message: message() },
        CallError::QueryTimeout { code: secret() },
        CallError::Busy { limit: SECRET },
        CallError::Stopped { kind: StopKind::Limit(SECRET), inner: inner() },
        CallError::Stopped { kind: StopKind::Trap(SECRET), inner: inner() },
        CallError::Stopped { kind: StopKind::Result, inner: inner() },
        CallError::Failed { code: secret(), inner: inner() },
        CallError::Unavailable,
        CallError::Unexpected { inner: inner() },
    ];
    for kind in &kinds {
        match kind {
            CallError::UnknownTool
            | CallError::InvalidArguments(_)
            | CallError::Validation { .. }
            | CallError::Authorization { .. }
            | CallError::Database { .. }
            | CallError::QueryTimeout { .. }
            | CallError::Busy { .. }
            | CallError::Stopped { kind: StopKind::Limit(_) | StopKind::Trap(_) | StopKind::Result, .. }
            | CallError::Failed { .. }
            | CallError::Unavailable
            | CallError::Unexpected { .. } => {}
        }
    }
    kinds
}

/// The tool `fail`, which fails as `kind` in its arguments says; beyond the last kind it panics.
fn fails() -> Arc<OneTool> {
    OneTool::new("fail", |invocation: Invocation| async move {
        let kind = invocation.arguments["kind"].as_u64().and_then(|kind| usize::try_from(kind).ok());
        Err(every_kind().into_iter().nth(kind.expect("a number")).unwrap_or_else(|| panic!("{SECRET}")))
    })
}

/// All replies, and whether each says why in the words that are for the caller.
fn check(replies: &[String]) {
    assert_eq!(replies.len(), every_kind().len() + 1, "a reply to each, and to a panic");
    for reply in replies {
        assert!(!reply.contains(SECRET), "{reply}");
        let reply: Value = serde_json::from_str(reply).expect("JSON");
        let text = reply["result"]["content"][0]["text"].as_str().or(reply["error"]["message"].as_str());
        let text = text.unwrap_or_else(|| panic!("{reply}"));
        assert!(text == "Unknown tool" || text.contains(" (request "), "{text}");
    }
}

#[tokio::test]
async fn over_http_no_kind_of_failure_shows_its_inner_text() {
    let config = ServerConfig { listen: ([127, 0, 0, 1], 0).into(), ..ServerConfig::default() };
    let server = serve(&config, office(&config), fails(), Arc::new(AlwaysReady)).await.expect("a server");
    let mut replies = Vec::new();
    for kind in 0..=every_kind().len() {
        let version = "2026-07-28";
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": version, "io.modelcontextprotocol/clientCapabilities": {}
        });
        let params = json!({ "name": "fail", "arguments": { "kind": kind }, "_meta": meta });
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
        let request = reqwest::Client::new().post(format!("http://{}/mcp", server.local_addr())).bearer_auth("token");
        let request = request.header("content-type", "application/json").header("mcp-protocol-version", version);
        let request = request.header("accept", "application/json, text/event-stream");
        let request = request.header("mcp-method", "tools/call").header("mcp-name", "fail").body(message.to_string());
        let reply = request.send().await.expect("a reply");
        assert!(!format!("{:?}", reply.headers()).contains(SECRET));
        replies.push(reply.text().await.expect("a body"));
    }
    check(&replies);
}

#[tokio::test]
async fn over_stdio_no_kind_of_failure_shows_its_inner_text() {
    let config = ServerConfig::default();
    let metrics = Metrics::start(&TelemetryConfig::default()).expect("metrics");
    let shared = Arc::new(Shared::new(fails(), &config, metrics));
    let caller = office(&config).by_name("office").expect("it");
    let (client, server) = tokio::io::duplex(1 << 16);
    let (input, output) = tokio::io::split(server);
    let stop = CancellationToken::new();
    let serving = tokio::spawn(async move { stdio::serve_on(input, output, &config, shared, caller, stop).await });
    let (lines, mut requests) = tokio::io::split(client);
    let mut lines = BufReader::new(lines).lines();
    let initialize = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "0" } } });
    requests.write_all(format!("{initialize}\n").as_bytes()).await.expect("sent");
    lines.next_line().await.expect("a line").expect("one more");
    let mut replies = Vec::new();
    for kind in 0..=every_kind().len() {
        let params = json!({ "name": "fail", "arguments": { "kind": kind } });
        let call = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params });
        requests.write_all(format!("{call}\n").as_bytes()).await.expect("sent");
        replies.push(lines.next_line().await.expect("a line").expect("one more"));
    }
    check(&replies);
    drop((lines, requests));
    serving.await.expect("no panic");
}
