//! A tool that changes hands while a call of it waits for its turn.

use std::{fs, time::Duration};

use serde_json::{Value, json};
use stockade_runtime::pack::pack;
use stockade_tests::{TestApp, raw_guest, raw_manifest};

use crate::plugins::place;

const SLEEP: &str = r#"(import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $subscribe (param i64) (result i32)))
    (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))"#;
const FOR_EVER: &str = "(call $block (call $subscribe (i64.const 3600000000000)))";

/// Wait until so many calls of the one tenant run, and so many wait.
async fn until_under_way(app: &TestApp, calls: u64, waiting: u64) {
    let wait = async {
        loop {
            let health: Value = app.operator("GET", "/health").send().await.unwrap().json().await.unwrap();
            let busy = &health["tenants"]["busy"][0];
            if (&busy["calls"], &busy["calls_waiting"]) == (&json!(calls), &json!(waiting)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("the calls are under way");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_call_that_waited_does_not_follow_its_tool_to_a_plugin_that_the_tenant_may_not_use() {
    let sleeper = raw_manifest("sleeper", "[limits]\ndeadline_ms = 60000");
    let app = TestApp::builder()
        .plugins(&["noop"])
        .component("sleeper", pack(&raw_guest(SLEEP, FOR_EVER), &sleeper).await.unwrap())
        .server("calls_max = 1\ncall_queue_timeout_ms = 60000")
        .limits("deadline_ms = 60000")
        .sections(&format!("[tenants.{}]\nplugins = ['noop', 'sleeper']", zava_retail::TENANT))
        .admin("")
        .start()
        .await;
    let client = app.client("head-office");
    let call = |tool: &'static str| {
        let client = client.clone();
        tokio::spawn(async move { client.call(tool, json!({})).await })
    };
    let sleeping = call("sleeper");
    until_under_way(&app, 1, 0).await;
    let waiting = call("noop");
    until_under_way(&app, 1, 1).await;
    fs::remove_file(app.plugins().join("noop.wasm")).unwrap();
    let moved = raw_manifest("moved", "").replace("[[tools]]\nname = 'moved'", "[[tools]]\nname = 'noop'");
    place(&app.plugins(), "moved.wasm", &pack(&raw_guest("", ""), &moved).await.unwrap());
    app.until_tools(|_| app.app().runtime().serving().iter().any(|plugin| plugin.name == "moved")).await;
    sleeping.abort();
    assert_eq!(waiting.await.unwrap().code(), -32602);
    assert_eq!(client.call("noop", json!({})).await.code(), -32602, "as for one that comes now");
    app.stop().await;
}
