//! Limits of the host and of whole plugins, and what a call reports of itself.

use std::sync::{Arc, Mutex};

use serde_json::json;
use stockade_runtime::{CallMeter, CallReport, Invocation, Limits, Measurement, Used, pack::pack};
use stockade_tests::{Log, TestApp, raw_guest, raw_manifest};
use wasm_encoder::{ComponentInstanceSection, ComponentSection as _, ComponentSectionId, RawSection};

use super::{
    attacks::{ATTACKS, Outcome},
    load::widened,
    places::until,
};
use crate::telemetry::log::a_plugins_lines_are_bounded_by_the_second_for_all_its_calls_together;

const LOG: &str = r#"(import "stockade:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32)))"#;
const SLEEP: &str = r#"(import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $subscribe (param i64) (result i32)))
    (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))"#;
const FOR_EVER: &str = "(call $block (call $subscribe (i64.const 3600000000000)))";

/// A plugin whose call waits until its deadline.
async fn sleeper(name: &str, limits: &str) -> Vec<u8> {
    let manifest = raw_manifest(name, &format!("[limits]\n{limits}"));
    pack(&raw_guest(SLEEP, FOR_EVER), &manifest).await.unwrap()
}

/// While a call of `first` runs, one of `second` finds no place.
async fn finds_no_place(app: &TestApp, (plugin, first): (&str, &str), second: &str, limit: &str) {
    let (client, other) = (app.client("head-office"), app.client("seattle-store"));
    let call = async {
        until(app, plugin, |state| state.running == 1).await;
        other.call(second, json!({})).await
    };
    let busy = tokio::select! {
        ended = client.call(first, json!({})) => panic!("the first ended before the second was refused: {ended:?}"),
        reply = call => reply,
    };
    assert_eq!(busy.error_without_id(), "SERVER_BUSY: too many calls are running; try again in a moment");
    let lines = Log::keep().of_call(busy.request_id());
    let line = lines.iter().find(|line| line["message"] == "call failed").expect("a line");
    assert_eq!((&line["fault"], &line["detail"]), (&json!("host"), &json!(limit)), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_call_without_a_place_is_busy_and_nobodys_plugin_is_blamed() {
    Log::keep();
    let app = TestApp::builder()
        .plugins(&["noop"])
        .component("one-at-a-time", sleeper("one-at-a-time", "deadline_ms = 60000\nconcurrent_calls = 1").await)
        .start()
        .await;
    finds_no_place(&app, ("one-at-a-time", "one_at_a_time"), "one_at_a_time", "concurrent_calls").await;
    app.stop().await;

    let app = TestApp::builder()
        .component("sleeper", sleeper("sleeper", "deadline_ms = 60000").await)
        .component("dreamer", sleeper("dreamer", "deadline_ms = 500").await)
        .plugin_settings("instances_max = 1")
        .start()
        .await;
    finds_no_place(&app, ("sleeper", "sleeper"), "dreamer", "instances_max").await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn plugins_of_many_core_instances_and_memories_never_exhaust_the_pool() {
    let wide = widened(&raw_guest("", ""), 12, 1, 1);
    let wide = widened(&wide, 45, 0, 0);
    let app = TestApp::builder()
        .plugins(&["noop"])
        .component("wide", pack(&wide, &raw_manifest("wide", "")).await.unwrap())
        .plugin_settings("instances_max = 8\ninstances_ready = 8")
        .start()
        .await;
    let calls = (0..40).map(|n| {
        let client = app.client(if n % 2 == 0 { "head-office" } else { "seattle-store" });
        async move { client.call(if n % 4 == 3 { "noop" } else { "wide" }, json!({})).await }
    });
    for reply in futures::future::join_all(calls).await {
        assert_eq!(reply.structured(), &json!({}));
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_plugin_logs_as_much_and_as_loud_as_it_may() {
    let log = Log::keep();
    // The host's log holds `info`; this plugin may not write it.
    let writes = "(call $log (i32.const 2) (i32.const 1200) (i32.const 10)) (call $log (i32.const 3) (i32.const 1210) (i32.const 10))";
    let module = format!(r#"{LOG} (data (i32.const 1200) "quiet infoquiet warn")"#);
    let grants = "[grants]\nlog = { level = 'warn' }";
    let quiet = pack(&raw_guest(&module, writes), &raw_manifest("quiet", grants)).await.unwrap();
    let app = TestApp::builder()
        .plugins(&["hostile"])
        .component("quiet", quiet)
        .grants("[quiet]\nlog = { level = 'warn' }")
        .start()
        .await;
    app.client("head-office").call("quiet", json!({})).await.structured();
    let levels = ["info", "warn"].map(|level| log.containing(&format!("quiet {level}")).len());
    assert_eq!(levels, [0, 1], "`info` was neither asked for nor granted");
    app.client("head-office").call("three_levels", json!({})).await.structured();
    let levels = ["debug", "info", "warn"].map(|level| log.containing(&format!("level {level}")).len());
    assert_eq!(levels, [0, 1, 1], "`debug` was neither asked for nor granted");

    let id = "the-storm-of-this-test";
    app.app().runtime().call(invocation(&app, "log_storm", id, &CallReport::default())).await.unwrap();
    let lines = log.of_call(id);
    assert_eq!(lines.len(), 6, "five lines, and one of how many were dropped");
    assert_eq!(lines[5]["dropped"], json!(9_995));
    app.stop().await;
}

fn invocation(app: &TestApp, tool: &str, request_id: &str, report: &CallReport) -> Invocation {
    Invocation {
        caller: app.caller("head-office"),
        tool: tool.into(),
        plugin: None,
        arguments: serde_json::Map::new(),
        request_id: request_id.into(),
        progress: None,
        report: report.clone(),
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn reports_of_progress_are_numbers_that_grow_and_plain_text() {
    let app = TestApp::builder().plugins(&["hostile"]).start().await;
    let (sender, mut reports) = tokio::sync::mpsc::channel(100);
    let call = Invocation { progress: Some(sender), ..invocation(&app, "odd_numbers", "odd", &CallReport::default()) };
    app.app().runtime().call(call).await.unwrap();
    let mut last = f64::NEG_INFINITY;
    let mut count = 0;
    while let Some(report) = reports.recv().await {
        assert!(report.done.is_finite() && report.done > last, "{report:?}");
        assert!(report.total.is_none_or(f64::is_finite), "{report:?}");
        assert_eq!(report.message.as_deref(), Some("[2J"));
        (last, count) = (report.done, count + 1);
    }
    assert!(count > 0, "the finite ones arrive");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn reports_of_progress_come_ten_a_second_at_most() {
    let import = r#"(import "stockade:plugin/progress@0.1.0" "report" (func $report (param f64 i32 f64 i32 i32 i32)))"#;
    let body = "(local $done f64)
        (loop $again
            (local.set $done (f64.add (local.get $done) (f64.const 1)))
            (call $report (local.get $done) (i32.const 0) (f64.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
            (br_if $again (f64.lt (local.get $done) (f64.const 900))))";
    let eager = pack(&raw_guest(import, body), &raw_manifest("eager", "")).await.unwrap();
    let app = TestApp::builder().component("eager", eager).start().await;
    let (sender, mut reports) = tokio::sync::mpsc::channel(1000);
    let call = Invocation { progress: Some(sender), ..invocation(&app, "eager", "eager", &CallReport::default()) };
    let began = std::time::Instant::now();
    app.app().runtime().call(call).await.unwrap();
    let tenths = usize::try_from(began.elapsed().as_millis() / 100).unwrap();
    let mut count = 0;
    while reports.recv().await.is_some() {
        count += 1;
    }
    assert!((1..=tenths + 1).contains(&count), "{count} reports in {tenths} tenths of a second");
    app.stop().await;
}

/// What a plugin measures.
#[derive(Clone, Default)]
struct Measured(Arc<Mutex<Vec<(String, Measurement)>>>);

impl CallMeter for Measured {
    fn used(&self, _: Used) {}

    fn measured(&self, name: &str, measurement: Measurement) {
        self.0.lock().unwrap().push((name.to_owned(), measurement));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_plugin_measures_numbers_under_the_names_of_its_manifest() {
    let imports = r#"(import "stockade:plugin/metrics@0.1.0" "add" (func $add (param i32 i32 f64)))
        (import "stockade:plugin/metrics@0.1.0" "record" (func $record (param i32 i32 f64)))
        (data (i32.const 1200) "mineother")"#;
    let (mine, other) = ("(i32.const 1200) (i32.const 4)", "(i32.const 1204) (i32.const 5)");
    let calls = [("add", mine, "2"), ("record", mine, "-3"), ("add", other, "1"), ("record", other, "1")];
    let odd = [("add", mine, "-1"), ("add", mine, "nan"), ("add", mine, "inf"), ("record", mine, "inf")];
    let calls = calls.into_iter().chain(odd);
    let body: String = calls.map(|(what, name, value)| format!("(call ${what} {name} (f64.const {value}))")).collect();
    let manifest = raw_manifest("measures", "[grants]\nmetrics = { names = ['mine'] }");
    let packed = pack(&raw_guest(imports, &body), &manifest).await.unwrap();
    let granted = "[measures]\nmetrics = { names = ['mine', 'other'] }";
    let app = TestApp::builder().component("measures", packed).grants(granted).start().await;
    let measured = Measured::default();
    let report = CallReport::metered(measured.clone());
    app.app().runtime().call(invocation(&app, "measures", "measures", &report)).await.unwrap();
    let expected = [("mine".to_owned(), Measurement::Added(2.0)), ("mine".to_owned(), Measurement::Recorded(-3.0))];
    assert_eq!(*measured.0.lock().unwrap(), expected, "`other` is granted, and not asked for");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn what_is_stopped_gives_its_place_back() {
    let manifest = raw_manifest("spinner", "[limits]\ndeadline_ms = 500\ncpu_ms = 60000");
    let spinner = pack(&raw_guest("", "(loop $again (br $again))"), &manifest).await.unwrap();
    let app = TestApp::builder()
        .plugins(&["noop"])
        .component("spinner", spinner)
        .plugin_settings("instances_max = 1")
        .start()
        .await;
    let client = app.client("head-office");
    assert_eq!(client.call("spinner", json!({})).await.error_without_id(), "MCP_ERROR: the tool was stopped");
    // The only place: while the first still spun, this one would wait for it in vain.
    assert_eq!(client.call("noop", json!({})).await.structured(), &json!({}));
    app.stop().await;
}

/// A component that makes handles of a resource of its own when it begins, and is otherwise like `guest`.
fn hoarding(guest: &[u8]) -> Vec<u8> {
    let hoarder = wat::parse_str(
        r#"(component
            (type $thing (resource (rep i32)))
            (core func $new (canon resource.new $thing))
            (core module $module
                (import "" "new" (func $new (param i32) (result i32)))
                (func $hoard (local $n i32)
                    (loop $again
                        (drop (call $new (i32.const 0)))
                        (local.set $n (i32.add (local.get $n) (i32.const 1)))
                        (br_if $again (i32.lt_u (local.get $n) (i32.const 20000)))))
                (start $hoard))
            (core instance (instantiate $module (with "" (instance (export "new" (func $new)))))))"#,
    )
    .unwrap();
    let mut depth = 0_u32;
    let mut components = 0;
    for payload in wasmparser::Parser::new(0).parse_all(guest) {
        match payload.unwrap() {
            wasmparser::Payload::ComponentSection { .. } => {
                components += u32::from(depth == 0);
                depth += 1;
            }
            wasmparser::Payload::ModuleSection { .. } => depth += 1,
            wasmparser::Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    let mut out = guest.to_vec();
    RawSection { id: ComponentSectionId::Component.into(), data: &hoarder }.append_to_component(&mut out);
    let mut instances = ComponentInstanceSection::new();
    instances.instantiate::<[_; 0], &str>(components, []);
    instances.append_to_component(&mut out);
    out
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn handles_of_a_plugins_own_resources_are_counted_too() {
    Log::keep();
    let app = TestApp::builder()
        .component("hoarder", pack(&hoarding(&raw_guest("", "")), &raw_manifest("hoarder", "")).await.unwrap())
        .start()
        .await;
    let reply = app.client("head-office").call("hoarder", json!({})).await;
    assert_eq!(reply.error_without_id(), "MCP_ERROR: the tool was stopped");
    let lines = Log::keep().of_call(reply.request_id());
    let line = lines.iter().find(|line| line["message"] == "call failed").expect("a line");
    assert_eq!(line["detail"], "handles", "{line}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn what_a_call_has_used_is_known_however_it_ended() {
    let app = TestApp::builder().plugins(&["hostile"]).start().await;
    let used = async |tool: &str| {
        let report = CallReport::default();
        let outcome = app.app().runtime().call(invocation(&app, tool, "usage", &report)).await;
        (report.used().unwrap(), outcome.is_ok())
    };
    let (by_call, ok) = used("ten_thousand_calls").await;
    assert!(ok && by_call.host_calls == 10_000, "{by_call:?}");
    let (by_call, ok) = used("many_rows").await;
    assert!(ok && by_call.rows == 100 && by_call.bytes >= 400 && !by_call.cpu.is_zero(), "{by_call:?}");
    let (by_call, ok) = used("burn_cpu").await;
    assert!(!ok && by_call.cpu.as_millis() >= 50, "stopped for what it had used, and not before: {by_call:?}");
    let (by_call, ok) = used("slow_query").await;
    assert!(!ok && by_call.host_calls == 1, "{by_call:?}");
    app.stop().await;
}

#[test]
fn every_limit_is_reached_by_a_test_and_stands_in_the_reference() {
    let by_attacks = ATTACKS.iter().filter_map(|attack| match attack.outcome {
        Outcome::Stopped(limit) => limit,
        Outcome::Cut(limit, _) => Some(limit),
        _ => None,
    });
    // The others by tests, named so that the compiler misses one that goes.
    let by_tests: [(&str, fn()); 5] = [
        ("log_lines_max", a_plugin_logs_as_much_and_as_loud_as_it_may),
        ("log_lines_per_s_max", a_plugins_lines_are_bounded_by_the_second_for_all_its_calls_together),
        ("concurrent_calls", a_call_without_a_place_is_busy_and_nobodys_plugin_is_blamed),
        ("instances_max", a_call_without_a_place_is_busy_and_nobodys_plugin_is_blamed),
        ("core_instances_max", plugins_of_many_core_instances_and_memories_never_exhaust_the_pool),
    ];
    let reached: Vec<_> = by_attacks.chain(by_tests.map(|(limit, _)| limit)).collect();
    let host = include_str!("../../../host/runtime/README.md");
    let settings = ["instances_max", "core_instances_max", "start_ms", "log_lines_per_s_max"];
    for limit in Limits::NAMES.iter().copied().chain(settings) {
        assert!(reached.contains(&limit), "no test reaches `{limit}`");
        assert!(host.contains(&format!("| `{limit}` |")), "no line for `{limit}` in host/runtime/README.md");
    }
    let plugins = include_str!("../../../plugins/README.md");
    for limit in Limits::NAMES {
        assert!(plugins.contains(&format!("| `{limit}` |")), "no line for `{limit}` in plugins/README.md");
    }
}
