//! What a host sends, and to whom, is as its configuration says.

use serde_json::json;
use stockade_tests::{Collector, Responder, TestApp};

/// Each would change something, as OpenTelemetry's specification has it.
const VARIABLES: [(&str, &str); 19] = [
    ("OTEL_EXPORTER_OTLP_HEADERS", "x-environment=1,x-token=of-the-environment"),
    ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-environment=1,x-token=of-the-environment"),
    ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "x-environment=1,x-token=of-the-environment"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9"),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:9"),
    ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://127.0.0.1:9"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
    ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "1"),
    ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta"),
    ("OTEL_METRIC_EXPORT_INTERVAL", "1"),
    ("OTEL_SERVICE_NAME", "of-the-environment"),
    ("OTEL_RESOURCE_ATTRIBUTES", "service.version=of-the-environment,deployment=of-the-environment"),
    ("OTEL_TRACES_SAMPLER", "always_off"),
    ("OTEL_TRACES_SAMPLER_ARG", "0"),
    ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "1"),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "1"),
    ("OTEL_BSP_SCHEDULE_DELAY", "3600000"),
    ("OTEL_SDK_DISABLED", "true"),
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn what_is_sent_is_as_the_configuration_says_whatever_the_environment_says() {
    let collector = Collector::start().await;
    let otlp = format!(
        "[telemetry.otlp]\nendpoint = 'http://{}'\nheaders_file = 'headers'\nmetrics_every_s = 3600\nspans_every_s = 3600",
        collector.address
    );
    let files = TestApp::builder().plugins(&["noop"]).sections(&otlp).files().await;
    std::fs::write(files.folder().join("headers"), "X-Token: of%20the%20file\n").unwrap();
    let host = files.start_among(&VARIABLES).await;
    for _ in 0..5 {
        host.client("head-office").call("noop", json!({})).await.structured();
    }
    host.signal("TERM");
    assert_eq!(host.ended().await, Some(0));

    let headers = collector.headers();
    assert_eq!(headers.len(), 2, "spans and metrics, once each, at the end: {headers:?}");
    for headers in headers {
        assert!(!headers.contains_key("x-environment"), "{headers:?}");
        // To the letter: the exporter itself would take `%20` for a space.
        assert_eq!(headers.get_all("x-token").iter().collect::<Vec<_>>(), ["of%20the%20file"]);
        assert_eq!(headers["content-type"], "application/x-protobuf");
        assert!(!headers.contains_key("content-encoding"), "{headers:?}");
    }
    let calls = collector.spans().into_iter().filter(|span| span.name == "tools/call noop");
    let attributes: Vec<_> = calls.map(|span| (span.attributes.len() > 1, span.dropped_attributes_count)).collect();
    assert_eq!(attributes, [(true, 0); 5]);
    assert!(collector.is_cumulative("mcp.server.operation.duration"));
    assert!(collector.has_seen("stockade") && !collector.has_seen("of-the-environment"));
}

#[tokio::test]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_collector_that_sends_elsewhere_is_not_followed() {
    let elsewhere = Collector::start().await;
    let status = format!("307 Temporary Redirect\r\nlocation: http://{}/v1/traces", elsewhere.address);
    let collector = Responder::start(&status, "").await;
    let builder = TestApp::builder().plugins(&["noop"]);
    let bed = super::bed(&format!("http://{}", collector.address()), "timeout_ms = 1000", builder).await;
    bed.call("noop", json!({})).await.structured();
    bed.stop().await;
    assert!(elsewhere.headers().is_empty(), "{:?}", elsewhere.headers());
}
