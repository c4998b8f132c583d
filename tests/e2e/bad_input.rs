//! What is wrong gets a clear error and harms nothing.

use serde_json::json;
use stockade_tests::TestApp;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn sql_that_is_no_single_query_is_refused_in_words() {
    let app = TestApp::start().await;
    let client = app.client("head-office");
    let before = app.database.count("orders").await;
    for (query, words) in [
        ("", "VALIDATION_ERROR"),
        ("   -- only a comment", "VALIDATION_ERROR"),
        ("what were my best stores?", "VALIDATION_ERROR"),
        ("SELECT 1; SELECT 2", "VALIDATION_ERROR"),
        ("COMMIT; DROP SCHEMA retail CASCADE", "VALIDATION_ERROR"),
        ("DELETE FROM retail.orders", "VALIDATION_ERROR"),
        ("WITH gone AS (DELETE FROM retail.orders RETURNING 1) SELECT * FROM gone", "VALIDATION_ERROR"),
        ("SELECT * INTO retail.copy FROM retail.orders", "VALIDATION_ERROR"),
        ("SELECT set_config('stockade.context', 'x', true)", "VALIDATION_ERROR"),
        ("SELECT * FROM retail.orders FOR UPDATE", "VALIDATION_ERROR"),
        ("SELECT no_such_column FROM retail.orders", "DATABASE_ERROR"),
        ("SELECT * FROM pg_catalog.pg_authid", "AUTHORIZATION_ERROR"),
    ] {
        let reply = client.call("execute_sales_query", json!({"query": query})).await;
        assert!(reply.error().starts_with(words), "{query:?}: {}", reply.error());
    }
    assert_eq!(app.database.count("orders").await, before, "nothing was harmed");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn an_endless_query_ends_with_the_call() {
    let app = TestApp::builder().plugins(&["execute-sales-query"]).database("statement_timeout_ms = 300").start().await;
    let query = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT max(n) FROM r";
    let reply = app.client("head-office").call("execute_sales_query", json!({"query": query})).await;
    assert!(reply.error().starts_with("QUERY_TIMEOUT"), "{}", reply.error());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn arguments_are_checked_before_the_plugin_starts() {
    let app = TestApp::start().await;
    let client = app.client("head-office");
    for (tool, arguments, words) in [
        ("semantic_search_products", json!({"query_description": "paint", "max_rows": 101}), "/max_rows"),
        ("semantic_search_products", json!({"query_description": 7}), "/query_description"),
        ("semantic_search_products", json!({}), "query_description"),
        ("get_store_performance", json!({"store_id": "not-a-uuid", "time_period": "last_30_days"}), "store_id"),
        ("top_products", json!({"time_period": "last_century"}), "/time_period"),
        ("noop", json!({"unexpected": 1}), "unexpected"),
    ] {
        let reply = client.call(tool, arguments).await;
        let error = reply.error();
        assert!(error.starts_with("VALIDATION_ERROR") && error.contains(words), "{tool}: {error}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn messages_that_make_no_sense_are_refused_and_the_next_one_works() {
    let app = TestApp::start().await;
    let client = app.client("head-office");
    assert_eq!(client.call("no_such_tool", json!({})).await.code(), -32602);
    for body in ["", "{", "[]", "null", "{\"jsonrpc\":\"2.0\",\"id\":1}", &"[".repeat(100_000)] {
        let status = client.post(body.to_owned()).send().await.unwrap().status();
        assert!(status.is_client_error(), "{status} for {:?}", &body[..body.len().min(20)]);
    }
    let large = json!({"name": "noop", "arguments": {"a": "x".repeat(5 << 20)}});
    let status = client.request("tools/call", large).send().await.unwrap().status();
    assert_eq!(status, 413);
    assert_eq!(client.call("noop", json!({})).await.structured(), &json!({}));
    app.stop().await;
}
