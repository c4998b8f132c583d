//! A collector that takes OTLP over HTTP and keeps what it gets.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use opentelemetry_proto::tonic::{
    collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{AnyValue, KeyValue, any_value},
    metrics::v1::{AggregationTemporality, Metric, metric, number_data_point},
    trace::v1::Span,
};
use prost::Message as _;

/// Listens on this machine until the runtime ends.
pub struct Collector {
    /// Where.
    pub address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    spans: Vec<Span>,
    /// What was last said of each metric.
    metrics: Vec<Metric>,
    headers: Vec<HeaderMap>,
    bytes: Vec<u8>,
}

impl Collector {
    /// Begin to listen.
    pub async fn start() -> Self {
        let kept = Arc::<Mutex<Kept>>::default();
        let router = Router::new()
            .route("/v1/traces", post(traces))
            .route("/v1/metrics", post(metrics))
            .with_state(Arc::clone(&kept));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, kept }
    }

    /// All spans so far.
    pub fn spans(&self) -> Vec<Span> {
        lock(&self.kept).spans.clone()
    }

    /// The headers of each request.
    pub fn headers(&self) -> Vec<HeaderMap> {
        lock(&self.kept).headers.clone()
    }

    /// Whether these bytes came in, anywhere.
    pub fn has_seen(&self, text: &str) -> bool {
        memchr::memmem::find(&lock(&self.kept).bytes, text.as_bytes()).is_some()
    }

    /// The names of all metrics.
    pub fn metric_names(&self) -> Vec<String> {
        lock(&self.kept).metrics.iter().map(|metric| metric.name.clone()).collect()
    }

    /// Whether a histogram counts from the start on, and not from one time that it is sent to the next.
    pub fn is_cumulative(&self, name: &str) -> bool {
        let kept = lock(&self.kept);
        kept.metrics.iter().filter(|metric| metric.name == name).all(|metric| match &metric.data {
            Some(metric::Data::Histogram(histogram)) => {
                histogram.aggregation_temporality() == AggregationTemporality::Cumulative
            }
            other => panic!("{other:?}"),
        })
    }

    /// What a metric last said, of all its series that have these attributes: of a counter its value, of a
    /// histogram its count.
    pub fn sum(&self, name: &str, attributes: &[(&str, &str)]) -> f64 {
        let has = |of: &[KeyValue]| attributes.iter().all(|(key, value)| text_of(of, key).as_deref() == Some(*value));
        let kept = lock(&self.kept);
        let metrics = kept.metrics.iter().filter(|metric| metric.name == name);
        metrics
            .map(|metric| match metric.data.as_ref().expect("data") {
                metric::Data::Histogram(histogram) => {
                    let points = histogram.data_points.iter().filter(|point| has(&point.attributes));
                    points.map(|point| point.count as f64).sum::<f64>()
                }
                metric::Data::Sum(sum) => {
                    let points = sum.data_points.iter().filter(|point| has(&point.attributes));
                    points
                        .map(|point| match point.value.expect("a value") {
                            number_data_point::Value::AsDouble(value) => value,
                            number_data_point::Value::AsInt(value) => value as f64,
                        })
                        .sum()
                }
                other => panic!("{other:?}"),
            })
            .sum()
    }
}

/// An attribute's value, where it is a text.
pub fn text_of(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match &found.value {
        Some(AnyValue { value: Some(any_value::Value::StringValue(text)) }) => Some(text.clone()),
        _ => None,
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn traces(State(kept): State<Arc<Mutex<Kept>>>, headers: HeaderMap, body: Bytes) {
    let request = ExportTraceServiceRequest::decode(body.clone()).expect("a request");
    let mut kept = lock(&kept);
    kept.headers.push(headers);
    kept.bytes.extend_from_slice(&body);
    for of_resource in request.resource_spans {
        kept.spans.extend(of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans));
    }
}

async fn metrics(State(kept): State<Arc<Mutex<Kept>>>, headers: HeaderMap, body: Bytes) {
    let request = ExportMetricsServiceRequest::decode(body.clone()).expect("a request");
    let mut kept = lock(&kept);
    kept.headers.push(headers);
    kept.bytes.extend_from_slice(&body);
    let of_resources = request.resource_metrics.into_iter();
    kept.metrics = of_resources.flat_map(|r| r.scope_metrics).flat_map(|of_scope| of_scope.metrics).collect();
}
