//! Plugins that misbehave are stopped, alone.

use serde_json::json;
use stockade_tests::{Client, TestApp};

async fn app() -> TestApp {
    TestApp::builder().plugins(&["hostile", "noop", "execute-sales-query"]).start().await
}

/// Somebody else's call, started while `tool` runs, and one right after it: both work.
async fn call_and_neighbours(app: &TestApp, tool: &str) -> stockade_tests::Reply {
    let neighbour = app.client("online-store");
    let works = async |client: &Client| {
        let query = json!({"query": "SELECT count(*) AS n FROM retail.stores"});
        client.call("execute_sales_query", query).await.structured()["rows"][0][0] == json!(1)
    };
    let client = app.client("head-office");
    let (reply, meanwhile) = tokio::join!(client.call(tool, json!({})), works(&neighbour));
    assert!(meanwhile, "a call at the same time as {tool}");
    assert!(works(&neighbour).await, "a call right after {tool}");
    reply
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn what_exceeds_its_limits_is_stopped_and_the_caller_learns_nothing() {
    let app = app().await;
    for tool in ["spin", "eat_memory", "recurse", "panic", "lie", "many_host_calls", "two_cursors"] {
        let reply = call_and_neighbours(&app, tool).await;
        let error = reply.error();
        assert!(error.starts_with("MCP_ERROR: the tool was stopped"), "{tool}: {error}");
        for secret in ["secret of the plugin", "memory_mib", "wasm", "panicked", "maximum"] {
            assert!(!error.contains(secret), "{tool}: {error}");
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_query_beyond_the_deadline_is_a_time_out() {
    let app = app().await;
    let reply = call_and_neighbours(&app, "slow_query").await;
    assert!(reply.error().starts_with("QUERY_TIMEOUT"), "{}", reply.error());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn what_stays_within_its_limits_works() {
    let app = app().await;
    assert_eq!(call_and_neighbours(&app, "kept_cursor").await.structured(), &json!({"count": 10}));
    assert_eq!(call_and_neighbours(&app, "flood_log").await.structured(), &json!({"count": 100}));
    assert_eq!(
        call_and_neighbours(&app, "many_rows").await.structured(),
        &json!({"count": 100}),
        "`rows_max` of its manifest"
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn an_instance_serves_one_call_and_the_cache_one_caller() {
    let app = app().await;
    let (north, south) = (app.client("seattle-store"), app.client("tacoma-store"));
    for expected in 0..5 {
        assert_eq!(north.call("keep_for_next", json!({})).await.structured(), &json!({"count": expected}));
    }
    assert_eq!(
        south.call("keep_for_next", json!({})).await.structured(),
        &json!({"count": 0}),
        "another caller's cache"
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn fifty_spinning_calls_do_not_stop_the_others() {
    let app = app().await;
    let spinning = (0..50).map(|_| {
        let client = app.client("head-office");
        tokio::spawn(async move { client.call("spin", json!({})).await })
    });
    let spinning: Vec<_> = spinning.collect();
    for _ in 0..10 {
        assert_eq!(app.client("online-store").call("noop", json!({})).await.structured(), &json!({}));
    }
    for call in spinning {
        assert!(call.await.unwrap().error().starts_with("MCP_ERROR: the tool was stopped"));
    }
    app.stop().await;
}
