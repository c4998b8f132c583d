//! What is counted of requests, and that its text is what Prometheus reads.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::{
    client::{Stream, last},
    harness::TestServer,
    stub::wait_for,
};

/// Each family of the text with its type, and each series with its value.
pub(crate) struct Exposed {
    pub(crate) types: BTreeMap<String, String>,
    pub(crate) series: BTreeMap<String, f64>,
}

/// Reads the text as Prometheus does, and fails where it would, or where `promtool check metrics` would.
pub(crate) fn read(text: &str) -> Exposed {
    let (mut types, mut series, mut helped) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
    assert!(text.ends_with('\n'), "the last line ends");
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').expect("a help text");
            assert!(!words.is_empty() && helped.insert(name.to_owned()), "HELP of {name}, once");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a type");
            assert!(helped.contains(name), "{name} has no HELP");
            let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(name.chars().all(good) && !name.contains("__"), "{name}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
            for unit in ["duration", "time"] {
                assert!(!name.trim_end_matches("_total").ends_with(unit), "{name} has no unit");
            }
            assert_eq!(types.insert(name.to_owned(), kind.to_owned()), None, "TYPE of {name}, once");
        } else {
            let (name, value) = line.rsplit_once(' ').expect("a sample");
            let metric = name.split('{').next().expect("a name");
            let family = types.keys().rev().find(|family| {
                metric.strip_prefix(family.as_str()).is_some_and(|end| {
                    end.is_empty() || (types[*family] == "histogram" && ["_bucket", "_sum", "_count"].contains(&end))
                })
            });
            assert!(family.is_some(), "{line} stands before its TYPE");
            let value = value.replace("+Inf", "inf").parse().expect("a number");
            assert_eq!(series.insert(name.to_owned(), value), None, "{name} is there twice");
        }
    }
    Exposed { types, series }
}

impl Exposed {
    /// The sum of all series of this name with these labels.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |series: &str| labels.iter().all(|(key, value)| series.contains(&format!("{key}=\"{value}\"")));
        let named = |series: &str| series.split('{').next() == Some(name);
        self.series.iter().filter(|(series, _)| named(series) && has(series)).map(|(_, value)| value).sum()
    }
}

fn metrics(server: &TestServer) -> Exposed {
    read(&server.running.metrics().prometheus())
}

const COUNT: &str = "mcp_server_operation_duration_seconds_count";

#[tokio::test]
async fn each_request_is_counted_once_by_the_conventions_names() {
    let server = TestServer::start().await;
    let client = server.north();
    client.call("echo", json!({ "rows": 5 })).await;
    client.call("echo", json!({})).await;
    client.call("fail", json!({ "with": "stopped" })).await;
    client.call("fail", json!({ "with": "limit" })).await;
    client.call("fail", json!({ "with": "panic" })).await;
    client.call("made-up-by-a-client", json!({})).await;
    client.modern("tools/list", json!({})).send().await.expect("a reply");
    let session = client.session().await;
    let reply = session.request("tools/call", json!({ "name": "who" })).await;
    last(&crate::client::events(reply).await);

    let found = metrics(&server);
    let call = ("mcp_method_name", "tools/call");
    for (labels, count) in [
        (vec![call], 7.0),
        (vec![("mcp_method_name", "tools/list")], 1.0),
        (vec![call, ("gen_ai_tool_name", "echo"), ("network_transport", "tcp")], 2.0),
        (vec![call, ("gen_ai_tool_name", "echo"), ("error_type", "tool_error")], 0.0),
        (vec![("gen_ai_tool_name", "who"), ("mcp_protocol_version", "2025-11-25")], 1.0),
        (vec![("gen_ai_tool_name", "fail"), ("error_type", "tool_error")], 3.0),
        (vec![("error_type", "-32602"), ("stockade_error_code", "UNKNOWN_TOOL")], 1.0),
    ] {
        assert_eq!(found.sum(COUNT, &labels), count, "{labels:?} in {:?}", found.series);
    }
    assert!(!found.series.keys().any(|series| series.contains("made-up")), "{:?}", found.series);
    for (name, labels, count) in [
        ("stockade_errors_total", vec![("stockade_error_code", "MCP_ERROR"), ("stockade_error_fault", "plugin")], 2.0),
        ("stockade_errors_total", vec![("stockade_error_code", "MCP_ERROR"), ("stockade_error_fault", "host")], 1.0),
        ("stockade_plugin_traps_total", vec![("stockade_plugin", "stub"), ("stockade_trap_kind", "unreachable")], 1.0),
        ("stockade_plugin_traps_total", vec![("stockade_plugin", "stub"), ("stockade_trap_kind", "limit")], 1.0),
        ("stockade_limit_hits_total", vec![("stockade_limit", "fuel")], 1.0),
        ("stockade_tenant_rows_total", vec![("stockade_tenant", "acme")], 5.0),
        ("stockade_plugin_rows_total", vec![("stockade_plugin", "stub")], 5.0),
        ("stockade_calls_active", vec![], 0.0),
    ] {
        assert_eq!(found.sum(name, &labels), count, "{name} {labels:?} in {:?}", found.series);
    }
    assert_eq!(found.types["mcp_server_operation_duration_seconds"], "histogram");
    assert_eq!(found.sum("target_info", &[("service_name", "stockade")]), 1.0);
}

/// Every method that is answered has a series, and what clients make up has one together.
#[tokio::test]
async fn each_method_is_counted_and_all_unknown_ones_are_one() {
    let server = TestServer::start().await;
    let client = server.north();
    let send = async |method: &str, params| {
        client.modern(method, params).send().await.expect("a reply").text().await.expect("a body")
    };
    for method in ["server/discover", "tools/list", "tools/destroy", "made/up", "prompts/list", "resources/list"] {
        send(method, json!({})).await;
    }
    send("logging/setLevel", json!({ "level": "debug" })).await;
    send("tools/list", json!({ "cursor": "x" })).await;
    send("tools/call", json!({ "name": "echo", "arguments": 5 })).await;
    let session = client.session().await;
    session.request("ping", json!({})).await.text().await.expect("a body");
    let mut stream = Stream::of(
        client.modern("subscriptions/listen", json!({ "notifications": {} })).send().await.expect("a reply"),
    );
    stream.next().await.expect("an acknowledgement");
    drop(stream);
    let listened = async {
        while metrics(&server).sum(COUNT, &[("mcp_method_name", "subscriptions/listen")]) < 1.0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), listened).await.expect("it is counted at its end");

    let found = metrics(&server);
    for (method, error, count) in [
        ("initialize", None, 1.0),
        ("ping", None, 1.0),
        ("server/discover", None, 1.0),
        ("subscriptions/listen", None, 1.0),
        ("tools/list", None, 2.0),
        ("tools/list", Some("-32602"), 1.0),
        ("tools/call", Some("-32602"), 1.0),
        ("_OTHER", Some("-32601"), 5.0),
        ("_OTHER", None, 5.0),
    ] {
        let labels: Vec<_> =
            [("mcp_method_name", method)].into_iter().chain(error.map(|e| ("error_type", e))).collect();
        assert_eq!(found.sum(COUNT, &labels), count, "{labels:?} in {:?}", found.series);
    }
    let versions = [("initialize", "2025-11-25"), ("ping", "2025-11-25"), ("server/discover", "2026-07-28")];
    for (method, version) in versions {
        let labels = [("mcp_method_name", method), ("mcp_protocol_version", version), ("network_transport", "tcp")];
        assert_eq!(found.sum(COUNT, &labels), 1.0, "{labels:?} in {:?}", found.series);
    }
    assert_eq!(found.sum("stockade_errors_total", &[]), 0.0, "errors are of calls");
    for made_up in ["made", "destroy", "prompts"] {
        assert!(!found.series.keys().any(|series| series.contains(made_up)), "{made_up} in {:?}", found.series);
    }
}

#[tokio::test]
async fn a_call_under_way_is_active_and_one_that_was_left_is_cancelled() {
    let server = TestServer::start().await;
    let client = server.north();
    let call = tokio::spawn(async move { client.call("wait", json!({})).await });
    wait_for(&server.tools.begun, 1).await;
    assert_eq!(metrics(&server).sum("stockade_calls_active", &[]), 1.0);
    call.abort();
    wait_for(&server.tools.dropped, 1).await;
    // What is counted is counted when all of the call has gone, which is a little later.
    let counted = async {
        while metrics(&server).sum(COUNT, &[("error_type", "cancelled"), ("gen_ai_tool_name", "wait")]) < 1.0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), counted).await.expect("it is counted");
    assert_eq!(metrics(&server).sum("stockade_calls_active", &[]), 0.0);
}

#[tokio::test]
async fn a_limit_of_requests_is_counted_by_its_name() {
    let server = TestServer::with(|config| config.requests_per_caller_max = 1).await;
    let client = server.north();
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.call("wait", json!({})).await }
    });
    wait_for(&server.tools.begun, 1).await;
    let refused = client.modern("tools/list", json!({})).send().await.expect("a reply");
    assert_eq!(refused.status(), reqwest::StatusCode::TOO_MANY_REQUESTS);
    let hits = metrics(&server).sum("stockade_limit_hits_total", &[("stockade_limit", "requests_per_caller_max")]);
    assert_eq!(hits, 1.0);
    server.tools.may_end.add_permits(1);
    waiting.await.expect("no panic");
}
