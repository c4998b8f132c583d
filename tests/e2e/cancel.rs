//! Who goes away takes the query on the server along.

use std::time::Duration;

use serde_json::json;
use sqlx::PgConnection;
use stockade_tests::TestApp;

/// Statements of the host's login that run now, in this database.
async fn running(admin: &mut PgConnection) -> i64 {
    sqlx::query_scalar(
        "SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND usename = 'stockade_login' AND state = 'active'",
    )
    .fetch_one(admin)
    .await
    .unwrap()
}

async fn until(admin: &mut PgConnection, expected: impl Fn(i64) -> bool, what: &str) {
    let wait = async {
        while !expected(running(admin).await) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(8), wait).await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_client_that_leaves_ends_its_query_on_the_server() {
    let app = TestApp::builder().plugins(&["execute-sales-query", "noop"]).start().await;
    let mut admin = app.database.admin().await;
    let query = "SELECT count(*) AS n FROM generate_series(1, 100000000000) AS s(i)";
    let client = app.client("head-office");
    let call = tokio::spawn(async move { client.call("execute_sales_query", json!({"query": query})).await });
    until(&mut admin, |n| n == 1, "the query runs on the server").await;
    call.abort();
    until(&mut admin, |n| n == 0, "the query ends on the server, before its time is over").await;
    let next = json!({"query": "SELECT 1 AS one"});
    assert_eq!(app.client("head-office").call("execute_sales_query", next).await.structured()["rows"][0][0], 1);
    app.stop().await;
}
