//! What a plugin can make the host say in its log, and whose fault it is.

use serde_json::json;
use stockade_runtime::pack::pack;
use stockade_tests::{Log, TestApp, raw_guest, raw_manifest};

/// Asks for what is not granted, 300 times.
const ASKS: &str = "(local $n i32)
    (loop $again
        (call $query (i32.const 1100) (i32.const 17) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 4096))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $n) (i32.const 300))))";
const QUERY: &str = r#"(import "stockade:plugin/sql@0.1.0" "query" (func $query (param i32 i32 i32 i32 i32 i32)))
    (data (i32.const 1100) "SELECT 1 FROM x.y")"#;
/// Returns the error `unexpected` with a code that is the host's.
const SAYS: &str = "(i32.store8 (i32.const 2048) (i32.const 1)) (i32.store8 (i32.const 2052) (i32.const 4))
    (i32.store (i32.const 2056) (i32.const 1200)) (i32.store (i32.const 2060) (i32.const 11))
    (i32.store (i32.const 2064) (i32.const 1300)) (i32.store (i32.const 2068) (i32.const 12))
    (return (i32.const 2048))";
const WORDS: &str = r#"(data (i32.const 1200) "UNAVAILABLE") (data (i32.const 1300) "what it says")"#;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn refusals_count_as_the_plugins_lines() {
    let log = Log::keep();
    let granted = "[grants]\nsql = { schemas = [] }\n[limits]\nlog_lines_max = 20";
    let asks = pack(&raw_guest(QUERY, ASKS), &raw_manifest("asks", granted)).await.unwrap();
    let app = TestApp::builder().component("asks", asks).grants("[asks]\nsql = { schemas = [] }").start().await;
    let report = stockade_runtime::CallReport::default();
    let invocation = stockade_runtime::Invocation {
        caller: app.caller("head-office"),
        tool: "asks".into(),
        plugin: None,
        arguments: serde_json::Map::new(),
        request_id: "the-refusals-of-this-test".into(),
        progress: None,
        report: report.clone(),
    };
    app.app().runtime().call(invocation).await.unwrap();
    assert_eq!(report.used().unwrap().host_calls, 300);
    let lines = log.of_call("the-refusals-of-this-test");
    let refused = lines.iter().filter(|line| line["message"] == "refused").count();
    assert_eq!((refused, lines.len()), (20, 21), "and one of how many were dropped: {lines:?}");
    assert_eq!(lines[20]["dropped"], json!(280));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_failure_in_a_tools_own_words_is_its_own() {
    let log = Log::keep();
    let says = pack(&raw_guest(WORDS, SAYS), &raw_manifest("says", "")).await.unwrap();
    let app = TestApp::builder().component("says", says).start().await;
    let reply = app.client("head-office").call("says", json!({})).await;
    assert_eq!(reply.error_without_id(), "MCP_ERROR: the tool failed");
    let lines = log.of_call(reply.request_id());
    let line = lines.iter().find(|line| line["message"] == "call failed").expect("a line");
    let (fault, detail, inner) = (&line["fault"], &line["detail"], &line["inner"]);
    assert_eq!((fault, detail, inner), (&json!("plugin"), &json!("UNAVAILABLE"), &json!("what it says")), "{line}");
    app.stop().await;
}
