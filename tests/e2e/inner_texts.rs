//! Real failures, as many kinds as can be provoked, and no reply that says what only the log may.

use serde_json::json;
use stockade_tests::TestApp;

/// Each leads to another failure; `c-4711` stands for what a statement is about.
const STATEMENTS: &[&str] = &[
    "SELECT 'c-4711' FROM",
    "SELECT 1; SELECT 2",
    "DELETE FROM retail.orders",
    "SELECT * FROM retail.no_such_table",
    "SELECT no_such_column FROM retail.orders",
    "SELECT * FROM stockade.audit_log",
    "SELECT * FROM pg_catalog.pg_authid",
    "SELECT rolpassword FROM pg_catalog.pg_roles",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT inet_server_addr()",
    "SELECT current_setting('data_directory')",
    "SELECT 1 / 0",
    "SELECT 'c-4711'::int",
    "SELECT count(*) FROM generate_series(1, 100000000000) AS s(i)",
    "SELECT repeat('c-4711', 1000000000)",
    "SELECT $1",
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn no_real_failure_tells_of_the_inside() {
    let plugins = ["execute-sales-query", "get-store-performance", "semantic-search-products", "hostile"];
    let app = TestApp::builder().plugins(&plugins).start().await;
    let client = app.client("seattle-store");
    let mut replies = Vec::new();
    for statement in STATEMENTS {
        replies.push(client.call("execute_sales_query", json!({ "query": statement })).await.message.to_string());
    }
    for tool in ["panic", "spin", "eat_memory", "recurse", "abort", "lie", "two_cursors", "slow_query", "huge_result"] {
        replies.push(client.call(tool, json!({})).await.message.to_string());
    }
    replies.push(client.call("get_store_performance", json!({ "store_id": "c-4711" })).await.message.to_string());
    // The database refuses connections, in words that name it.
    let mut admin = app.database.admin().await;
    let name: String = sqlx::query_scalar("SELECT current_database()").fetch_one(&mut admin).await.unwrap();
    let closed = "UPDATE pg_database SET datallowconn = false WHERE datname = current_database()";
    sqlx::raw_sql(closed).execute(&mut admin).await.unwrap();
    // Nobody comes in any more; those who are in go.
    let others = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                  WHERE datname = current_database() AND pid <> pg_backend_pid()";
    while sqlx::query_scalar::<_, i64>(others).fetch_one(&mut admin).await.unwrap() > 0 {}
    for _ in 0..3 {
        let reply = client.call("execute_sales_query", json!({ "query": "SELECT 1 AS one" })).await;
        let code = reply.error().split(':').next().unwrap();
        assert!(["MCP_ERROR", "SERVER_BUSY", "QUERY_TIMEOUT"].contains(&code), "{reply:?}");
        replies.push(reply.message.to_string());
    }

    let folder = app.plugins().parent().unwrap().display().to_string();
    let key_file = app.database.context_key_file.display().to_string();
    let inside = [
        name.as_str(),
        folder.as_str(),
        key_file.as_str(),
        "stockade_login",
        "stockade_owner",
        "secret of the plugin",
        "127.0.0.1",
        "/etc/passwd",
        ".rs:",
        "wasm",
        "c-4711",
        "DECLARE",
        "context_key",
        "panicked",
        "pool",
    ];
    for reply in &replies {
        assert!(reply.contains("isError\":true") || reply.contains("\"error\""), "it fails: {reply}");
        // What was asked for is in no reply but where PostgreSQL's own words about the statement have it, or those
        // of the schema about the argument.
        let quotes = reply.contains("SQLSTATE 22P02") || reply.contains("/store_id:");
        let words = if quotes { reply.replace("c-4711", "") } else { reply.clone() };
        for text in inside {
            assert!(!words.contains(text), "{text} in {reply}");
        }
    }
    app.stop().await;
}
