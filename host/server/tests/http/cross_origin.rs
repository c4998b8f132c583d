//! Web pages of other origins.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::harness::TestServer;

const ALLOWED: &str = "https://app.example.com";

fn preflight(server: &TestServer, origin: &str) -> reqwest::RequestBuilder {
    let request = reqwest::Client::new().request(Method::OPTIONS, server.url("/mcp"));
    let request = request.header("origin", origin).header("access-control-request-method", "POST");
    request.header("access-control-request-headers", "authorization,content-type,mcp-protocol-version")
}

#[tokio::test]
async fn without_allowed_origins_no_page_is_told_that_it_may() {
    let server = TestServer::start().await;
    for request in
        [preflight(&server, ALLOWED), server.north().modern("tools/list", json!({})).header("origin", ALLOWED)]
    {
        let response = request.send().await.expect("a reply");
        assert!(!response.status().is_success(), "{}", response.status());
        assert!(!response.headers().keys().any(|name| name.as_str().starts_with("access-control")));
    }
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_may_call_and_one_of_another_may_not() {
    let server = TestServer::with(|config| config.allowed_origins = vec![ALLOWED.into()]).await;
    let response = preflight(&server, ALLOWED).send().await.expect("a reply");
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["access-control-allow-origin"], ALLOWED);
    assert!(response.headers()["access-control-allow-headers"].to_str().expect("text").contains("authorization"));
    assert!(!response.headers().contains_key("access-control-allow-credentials"));
    let list = |origin: &str| server.north().modern("tools/list", json!({})).header("origin", origin).send();
    let response = list(ALLOWED).await.expect("a reply");
    assert_eq!(
        (response.status(), &response.headers()["access-control-allow-origin"]),
        (StatusCode::OK, &ALLOWED.parse().expect("a value"))
    );
    for origin in
        ["https://evil.example.com", "https://app.example.com.evil.example.com", "http://app.example.com", "null"]
    {
        let response = preflight(&server, origin).send().await.expect("a reply");
        assert!(!response.headers().contains_key("access-control-allow-origin"), "{origin}");
        let response = list(origin).await.expect("a reply");
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{origin}");
        assert!(!response.headers().contains_key("access-control-allow-origin"), "{origin}");
    }
}
