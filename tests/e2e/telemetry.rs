//! One trace from the client to each statement, the same metrics by both ways, and ids on every line.
//!
//! These tests run their server on one thread, which is the one whose log and traces they listen to.

mod exported;
pub(crate) mod log;
mod sent;
mod stores;

use std::{
    io::Write,
    net::TcpListener,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Value, json};
use stockade_server::{
    config::{Config, LogConfig, LogFormat},
    telemetry::{Traces, subscriber},
};
use stockade_tests::{Client, Collector, Replicated, Reply, TestApp, TestAppBuilder, text_of};
use tracing::subscriber::DefaultGuard;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";
const CANARY: &str = "canary-of-a-statement";

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn take(&self) -> Vec<Value> {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap());
        String::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// A server that sends to `endpoint`, and this thread's log.
struct Bed {
    app: TestApp,
    traces: Traces,
    lines: Lines,
    _log: DefaultGuard,
}

async fn bed(endpoint: &str, settings: &str, builder: TestAppBuilder) -> Bed {
    bed_over(endpoint, settings, builder, None).await
}

async fn bed_over(endpoint: &str, settings: &str, builder: TestAppBuilder, servers: Option<&Replicated>) -> Bed {
    let otlp = format!("[telemetry.otlp]\nendpoint = '{endpoint}'\n{settings}");
    // The process's own log and traces are not the app's.
    let headers = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(headers.path(), "X-Token: secret-of-the-collector\n").unwrap();
    let otlp = format!("{otlp}\nheaders_file = '{}'", headers.path().display());
    let builder = builder.sections(&otlp);
    let app = match servers {
        Some(servers) => builder.start_over(servers).await,
        None => builder.start().await,
    };
    let config = Config::load(&app.configuration_file()).unwrap();
    let traces = Traces::start(config.telemetry.otlp.as_ref().unwrap()).unwrap();
    let lines = Lines::default();
    let log = LogConfig { level: "debug".into(), format: LogFormat::Json, ..LogConfig::default() };
    let writer = lines.clone();
    let (subscriber, _) = subscriber(&log, None, false, move || writer.clone(), None, Some(&traces)).unwrap();
    Bed { app, traces, lines, _log: tracing::subscriber::set_default(subscriber) }
}

impl Bed {
    /// A call that belongs to the trace.
    async fn call(&self, tool: &str, arguments: Value) -> Reply {
        let meta = json!({ "traceparent": format!("00-{TRACE}-{PARENT}-01") });
        let params = json!({ "name": tool, "arguments": arguments, "_meta": meta });
        let request = self.app.client("head-office").request("tools/call", params);
        Reply { message: request.send().await.unwrap().json().await.unwrap() }
    }

    async fn stop(self) {
        self.app.stop().await;
        self.traces.close().await;
    }
}

/// The metrics, as an operator's Prometheus reads them.
async fn read(app: &TestApp) -> String {
    let response = app.operator("GET", "/metrics").send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    response.text().await.unwrap()
}

/// The one span of this name beneath `parent`.
fn child<'a>(spans: &'a [Span], parent: &[u8], name: &str) -> &'a Span {
    let mut found = spans.iter().filter(|span| span.name == name && span.parent_span_id == parent);
    let names: Vec<_> = spans.iter().map(|span| (&span.name, hex::encode(&span.parent_span_id))).collect();
    let one = found.next().unwrap_or_else(|| panic!("no {name} beneath {} in {names:?}", hex::encode(parent)));
    assert!(found.next().is_none(), "{name} twice in {names:?}");
    one
}

#[tokio::test]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn one_trace_shows_client_tool_plugin_and_each_statement_and_no_text_of_any() {
    let collector = Collector::start().await;
    let builder = TestApp::builder().plugins(&["execute-sales-query", "get-multiple-table-schemas"]);
    let bed = bed(&format!("http://{}", collector.address), "", builder).await;
    let query = format!("SELECT order_id, '{CANARY}' AS c FROM retail.orders LIMIT 3");
    bed.call("execute_sales_query", json!({ "query": query })).await.structured();
    bed.call("execute_sales_query", json!({ "query": "SELECT nothing FROM retail.orders" })).await.error();
    bed.call("no_such_tool", json!({})).await.code();
    bed.stop().await;

    let spans = collector.spans();
    assert!(spans.iter().all(|span| hex::encode(&span.trace_id) == TRACE), "{spans:?}");
    let parent = hex::decode(PARENT).unwrap();
    let mut calls: Vec<_> = spans.iter().filter(|span| span.parent_span_id == parent).collect();
    calls.sort_by_key(|span| span.start_time_unix_nano);
    let names: Vec<_> = calls.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["tools/call execute_sales_query", "tools/call execute_sales_query", "tools/call"]);
    const SERVER: i32 = 2;
    const CLIENT: i32 = 3;
    assert!(calls.iter().all(|span| span.kind == SERVER));
    let of = |span: &Span, key: &str| text_of(&span.attributes, key);
    assert_eq!(of(calls[0], "gen_ai.tool.name").as_deref(), Some("execute_sales_query"));
    assert_eq!(of(calls[0], "mcp.method.name").as_deref(), Some("tools/call"));
    assert_eq!(of(calls[0], "mcp.protocol.version").as_deref(), Some("2026-07-28"));
    assert_eq!(of(calls[0], "jsonrpc.request.id").as_deref(), Some("1"));
    assert_eq!(of(calls[0], "mcp.session.id"), None);
    assert_eq!(of(calls[0], "error.type"), None);
    assert_eq!(of(calls[1], "error.type").as_deref(), Some("tool_error"));
    assert_eq!(of(calls[2], "error.type").as_deref(), Some("-32602"));

    let plugin = child(&spans, &calls[0].span_id, "plugin execute-sales-query");
    for name in ["begin", "query", "fetch"] {
        assert_eq!(child(&spans, &plugin.span_id, name).kind, CLIENT, "{name}");
    }
    assert_eq!(of(child(&spans, &plugin.span_id, "query"), "stockade.statement").unwrap().len(), 16);
    assert!(spans.iter().all(|span| span.events.is_empty()), "lines of the log stay in the log");
    for secret in [CANARY, "SELECT", "retail.orders", "no_such_tool", "nothing", "stockade_login"] {
        assert!(!collector.has_seen(secret), "{secret}");
    }
    assert!(!collector.headers().is_empty());
    assert!(collector.headers().iter().all(|headers| headers["x-token"] == "secret-of-the-collector"));
}

#[tokio::test]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_header_says_the_trace_where_the_message_does_not_and_nonsense_says_none() {
    const OTHER: &str = "1af7651916cd43dd8448eb211c80319d";
    let collector = Collector::start().await;
    let bed = bed(&format!("http://{}", collector.address), "", TestApp::builder().plugins(&["noop"])).await;
    let in_header = format!("00-{OTHER}-{PARENT}-01");
    let in_message = json!({ "traceparent": format!("00-{TRACE}-{PARENT}-01") });
    for (meta, header) in [(json!({}), &*in_header), (in_message, &*in_header), (json!({}), "00-nonsense-01")] {
        let params = json!({ "name": "noop", "arguments": {}, "_meta": meta });
        let request = bed.app.client("head-office").request("tools/call", params).header("traceparent", header);
        Reply { message: request.send().await.unwrap().json().await.unwrap() }.structured();
    }
    bed.stop().await;
    let mut calls: Vec<_> = collector.spans().into_iter().filter(|span| span.name == "tools/call noop").collect();
    calls.sort_by_key(|span| span.start_time_unix_nano);
    let traces: Vec<_> = calls.iter().map(|span| hex::encode(&span.trace_id)).collect();
    assert_eq!((traces.len(), &*traces[0], &*traces[1]), (3, OTHER, TRACE), "{traces:?}");
    assert!(![OTHER, TRACE].contains(&&*traces[2]) && calls[2].parent_span_id.is_empty(), "a trace of its own");
}

/// A session of the older revision, from its beginning to its end, with a call of `noop` in it. Gives its id.
async fn session_with_a_call(client: &Client) -> String {
    let send = async |method: reqwest::Method, session: Option<&str>, message: Value| {
        let mut request = client.post(message.to_string()).build().unwrap();
        *request.method_mut() = method;
        request.headers_mut().insert("mcp-protocol-version", "2025-11-25".parse().unwrap());
        if let Some(id) = session {
            request.headers_mut().insert("mcp-session-id", id.parse().unwrap());
        }
        let response = client.http.execute(request).await.unwrap();
        assert!(response.status().is_success(), "{message}: {response:?}");
        let id = response.headers().get("mcp-session-id").map(|id| id.to_str().unwrap().to_owned());
        response.text().await.unwrap();
        id
    };
    let client_info = json!({ "name": "test", "version": "0" });
    let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client_info });
    let initialize = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params });
    let id = send(reqwest::Method::POST, None, initialize).await.expect("a session");
    let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    send(reqwest::Method::POST, Some(&id), initialized).await;
    let call = json!({ "jsonrpc": "2.0", "id": "a".repeat(100), "method": "tools/call", "params": { "name": "noop" } });
    send(reqwest::Method::POST, Some(&id), call).await;
    send(reqwest::Method::DELETE, Some(&id), Value::Null).await;
    id
}

#[tokio::test]
#[ignore = "needs PostgreSQL, Redis, the plugins and the model: cargo xtask test"]
async fn what_is_pushed_is_what_is_read() {
    let collector = Collector::start().await;
    let (mut redis, mut servers) = (stores::Redis::start(), Replicated::start().await);
    let builder = TestApp::builder().admin("").plugins(&["execute-sales-query", "hostile", "noop"]);
    let (endpoint, settings) = (format!("http://{}", collector.address), "metrics_every_s = 3600");
    let bed = bed_over(&endpoint, settings, redis.behind(builder), Some(&servers)).await;
    stores::are_seen(&bed.app).await;
    for n in 1..=3 {
        let query = format!("SELECT i FROM generate_series(1, {n}) AS g(i)");
        bed.call("execute_sales_query", json!({ "query": query })).await.structured();
    }
    bed.call("panic", json!({})).await.error();
    bed.call("many_host_calls", json!({})).await.error();
    bed.call("odd_numbers", json!({})).await.structured();
    bed.app.client("head-office").tools().await;
    let session = session_with_a_call(&bed.app.client("head-office")).await;
    let text = read(&bed.app).await;
    let seen = async {
        stores::are_seen_at_work(&bed.app).await;
        stores::are_seen_in_trouble(&bed.app, &mut redis, &mut servers).await;
    };
    tokio::time::timeout(Duration::from_secs(90), seen).await.expect("all of it shows");
    bed.stop().await;
    exported::is_as_the_readme_says(&text);
    exported::is_all_that_the_dashboard_asks_for(&text);

    let execute = [("gen_ai.tool.name", "execute_sales_query")];
    assert!(collector.sum("mcp.server.operation.duration", &execute) >= 3.0);
    assert_eq!(collector.sum("mcp.server.session.duration", &[("network.transport", "tcp")]), 1.0);
    let spans = collector.spans();
    let in_session = spans.iter().find(|span| text_of(&span.attributes, "mcp.session.id") == Some(session.clone()));
    let id = text_of(&in_session.expect("the session's call").attributes, "jsonrpc.request.id");
    assert_eq!(id, Some("a".repeat(64)), "no more of it");
    assert!(collector.sum("stockade.plugin.rows", &[("stockade.plugin", "execute-sales-query")]) >= 6.0);
    assert_eq!(collector.sum("stockade.plugin.traps", &[("stockade.trap.kind", "unreachable")]), 1.0);
    assert_eq!(collector.sum("stockade.limit.hits", &[("stockade.limit", "host_calls")]), 1.0);
    // Of seven odd numbers two are finite and not negative, and of these one is the largest there is.
    assert!(collector.sum("stockade.plugin.count", &[("stockade.metric", "odd")]) >= f64::MAX);
    assert_eq!(collector.sum("stockade.plugin.value", &[("stockade.metric", "odd")]), 4.0);
    assert!(!collector.has_seen("a name that nobody asked for") && !text.contains("a name that nobody asked for"));
    for name in collector.metric_names() {
        let family = name.replace('.', "_");
        assert!(text.contains(&format!("# TYPE {family}")), "{name} is pushed and not read:\n{text}");
    }
    for line in [
        "stockade_plugin_instances{stockade_instance_state=\"running\",stockade_plugin=\"noop\"} 0",
        "stockade_plugin_rows_total{stockade_plugin=\"execute-sales-query\"} 6",
        "stockade_tenant_rows_total{stockade_tenant=\"zava\"}",
        "stockade_plugin_compile_duration_seconds{stockade_plugin=\"hostile\"}",
        "stockade_plugin_memory_peak_bytes_count{stockade_plugin=\"execute-sales-query\"} 3",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    let peak = |line: &str| line.starts_with("stockade_plugin_memory_peak_bytes_sum{stockade_plugin=\"execute");
    let peak: f64 = text.lines().find(|line| peak(line)).unwrap().rsplit_once(' ').unwrap().1.parse().unwrap();
    assert!(peak / 3.0 >= 65_536.0, "a guest has a page of memory at least: {peak}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_collector_that_is_gone_or_never_answers_costs_no_call_anything() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    // It accepts, by the system's hand, and nobody reads.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for address in [gone, silent.local_addr().unwrap()] {
        let builder = TestApp::builder().plugins(&["noop"]);
        let settings = "timeout_ms = 300\nqueue_max = 4\nspans_every_s = 1\nmetrics_every_s = 1";
        let bed = bed(&format!("http://{address}"), settings, builder).await;
        for _ in 0..50 {
            bed.call("noop", json!({})).await.structured();
        }
        let started = Instant::now();
        bed.stop().await;
        assert!(started.elapsed() < Duration::from_secs(20), "stopping waits for nobody: {:?}", started.elapsed());
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn every_line_of_a_call_has_its_request_and_its_trace() {
    let collector = Collector::start().await;
    let builder = TestApp::builder().plugins(&["execute-sales-query", "hostile"]).grants("");
    let bed = bed(&format!("http://{}", collector.address), "", builder).await;
    // Lines of the start are nobody's.
    bed.lines.take();
    for (tool, arguments) in [
        ("three_levels", json!({})),
        ("flood_log", json!({})),
        ("panic", json!({})),
        ("execute_sales_query", json!({ "query": "SELECT * FROM pg_catalog.pg_authid" })),
        ("execute_sales_query", json!({ "query": "SELECT * FROM stockade.audit_log" })),
        ("slow_query", json!({})),
    ] {
        let reply = bed.call(tool, arguments).await;
        let lines = bed.lines.take();
        let ours = |line: &&Value| line["target"].as_str().is_some_and(|target| target.starts_with("stockade"));
        let ours: Vec<_> = lines.iter().filter(ours).collect();
        assert!(!ours.is_empty(), "{tool}: {}", reply.message);
        for line in ours {
            assert_eq!(line["span"]["trace_id"], TRACE, "{tool}: {line}");
            assert_eq!(line["span"]["request_id"].as_str().map(str::len), Some(36), "{tool}: {line}");
            assert_eq!(line["span"]["tool"], tool, "{line}");
        }
    }
    bed.stop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_statement_has_one_name_in_traces_in_statistics_and_in_the_log() {
    let collector = Collector::start().await;
    let builder = TestApp::builder().admin("").plugins(&["execute-sales-query"]).database("slow_statement_ms = 1");
    let bed = bed(&format!("http://{}", collector.address), "", builder).await;
    for literal in ["one", "another"] {
        let query = format!("SELECT count(*) FROM generate_series(1, 200000) AS g(i) WHERE g.i::text <> '{literal}'");
        bed.call("execute_sales_query", json!({ "query": query })).await.structured();
    }
    let statistics: Value = bed.app.operator("GET", "/stats").send().await.unwrap().json().await.unwrap();
    let statements = statistics["statements"]["top"].as_array().unwrap();
    let ours = statements.iter().find(|s| s["text"].as_str().unwrap().contains("generate_series")).unwrap();
    assert_eq!(ours["count"], 2, "{statistics:#}");
    let lines = bed.lines.take();
    bed.stop().await;

    let queries: Vec<_> = collector.spans().into_iter().filter(|span| span.name == "query").collect();
    let of_traces: Vec<_> = queries.iter().map(|s| text_of(&s.attributes, "stockade.statement").unwrap()).collect();
    let slow = lines.iter().filter(|line| line["message"] == "slow statement");
    let of_the_log: Vec<_> = slow.map(|line| line["fingerprint"].as_str().unwrap()).collect();
    let name = ours["name"].as_str().unwrap();
    assert_eq!((of_traces, of_the_log), (vec![name.to_owned(); 2], vec![name; 2]));
}
