//! Tokens of an issuer: who gets in, what the server says of itself, what scopes do.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    client::{Stream, events, last, message},
    harness::TestServer,
    issuer::{Issuer, RESOURCE, access, claims, claims_but},
    signing::TestKey,
    stub::wait_for,
};

struct Bed {
    server: TestServer,
    key: TestKey,
    _issuer: Issuer,
}

impl Bed {
    async fn new() -> Self {
        let key = TestKey::es256("k-1");
        let issuer = Issuer::with(&[&key]).await;
        let server = TestServer::with_access(access(&format!("jwks_url = '{}'", issuer.url))).await;
        Self { server, key, _issuer: issuer }
    }

    fn client(&self, claims: &Value) -> crate::client::Client {
        self.server.client(&self.key.token(claims))
    }
}

#[tokio::test]
async fn each_algorithm_lets_its_callers_in() {
    let keys = [TestKey::es256("e"), TestKey::rs256("r"), TestKey::eddsa("d")];
    let issuer = Issuer::with(&[&keys[0], &keys[1], &keys[2]]).await;
    let server = TestServer::with_access(access(&format!("jwks_url = '{}'", issuer.url))).await;
    for key in &keys {
        let reply = server.client(&key.token(&claims())).call("who", json!({})).await;
        assert_eq!(reply["result"]["structuredContent"]["name"], "Ann", "{}", key.algorithm());
    }
    // Tokens that the configuration knows are good as before.
    assert_eq!(server.north().call("who", json!({})).await["result"]["structuredContent"]["name"], "north");
}

#[tokio::test]
async fn an_audience_among_others_and_a_clock_that_is_a_little_wrong_are_taken() {
    let bed = Bed::new().await;
    for claims in [
        claims_but("aud", Some(json!(["https://other.example.com", RESOURCE]))),
        claims_but("exp", Some(json!(crate::issuer::in_seconds(-10)))),
        claims_but("nbf", Some(json!(crate::issuer::in_seconds(10)))),
        claims_but("nbf", None),
    ] {
        let reply = bed.client(&claims).call("who", json!({})).await;
        assert_eq!(reply["result"]["structuredContent"]["name"], "Ann", "{claims}");
    }
}

#[tokio::test]
async fn metadata_stand_at_both_paths_and_challenges_lead_there() {
    let bed = Bed::new().await;
    let unauthorized = reqwest::Client::new().post(bed.server.url("/mcp")).send().await.expect("a reply");
    assert_eq!(unauthorized.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        unauthorized.headers()["www-authenticate"],
        "Bearer resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/mcp\", scope=\"tools:call\""
    );
    for path in ["/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"] {
        let response = reqwest::get(bed.server.url(path)).await.expect("a reply");
        assert_eq!(response.headers()["content-type"], "application/json");
        let document: Value = response.json().await.expect("JSON");
        assert_eq!(
            document,
            json!({
                "resource": RESOURCE,
                "authorization_servers": ["https://id.example.com"],
                "bearer_methods_supported": ["header"],
                "resource_name": "Stockade",
                "scopes_supported": ["tools:break", "tools:call", "tools:fail", "tools:hidden"],
            })
        );
    }
    let other = reqwest::get(bed.server.url("/.well-known/oauth-protected-resource/other")).await.expect("a reply");
    assert_eq!(other.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn without_oauth_there_are_no_metadata() {
    let server = TestServer::start().await;
    for path in ["/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"] {
        let response = reqwest::get(server.url(path)).await.expect("a reply");
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
    }
}

/// Status and challenge of an answer.
async fn refused(request: reqwest::RequestBuilder) -> (StatusCode, String) {
    let response = request.send().await.expect("a reply");
    let challenge = response.headers().get("www-authenticate").map(|value| value.to_str().expect("text").to_owned());
    (response.status(), challenge.unwrap_or_default())
}

#[tokio::test]
async fn a_token_without_a_scope_is_told_all_that_it_needs_at_once() {
    let bed = Bed::new().await;
    let metadata = "resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/mcp\"";
    let fail = json!({ "name": "fail", "arguments": {} });
    let (break_fail, one) = ("tools:break tools:call tools:fail", "tools:call");
    for (scopes, method, params, needed) in [
        (json!("openid"), "tools/list", json!({}), Some(one)),
        (json!(null), "tools/list", json!({}), Some(one)),
        (json!("tools:caller"), "tools/list", json!({}), Some(one)),
        (json!(["tools:call"]), "tools/list", json!({}), None),
        (json!("tools:call"), "tools/call", fail.clone(), Some(break_fail)),
        (json!("tools:call tools:fail"), "tools/call", fail.clone(), Some(break_fail)),
        (json!("tools:fail tools:break"), "tools/call", fail.clone(), Some(one)),
        (json!("tools:call tools:fail tools:break"), "tools/call", fail.clone(), None),
        (json!("tools:call"), "tools/call", json!({ "name": "echo", "arguments": {} }), None),
    ] {
        let client = bed.client(&claims_but("scope", Some(scopes.clone())));
        let answer = refused(client.modern(method, params)).await;
        let expected = match needed {
            None => (StatusCode::OK, String::new()),
            Some(needed) => {
                let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{needed}\", {metadata}");
                (StatusCode::FORBIDDEN, challenge)
            }
        };
        assert_eq!(answer, expected, "{scopes} {method}");
    }
}

#[tokio::test]
async fn scopes_hold_for_each_request_of_a_session_and_for_static_tokens() {
    let bed = Bed::new().await;
    let fail = message("tools/call", json!({ "name": "fail" }));
    let session = bed.client(&claims_but("scope", Some(json!("tools:call tools:fail tools:break")))).session().await;
    let narrow = session.stolen_by(bed.client(&claims()));
    assert_eq!(narrow.post(serde_json::from_str(&fail).expect("JSON")).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(narrow.request("tools/list", json!({})).await.status(), StatusCode::OK, "the session is the caller's");
    assert_eq!(session.post(serde_json::from_str(&fail).expect("JSON")).await.status(), StatusCode::OK);
    // `north` has `tools:call` in the configuration, and no more.
    let (status, _) = refused(bed.server.north().modern("tools/call", json!({ "name": "fail" }))).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_message_that_reads_two_ways_gets_round_no_scope() {
    let bed = Bed::new().await;
    let session = bed.client(&claims()).session().await;
    let post = async |body: &str| {
        let request = bed.client(&claims()).post(body.to_owned()).header("mcp-session-id", &session.id);
        let response = request.header("mcp-protocol-version", "2025-11-25").send().await.expect("a reply");
        let (status, text) = (response.status(), response.text().await.expect("a body"));
        assert!(
            status.is_client_error() || text.contains("AUTHORIZATION_ERROR") || text.contains("\"error\""),
            "{text}"
        );
        assert!(!text.contains("MCP_ERROR"), "the tool ran: {text}");
    };
    for body in [
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","name":"fail"}}"#,
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"fail","name":"echo"}}"#,
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo"},"params":{"name":"fail"}}"#,
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/list","method":"tools/call","params":{"name":"fail"}}"#,
        r#"{"jsonrpc":"2.0","id":7,"method":"tools\/call","params":{"name":"f\u0061il"}}"#,
    ] {
        // Where the last of two counts and it is harmless, `echo` may answer.
        if body.ends_with(r#""name":"echo"}}"#) {
            continue;
        }
        post(body).await;
    }
}

#[tokio::test]
async fn a_hidden_tools_scopes_do_not_betray_it() {
    let bed = Bed::new().await;
    let hidden = bed.client(&claims()).call("hidden", json!({})).await;
    let unknown = bed.client(&claims()).call("no_such_tool", json!({})).await;
    assert_eq!(hidden["error"], unknown["error"]);
    assert_eq!(hidden["error"]["code"], -32602);
}

#[tokio::test]
async fn a_caller_whose_roles_or_tenant_change_is_another_caller() {
    let bed = Bed::new().await;
    let session = bed.client(&claims()).session().await;
    for other in [
        claims_but("roles", Some(json!(["admin"]))),
        claims_but("org", Some(json!("o2"))),
        claims_but("sub", Some(json!("p-bob"))),
    ] {
        let stolen = session.stolen_by(bed.client(&other));
        assert_eq!(stolen.request("tools/list", json!({})).await.status(), StatusCode::NOT_FOUND, "{other}");
    }
    let newer = session.stolen_by(bed.client(&claims_but("exp", Some(json!(crate::issuer::in_seconds(600))))));
    assert_eq!(newer.request("tools/list", json!({})).await.status(), StatusCode::OK, "a fresh token, the same caller");
}

#[tokio::test]
async fn a_session_ends_for_a_token_that_has_expired() {
    let bed = Bed::new().await;
    let session = bed.client(&claims()).session().await;
    let expired = session.stolen_by(bed.client(&claims_but("exp", Some(json!(crate::issuer::in_seconds(-60))))));
    assert_eq!(expired.request("tools/list", json!({})).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn open_streams_end_with_their_token() {
    let key = TestKey::es256("k-1");
    let issuer = Issuer::with(&[&key]).await;
    let server = TestServer::with_access(access(&format!("jwks_url = '{}'\nleeway_s = 0", issuer.url))).await;
    let client = server.client(&key.token(&claims_but("exp", Some(json!(crate::issuer::in_seconds(8))))));
    let session = client.session().await;
    let params = json!({ "notifications": { "toolsListChanged": true } });
    let listening = client.modern("subscriptions/listen", params).send().await.expect("a reply");
    for mut stream in [Stream::of(session.get().await), Stream::of(listening)] {
        let end = async { while stream.next().await.is_some() {} };
        tokio::time::timeout(std::time::Duration::from_secs(60), end).await.expect("the stream ends");
    }
    // The clock of tokens has whole seconds: the last one has just begun.
    let status = async || client.modern("tools/list", json!({})).send().await.expect("a reply").status();
    let refused = async { while status().await != StatusCode::UNAUTHORIZED {} };
    tokio::time::timeout(std::time::Duration::from_secs(60), refused).await.expect("the token expires");
}

#[tokio::test]
async fn callers_of_an_issuer_have_a_share_each() {
    let key = TestKey::es256("k-1");
    let issuer = Issuer::with(&[&key]).await;
    let access = access(&format!("jwks_url = '{}'", issuer.url));
    let ready = std::sync::Arc::new(stockade_server::AlwaysReady);
    let server = TestServer::with_all(|config| config.requests_per_caller_max = 1, access, ready).await;
    let ann = server.client(&key.token(&claims()));
    let bob = server.client(&key.token(&claims_but("sub", Some(json!("p-bob")))));
    let waiting = tokio::spawn({
        let ann = ann.clone();
        async move { ann.call("wait", json!({})).await }
    });
    wait_for(&server.tools.begun, 1).await;
    let again = ann.modern("tools/list", json!({})).send().await.expect("a reply");
    assert_eq!(again.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(bob.call("echo", json!({})).await["result"]["isError"], false);
    server.tools.may_end.add_permits(1);
    assert_eq!(waiting.await.expect("no panic")["result"]["isError"], false);
    assert_eq!(ann.call("echo", json!({})).await["result"]["isError"], false);
}

#[tokio::test]
async fn progress_and_cancelling_work_with_such_a_token() {
    let bed = Bed::new().await;
    let params = json!({ "name": "report", "arguments": {}, "_meta": { "progressToken": "t" } });
    let response = bed.client(&claims()).modern("tools/call", params).send().await.expect("a reply");
    let events = events(response).await;
    assert_eq!(events.len(), 4, "{events:?}");
    assert_eq!(last(&events)["result"]["isError"], false);
}
