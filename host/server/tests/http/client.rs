//! What a client puts on the wire, in both revisions, by hand: so that tests see the wire.

use std::time::Duration;

use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

pub(crate) const MODERN: &str = "2026-07-28";
pub(crate) const OLDER: &str = "2025-11-25";

#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) http: reqwest::Client,
    pub(crate) url: String,
    token: Option<String>,
}

impl Client {
    pub(crate) fn new(url: String, token: Option<&str>) -> Self {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().expect("a client");
        Self { http, url, token: token.map(str::to_owned) }
    }

    /// A POST with the headers that every message has.
    pub(crate) fn post(&self, body: impl Into<reqwest::Body>) -> RequestBuilder {
        let request = self
            .http
            .post(&self.url)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .body(body);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// A request of the newer revision.
    pub(crate) fn modern(&self, method: &str, mut params: Value) -> RequestBuilder {
        let name = params["name"].as_str().map(str::to_owned);
        params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!(MODERN);
        params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
        let request =
            self.post(message(method, params)).header("mcp-protocol-version", MODERN).header("mcp-method", method);
        match name {
            Some(name) => request.header("mcp-name", name),
            None => request,
        }
    }

    /// A call in the newer revision; its result, or its error.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Value {
        let response =
            self.modern("tools/call", json!({ "name": tool, "arguments": arguments })).send().await.expect("a reply");
        assert_eq!(response.status(), StatusCode::OK);
        response.json().await.expect("JSON")
    }

    /// Opens a session of the older revision.
    pub(crate) async fn session(&self) -> Session {
        let response = self.initialize().await;
        assert_eq!(response.status(), StatusCode::OK);
        let id = response.headers()["mcp-session-id"].to_str().expect("text").to_owned();
        let initialized = last(&events(response).await).clone();
        assert_eq!(initialized["result"]["protocolVersion"], OLDER);
        let session = Session { client: self.clone(), id };
        let accepted = session.post(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
        assert_eq!(accepted.status(), StatusCode::ACCEPTED);
        session
    }

    pub(crate) async fn initialize(&self) -> Response {
        let params =
            json!({ "protocolVersion": OLDER, "capabilities": {}, "clientInfo": { "name": "test", "version": "0" } });
        self.post(message("initialize", params)).send().await.expect("a reply")
    }
}

pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) id: String,
}

impl Session {
    /// The same session, as somebody else would use it.
    pub(crate) fn stolen_by(&self, client: Client) -> Self {
        Self { client, id: self.id.clone() }
    }

    pub(crate) async fn post(&self, body: Value) -> Response {
        let request = self.client.post(body.to_string());
        request.header("mcp-session-id", &self.id).header("mcp-protocol-version", OLDER).send().await.expect("a reply")
    }

    pub(crate) async fn get(&self) -> Response {
        let request = self.client.http.get(&self.client.url).header("accept", "text/event-stream");
        self.with_id(request).await
    }

    pub(crate) async fn delete(&self) -> Response {
        self.with_id(self.client.http.delete(&self.client.url)).await
    }

    async fn with_id(&self, request: RequestBuilder) -> Response {
        let request = request.header("mcp-session-id", &self.id).header("mcp-protocol-version", OLDER);
        request.bearer_auth(self.client.token.as_ref().expect("a token")).send().await.expect("a reply")
    }

    pub(crate) async fn request(&self, method: &str, params: Value) -> Response {
        self.post(serde_json::from_str(&message(method, params)).expect("JSON")).await
    }
}

pub(crate) fn message(method: &str, params: Value) -> String {
    json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params }).to_string()
}

/// All messages of a stream, once it has ended.
pub(crate) async fn events(response: Response) -> Vec<Value> {
    messages(&response.text().await.expect("a body"))
}

fn messages(text: &str) -> Vec<Value> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim);
    data.filter(|data| !data.is_empty()).map(|data| serde_json::from_str(data).expect("JSON")).collect()
}

pub(crate) fn last(messages: &[Value]) -> &Value {
    messages.last().expect("a message")
}

/// A stream that is read message by message, while it stays open.
pub(crate) struct Stream {
    response: Response,
    seen: usize,
    text: String,
}

impl Stream {
    pub(crate) fn of(response: Response) -> Self {
        assert_eq!(response.status(), StatusCode::OK);
        Self { response, seen: 0, text: String::new() }
    }

    /// The next message; `None` when the stream ends.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            // A message is whole once the blank line after it is there.
            let whole = self.text.rfind("\n\n").map_or("", |end| &self.text[..end]);
            if let Some(message) = messages(whole).get(self.seen) {
                self.seen += 1;
                return Some(message.clone());
            }
            let chunk = self.response.chunk().await.expect("a chunk")?;
            self.text.push_str(std::str::from_utf8(&chunk).expect("text"));
        }
    }
}
