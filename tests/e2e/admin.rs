//! The operators' side.

use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::Executor as _;
use stockade_tests::{Responder, TestApp};

async fn health(app: &TestApp) -> (StatusCode, Value) {
    let response = app.operator("GET", "/health").send().await.expect("a reply");
    (response.status(), response.json().await.expect("JSON"))
}

async fn public(app: &TestApp, path: &str) -> (StatusCode, String) {
    let response = reqwest::get(app.url(path)).await.expect("a reply");
    (response.status(), response.text().await.expect("a body"))
}

/// `/readyz` remembers its answer for a second, and models are looked at every second.
async fn until<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), wait).await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn an_operator_sees_everything_and_nobody_else_anything() {
    let broken = ("broken", b"no component".to_vec());
    let app = TestApp::builder().admin("").plugins(&["noop"]).component(broken.0, broken.1).start().await;
    let (status, health) = health(&app).await;
    assert_eq!((status, &health["status"]), (StatusCode::OK, &json!("ready")), "{health:#}");
    assert!(health["database"]["ping_ms"].as_f64().expect("a time") > 0.0);
    assert_eq!(health["database"]["pools"]["calls"]["connections_max"], 10);
    assert_eq!(health["migrations"]["applied"], health["migrations"]["expected"], "{health:#}");
    assert_eq!(health["migrations"]["expected"].as_str().expect("a digest").len(), 12);
    assert_eq!(health["plugins"]["serving"][0]["name"], "noop");
    assert!(health["plugins"]["refused"][0]["file"].as_str().expect("a file").ends_with("broken.wasm"));
    assert_eq!(health["audit"][0]["ok"], true);
    assert_eq!(health["tenants"]["configured"], 1);

    let address = app.admin_address();
    let strangers = [None, Some("wrong".to_owned()), Some(app.token("head-office"))];
    for path in ["/health", "/stats", "/metrics", "/log-level", "/reload", "/nowhere"] {
        for token in &strangers {
            let request = reqwest::Client::new().get(format!("http://{address}{path}"));
            let request = token.iter().fold(request, |request, token| request.bearer_auth(token));
            let response = request.send().await.expect("a reply");
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path} {token:?}");
            assert_eq!(response.text().await.expect("a body"), "");
        }
    }
    assert_eq!(app.operator("GET", "/nowhere").send().await.expect("a reply").status(), StatusCode::NOT_FOUND);
    // And the operators' token is no caller's.
    let agent = app.client_with(Some(stockade_tests::OPERATOR_TOKEN));
    let response = agent.request("tools/list", json!({})).send().await.expect("a reply");
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    for path in ["/health", "/stats", "/metrics", "/log-level", "/reload"] {
        assert_eq!(public(&app, path).await.0, StatusCode::NOT_FOUND, "{path} is not for the public");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_host_whose_key_is_not_known_is_alive_and_not_ready() {
    let app = TestApp::builder().admin("").plugins(&["noop"]).start().await;
    assert_eq!(public(&app, "/readyz").await, (StatusCode::OK, "ready\n".into()));
    let mut admin = app.database.admin().await;
    admin.execute("UPDATE stockade.context_keys SET retired_at = now()").await.expect("retired");
    until("not ready", || async { public(&app, "/readyz").await.0 == StatusCode::SERVICE_UNAVAILABLE }).await;
    assert_eq!(public(&app, "/readyz").await.1, "not ready\n", "strangers learn no reason");
    assert_eq!(public(&app, "/healthz").await.0, StatusCode::OK);
    let (status, seen) = health(&app).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(seen["reasons"][0].as_str().expect("a reason").contains("context_key_file"), "{seen:#}");
    admin.execute("UPDATE stockade.context_keys SET retired_at = NULL").await.expect("back");
    until("ready again", || async { public(&app, "/readyz").await.0 == StatusCode::OK }).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_host_none_of_whose_plugins_serves_is_not_ready() {
    let app = TestApp::builder().component("broken", b"no component".to_vec()).start().await;
    assert_eq!(public(&app, "/readyz").await, (StatusCode::SERVICE_UNAVAILABLE, "not ready\n".into()));
    std::fs::copy(stockade_tests::packed("noop"), app.plugins().join("noop.wasm")).expect("a plugin");
    until("ready", || async { public(&app, "/readyz").await.0 == StatusCode::OK }).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn an_embedding_service_that_fails_is_seen_and_takes_nothing_down() {
    let service = Responder::start("500 Internal Server Error", "").await;
    let embedder = format!(
        "[embedders.remote]\nkind = \"openai\"\nurl = \"http://{}/v1/embeddings\"\nmodel = \"m\"",
        service.address()
    );
    let builder = TestApp::builder().admin("embedder_probe_s = 1").plugins(&["noop"]).sections(&embedder);
    let app = builder.start().await;
    let state = || async { health(&app).await.1["embedders"]["remote"].clone() };
    until("the failure is seen", || async { state().await["ok"] == false }).await;
    assert!(state().await["reason"].as_str().expect("a reason").contains("500"), "{}", state().await);
    assert_eq!(health(&app).await.0, StatusCode::OK);
    assert_eq!(public(&app, "/readyz").await.0, StatusCode::OK);
    app.client("head-office").call("noop", json!({})).await.structured();
    service.answer("200 OK", r#"{"data": [{"index": 0, "embedding": [1.0, 0.0]}]}"#);
    until("it is well again", || async { state().await["ok"] == true }).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn an_operator_changes_the_level_of_the_log_and_that_is_on_record() {
    let app = TestApp::builder().admin("").plugins(&["noop"]).start().await;
    let level = async |method: &str, level: &'static str| {
        let response = app.operator(method, "/log-level").body(level).send().await.expect("a reply");
        (response.status(), response.json::<Value>().await.expect("JSON"))
    };
    assert_eq!(level("GET", "").await, (StatusCode::OK, json!({ "level": "info" })));
    assert_eq!(level("POST", "info,stockade_db=debug\n").await.1, json!({ "level": "info,stockade_db=debug" }));
    let (status, refusal) = level("POST", "loud=very").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(refusal["error"].as_str().expect("a reason").contains("log.level"), "{refusal}");
    assert_eq!(level("GET", "").await.1, json!({ "level": "info,stockade_db=debug" }));
    let acts = async || {
        let query = "SELECT kind, decision, detail FROM stockade.audit_log WHERE outcome = 'LOG_LEVEL_SET' ORDER BY id";
        let query = sqlx::query_as::<_, (String, String, String)>(query);
        query.fetch_all(&mut app.database.admin().await).await.expect("the log")
    };
    until("both are on record", || async { acts().await.len() >= 2 }).await;
    let acts = acts().await;
    let set = "from \"info\" to \"info,stockade_db=debug\"";
    assert_eq!(acts[0], ("act".to_owned(), "allowed".to_owned(), set.to_owned()));
    assert_eq!((acts[1].1.as_str(), acts.len()), ("refused", 2));
    assert!(!acts[1].2.contains("very"), "{acts:?}");
    app.stop().await;
}
