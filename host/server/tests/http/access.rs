//! Who gets in.

use reqwest::StatusCode;
use serde_json::json;

use crate::{
    client::{Client, message},
    harness::{NeverReady, TestServer},
};

#[tokio::test]
async fn without_a_valid_token_there_is_one_answer() {
    let server = TestServer::start().await;
    let http = reqwest::Client::new();
    let url = server.url("/mcp");
    let mut answers = Vec::new();
    for header in ["", "Bearer token-west", "Bearer", "Basic dG9rZW4tbm9ydGg=", "token-north", "Bearer token-north "] {
        for method in [reqwest::Method::POST, reqwest::Method::GET, reqwest::Method::DELETE, reqwest::Method::OPTIONS] {
            let request = http.request(method, &url).body(message("tools/list", json!({})));
            let request =
                if header.is_empty() { request } else { request.header("authorization", format!("{header}x")) };
            let response = request.send().await.expect("a reply");
            assert_eq!(response.headers()["www-authenticate"], "Bearer");
            answers.push((response.status(), response.text().await.expect("a body")));
        }
    }
    let first = answers.first().expect("an answer").clone();
    assert_eq!(first.0, StatusCode::UNAUTHORIZED);
    assert!(answers.iter().all(|answer| *answer == first), "{answers:?}");
}

#[tokio::test]
async fn two_authorization_headers_are_none() {
    let server = TestServer::start().await;
    let request = server.south().post(message("tools/list", json!({}))).header("authorization", "Bearer token-north");
    assert_eq!(request.send().await.expect("a reply").status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn each_token_is_its_caller() {
    let server = TestServer::start().await;
    for (client, name) in [(server.north(), "north"), (server.south(), "south")] {
        let reply = client.call("who", json!({})).await;
        assert_eq!(reply["result"]["structuredContent"]["name"], name);
    }
}

#[tokio::test]
async fn a_foreign_host_or_origin_is_refused() {
    let server = TestServer::with(|config| config.allowed_origins = vec!["https://app.example.com".into()]).await;
    let list = || server.north().modern("tools/list", json!({}));
    for (header, value, status) in [
        ("host", "evil.example.com", StatusCode::FORBIDDEN),
        ("host", "localhost", StatusCode::OK),
        ("origin", "https://evil.example.com", StatusCode::FORBIDDEN),
        ("origin", "https://app.example.com:8443", StatusCode::FORBIDDEN),
        ("origin", "http://app.example.com", StatusCode::FORBIDDEN),
        ("origin", "null", StatusCode::FORBIDDEN),
        ("origin", "https://app.example.com", StatusCode::OK),
    ] {
        let response = list().header(header, value).send().await.expect("a reply");
        assert_eq!(response.status(), status, "{header}: {value}");
    }
}

#[tokio::test]
async fn without_allowed_origins_every_origin_is_refused() {
    let server = TestServer::start().await;
    let request = server.north().modern("tools/list", json!({})).header("origin", "http://localhost");
    assert_eq!(request.send().await.expect("a reply").status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn health_needs_no_token_and_tells_nothing() {
    let server = TestServer::start().await;
    for (path, body) in [("/healthz", "alive\n"), ("/readyz", "ready\n")] {
        let response = reqwest::get(server.url(path)).await.expect("a reply");
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.text().await.expect("a body"), body);
    }
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_not_ready_but_alive() {
    let server = TestServer::with_ready(|config| config.ready_timeout_ms = 50, std::sync::Arc::new(NeverReady)).await;
    let response = reqwest::get(server.url("/readyz")).await.expect("a reply");
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.text().await.expect("a body"), "not ready\n");
    assert_eq!(reqwest::get(server.url("/healthz")).await.expect("a reply").status(), StatusCode::OK);
}

#[tokio::test]
async fn other_paths_are_not_found() {
    let server = TestServer::start().await;
    let client = Client::new(server.url("/"), Some("token-north"));
    let response = client.post(message("tools/list", json!({}))).send().await.expect("a reply");
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
}
