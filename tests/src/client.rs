//! A client of the newest revision, which shows what is on the wire.

use std::time::Duration;

use serde_json::{Value, json};

const REVISION: &str = "2026-07-28";

/// Calls tools as one caller.
#[derive(Clone, Debug)]
pub struct Client {
    /// For requests of another kind.
    pub http: reqwest::Client,
    /// Of the endpoint.
    pub url: String,
    token: Option<String>,
}

/// What a `tools/call` gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The whole message.
    pub message: Value,
}

impl Client {
    pub(crate) fn new(url: String, token: Option<String>) -> Self {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(60)).build().expect("a client");
        Self { http, url, token }
    }

    /// The same, as another caller, over the same connections.
    pub(crate) fn with_token(&self, token: String) -> Self {
        Self { token: Some(token), ..self.clone() }
    }

    /// A POST of any body.
    pub fn post(&self, body: impl Into<reqwest::Body>) -> reqwest::RequestBuilder {
        let request = self
            .http
            .post(&self.url)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", REVISION)
            .body(body);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// A request.
    pub fn request(&self, method: &str, mut params: Value) -> reqwest::RequestBuilder {
        params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!(REVISION);
        params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
        let name = params["name"].as_str().map(str::to_owned);
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let request = self.post(message.to_string()).header("mcp-method", method);
        match name {
            Some(name) => request.header("mcp-name", name),
            None => request,
        }
    }

    /// Call a tool.
    pub async fn call(&self, tool: &str, arguments: Value) -> Reply {
        let request = self.request("tools/call", json!({"name": tool, "arguments": arguments}));
        Reply { message: request.send().await.expect("a reply").json().await.expect("JSON") }
    }

    /// `tools/list`.
    pub async fn tools(&self) -> Vec<Value> {
        let reply: Value =
            self.request("tools/list", json!({})).send().await.expect("a reply").json().await.expect("JSON");
        reply["result"]["tools"].as_array().unwrap_or_else(|| panic!("no tools in {reply}")).clone()
    }

    /// The names of the tools, sorted.
    pub async fn tool_names(&self) -> Vec<String> {
        let tools = self.tools().await;
        let mut names: Vec<_> = tools.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect();
        names.sort();
        names
    }
}

impl Reply {
    /// The structured result of a call that went well.
    pub fn structured(&self) -> &Value {
        let result = &self.message["result"];
        assert!(!result["isError"].as_bool().unwrap_or(false), "an error: {}", self.message);
        assert!(result["structuredContent"].is_object(), "no result: {}", self.message);
        &result["structuredContent"]
    }

    /// The text of a tool's error.
    pub fn error(&self) -> &str {
        let result = &self.message["result"];
        assert_eq!(result["isError"], true, "no error: {}", self.message);
        result["content"][0]["text"].as_str().expect("a text")
    }

    /// [`Reply::error`] without the request id, which differs from call to call.
    pub fn error_without_id(&self) -> String {
        let text = self.error();
        text.rsplit_once(" (request ").map_or(text, |(before, _)| before).to_owned()
    }

    /// The request id that an error tells.
    pub fn request_id(&self) -> &str {
        let id = self.error().rsplit_once(" (request ").and_then(|(_, rest)| rest.strip_suffix(')'));
        id.unwrap_or_else(|| panic!("no request id: {}", self.message))
    }

    /// The JSON-RPC error code.
    pub fn code(&self) -> i64 {
        self.message["error"]["code"].as_i64().unwrap_or_else(|| panic!("no protocol error: {}", self.message))
    }
}
