//! Plugins that misbehave are stopped, alone.

use serde_json::{Value, json};
use stockade_tests::{Client, Log, Reply, TestApp};

use crate::sandbox::attacks::{self, ATTACKS, Attack, Outcome};

/// What no caller may read of a plugin's end.
const INNER: [&str; 8] = ["secret of the plugin", "limit", "wasm", "panicked", "maximum", "handle", "utf-8", "memory"];

/// Another tenant's calls: one that computes nothing, and one that asks the database.
async fn works(neighbour: &Client) -> bool {
    let query = json!({"query": "SELECT count(*) AS n FROM generate_series(1, 3)"});
    neighbour.call("noop", json!({})).await.structured() == &json!({})
        && neighbour.call("execute_sales_query", query).await.structured()["rows"][0][0] == json!(3)
}

/// Another tenant's calls, started while `tool` runs, and right after it: all work.
async fn call_and_neighbours(app: &TestApp, tool: &str) -> Reply {
    let (client, neighbour) = (app.client("head-office"), app.client("neighbour"));
    let (reply, meanwhile) = tokio::join!(client.call(tool, json!({})), works(&neighbour));
    assert!(meanwhile, "a call at the same time as {tool}");
    assert!(works(&neighbour).await, "a call right after {tool}");
    reply
}

/// The line of the log that says how the call failed.
fn failure(reply: &Reply, tool: &str) -> Value {
    let lines = Log::keep().of_call(reply.request_id());
    let failed: Vec<_> = lines.iter().filter(|line| line["message"] == "call failed").collect();
    assert_eq!(failed.len(), 1, "{tool}: {lines:?}");
    failed[0].clone()
}

fn check(reply: &Reply, Attack { tool, outcome, .. }: &Attack) {
    let expected = match outcome {
        Outcome::Works(structured) | Outcome::Cut(_, structured) => {
            let expected: Value = serde_json::from_str(structured).unwrap();
            return assert_eq!(reply.structured(), &expected, "{tool}");
        }
        Outcome::Stopped(_) => "MCP_ERROR: the tool was stopped",
        Outcome::TimedOut => "QUERY_TIMEOUT: the call ran out of time; it may be tried again",
        Outcome::Denied => "AUTHORIZATION_ERROR: not allowed",
    };
    assert_eq!(reply.error_without_id(), expected, "{tool}");
    let told = reply.message.to_string();
    for inner in INNER {
        assert!(!told.replace(tool, "").contains(inner), "{tool}: {told}");
    }
    let line = failure(reply, tool);
    assert_eq!((&line["fault"], &line["level"]), (&json!("plugin"), &json!("WARN")), "{tool}: {line}");
    if let Outcome::Stopped(limit) = outcome {
        assert_eq!(line["detail"], json!(limit.unwrap_or_default()), "{tool}: {line}");
        let inner = line["inner"].as_str().expect("why it was stopped");
        assert!(limit.is_none_or(|limit| inner.contains(&format!("limit `{limit}` reached"))), "{tool}: {line}");
        assert!(!inner.is_empty(), "{tool}: {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn each_attack_is_stopped_alone_and_the_log_says_whose_fault_it_was() {
    Log::keep();
    let app = attacks::app().await;
    let mut failed = Vec::new();
    for attack in ATTACKS {
        let reply = call_and_neighbours(&app, attack.tool).await;
        if std::panic::catch_unwind(|| check(&reply, attack)).is_err() {
            failed.push(attack.tool);
        }
    }
    assert!(failed.is_empty(), "of {} attacks these came to something else: {failed:?}", ATTACKS.len());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn an_instance_serves_one_call_and_the_cache_one_caller() {
    let app = TestApp::builder().plugins(&["hostile"]).start().await;
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
    // Whoever waits its turn to be stopped, waits as long as it takes.
    let builder = TestApp::builder().plugins(&["hostile", "noop"]);
    let app = builder.server("call_queue_timeout_ms = 60000").start().await;
    let spinning = (0..50).map(|_| {
        let client = app.client("head-office");
        tokio::spawn(async move { client.call("spin", json!({})).await })
    });
    let spinning: Vec<_> = spinning.collect();
    for _ in 0..10 {
        assert_eq!(app.client("online-store").call("noop", json!({})).await.structured(), &json!({}));
    }
    for call in spinning {
        let reply = call.await.unwrap();
        // Its deadline passes while it computes, or while it waits for a turn to.
        let error = reply.error();
        assert!(error.starts_with("MCP_ERROR: the tool was stopped") || error.starts_with("QUERY_TIMEOUT"), "{error}");
    }
    app.stop().await;
}
