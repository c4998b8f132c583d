//! Instances that wait for a call, calls that wait for an instance, and what is done before there is a call.

use serde_json::json;
use std::time::Duration;
use stockade_runtime::{CallError, CallReport, Invocation, PluginState, StopKind, pack::pack};

use stockade_tests::{TestApp, raw_guest, raw_manifest};

const CLOCK: &str = r#"(import "wasi:clocks/monotonic-clock@0.2.0" "now" (func $now (result i64)))
    (import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $subscribe (param i64) (result i32)))
    (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))"#;

/// A function that waits for so many milliseconds.
fn sleep(ms: u64) -> String {
    format!("(func $sleep (call $block (call $subscribe (i64.const {}))))", ms * 1_000_000)
}

async fn packed(name: &str, more: &str, body: &str, manifest: &str) -> Vec<u8> {
    pack(&raw_guest(more, body), &raw_manifest(name, manifest)).await.unwrap()
}

fn invocation(app: &TestApp, tool: &str, report: &CallReport) -> Invocation {
    Invocation {
        caller: app.caller("head-office"),
        tool: tool.into(),
        plugin: None,
        arguments: serde_json::Map::new(),
        request_id: tool.into(),
        progress: None,
        report: report.clone(),
    }
}

fn state(app: &TestApp, plugin: &str) -> PluginState {
    app.app().runtime().plugins().into_iter().find(|state| state.name == plugin).expect("it serves")
}

pub(crate) async fn until(app: &TestApp, plugin: &str, is: impl Fn(&PluginState) -> bool) {
    let wait = async {
        // A sleep: who yields alone would keep what it waits for off this processor.
        while !is(&state(app, plugin)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait)
        .await
        .unwrap_or_else(|_| panic!("waited in vain: {:?}", state(app, plugin)));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn no_more_instances_wait_than_may_however_many_calls_end_while_they_start() {
    let starts_after = |ms| format!("{CLOCK} {} (start $sleep)", sleep(ms));
    let app = TestApp::builder()
        .component("slow-to-start", packed("slow-to-start", &starts_after(50), "", "").await)
        .component("slower-to-start", packed("slower-to-start", &starts_after(500), "", "").await)
        .plugin_settings("instances_ready = 2\nstart_ms = 60000")
        .start()
        .await;
    let calls = (0..16).map(|_| async {
        app.app().runtime().call(invocation(&app, "slow_to_start", &CallReport::default())).await.unwrap();
    });
    futures::future::join_all(calls).await;
    until(&app, "slow-to-start", |state| state.ready >= 2).await;
    // What was made beyond that is there when this one has started.
    app.app().runtime().call(invocation(&app, "slower_to_start", &CallReport::default())).await.unwrap();
    assert_eq!(state(&app, "slow-to-start").ready, 2);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_plugin_that_is_full_refuses_before_its_calls_end() {
    let body = "(call $sleep)";
    let manifest = "[limits]\nconcurrent_calls = 1\ndeadline_ms = 60000";
    let slow = packed("slow", &format!("{CLOCK} {}", sleep(60_000)), body, manifest).await;
    let app = TestApp::builder().component("slow", slow).start().await;
    let runtime = app.app().runtime();
    let first = runtime.call(invocation(&app, "slow", &CallReport::default()));
    let second = async {
        until(&app, "slow", |state| state.running == 1).await;
        runtime.call(invocation(&app, "slow", &CallReport::default())).await
    };
    tokio::select! {
        first = first => panic!("the first ended before the second was refused: {first:?}"),
        second = second => assert!(matches!(second, Err(CallError::Busy { limit: "concurrent_calls" })), "{second:?}"),
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn what_start_functions_do_is_counted() {
    let asks = format!("{CLOCK} (func $ask (loop $again (drop (call $now)) (br $again))) (start $ask)");
    let computes = "(func $compute (local $n i32)
        (loop $again
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $n) (i32.const 50000000)))))
        (start $compute)";
    let app = TestApp::builder()
        .component("asks", packed("asks", &asks, "", "").await)
        .component("computes", packed("computes", computes, "", "").await)
        .plugin_settings("start_ms = 60000")
        .start()
        .await;
    let runtime = app.app().runtime();
    let asked = runtime.call(invocation(&app, "asks", &CallReport::default())).await;
    assert!(matches!(asked, Err(CallError::Stopped { kind: StopKind::Limit("host_calls"), .. })), "{asked:?}");

    runtime.call(invocation(&app, "computes", &CallReport::default())).await.unwrap();
    until(&app, "computes", |state| state.ready > 0).await;
    let report = CallReport::default();
    runtime.call(invocation(&app, "computes", &report)).await.unwrap();
    let cpu = report.used().unwrap().cpu;
    assert!(cpu.as_millis() >= 5, "its instance was made before it, and not for nothing: {cpu:?}");
    assert_eq!(app.client("head-office").call("computes", json!({})).await.structured(), &json!({}));
    app.stop().await;
}
