//! Clients hear of a plugin that is put into the folder, in both revisions.

use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use stockade_tests::TestApp;

use crate::plugins::place;

const OLDER: &str = "2025-11-25";
const CHANGED: &str = "notifications/tools/list_changed";

/// The messages of an open stream, one by one.
struct Stream {
    response: Response,
    text: String,
}

impl Stream {
    async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new() }
    }

    /// The next message; the client's own limit of time ends the wait for one that never comes.
    async fn next(&mut self) -> Value {
        loop {
            while let Some((line, rest)) = self.text.split_once('\n') {
                let message = line.strip_prefix("data:").map(str::trim).filter(|data| !data.is_empty());
                let message = message.map(|data| serde_json::from_str(data).unwrap());
                self.text = rest.to_owned();
                if let Some(message) = message {
                    return message;
                }
            }
            let chunk = self.response.chunk().await.unwrap().expect("the stream ended");
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

/// A host with one plugin, and what puts a second into its folder.
async fn host() -> TestApp {
    TestApp::builder().plugins(&["noop"]).start().await
}

fn place_a_second(app: &TestApp) {
    let packed = std::fs::read(stockade_tests::packed("get-current-utc-date")).unwrap();
    place(&app.plugins(), "get-current-utc-date.wasm", &packed);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_subscription_hears_of_a_plugin_that_is_placed() {
    let app = host().await;
    let client = app.client("seattle-store");
    let listen = json!({"notifications": {"toolsListChanged": true}});
    let mut stream = Stream::of(client.request("subscriptions/listen", listen)).await;
    assert_eq!(stream.next().await["method"], "notifications/subscriptions/acknowledged");
    place_a_second(&app);
    assert_eq!(stream.next().await["method"], CHANGED);
    assert_eq!(client.tool_names().await, ["get_current_utc_date", "noop"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_session_hears_of_a_plugin_that_is_placed() {
    let app = host().await;
    let http = app.client("seattle-store").http;
    let token = app.token("seattle-store");
    let headers = |request: RequestBuilder, session: &str| {
        let request = request.bearer_auth(&token).header("mcp-protocol-version", OLDER);
        if session.is_empty() { request } else { request.header("mcp-session-id", session) }
    };
    let post = |session: &str, message: Value| {
        let request = headers(http.post(app.url("/mcp")), session).header("content-type", "application/json");
        request.header("accept", "application/json, text/event-stream").body(message.to_string())
    };
    let client_info = json!({"name": "test", "version": "0"});
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {"protocolVersion": OLDER, "capabilities": {}, "clientInfo": client_info}});
    let opened = post("", initialize).send().await.unwrap();
    let session = opened.headers()["mcp-session-id"].to_str().unwrap().to_owned();
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(post(&session, initialized).send().await.unwrap().status(), StatusCode::ACCEPTED);

    let events = headers(http.get(app.url("/mcp")), &session).header("accept", "text/event-stream");
    let mut stream = Stream::of(events).await;
    place_a_second(&app);
    assert_eq!(stream.next().await["method"], CHANGED);
    let list = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"});
    let reply = Stream::of(post(&session, list)).await.next().await;
    let names: Vec<_> = reply["result"]["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
    assert_eq!(names, ["get_current_utc_date", "noop"]);
    app.stop().await;
}
