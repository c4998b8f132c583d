//! What leaves by OTLP: protobuf over HTTP, by the same client library as all else.
//!
//! The exporters run on threads of their own and wait there; the requests run on the server's runtime. What the
//! exporters would read from the environment (`OTEL_…`) is said here, or taken out of the request again.

use std::{path::Path, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use opentelemetry::KeyValue;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{MetricExporter, Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{Resource, metrics::Temporality};
use tokio::runtime::Handle;

use crate::config::{ConfigError, OtlpConfig};

/// Who sends.
pub(super) fn resource() -> Resource {
    // Empty at first: the default would read the environment.
    Resource::builder_empty()
        .with_service_name("stockade")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build()
}

pub(super) fn spans(config: &OtlpConfig) -> Result<SpanExporter, ConfigError> {
    let exporter = SpanExporter::builder().with_http().with_http_client(Sender::new(config)?);
    let exporter = exporter.with_endpoint(config.address("v1/traces")?).with_protocol(Protocol::HttpBinary);
    exporter.with_timeout(config.timeout()).build().map_err(|_| wrong_endpoint())
}

pub(super) fn metrics(config: &OtlpConfig) -> Result<MetricExporter, ConfigError> {
    let exporter = MetricExporter::builder().with_http().with_http_client(Sender::new(config)?);
    let exporter = exporter.with_endpoint(config.address("v1/metrics")?).with_protocol(Protocol::HttpBinary);
    let exporter = exporter.with_temporality(Temporality::Cumulative);
    exporter.with_timeout(config.timeout()).build().map_err(|_| wrong_endpoint())
}

fn wrong_endpoint() -> ConfigError {
    ConfigError::value("telemetry.otlp.endpoint", "is no address; write `http://127.0.0.1:4318`")
}

/// What the collector wants to see: a token, mostly, and so not in the configuration itself.
fn read_headers(path: &Path) -> Result<HeaderMap, ConfigError> {
    const KEY: &str = "telemetry.otlp.headers_file";
    let text =
        std::fs::read_to_string(path).map_err(|error| ConfigError::value(KEY, format!("cannot be read: {error}")))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(index, line)| {
            let header = line.split_once(':').and_then(|(name, value)| {
                let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
                let mut value = HeaderValue::from_str(value.trim()).ok()?;
                value.set_sensitive(true);
                Some((name, value))
            });
            // The line may be a secret.
            header.ok_or_else(|| ConfigError::value(KEY, format!("line {}: expected `name: value`", index + 1)))
        })
        .collect()
}

/// Sends from whatever thread on the server's runtime.
#[derive(Debug)]
struct Sender {
    client: reqwest::Client,
    headers: HeaderMap,
    runtime: Handle,
}

/// What a collector answers is looked at for its status alone; more of it than this is not read.
const ANSWER_BYTES_MAX: usize = 64 << 10;

impl Sender {
    fn new(config: &OtlpConfig) -> Result<Self, ConfigError> {
        let client = reqwest::Client::builder()
            .timeout(config.timeout())
            .connect_timeout(config.timeout())
            // A header of ours may be a secret; it goes where the operator said, and nowhere else.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|_| ConfigError::value("telemetry.otlp", "cannot be sent: no HTTP client can be made"))?;
        let mut headers = config.headers_file.as_deref().map(read_headers).transpose()?.unwrap_or_default();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        Ok(Self { client, headers, runtime: Handle::current() })
    }
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, mut request: http::Request<Bytes>) -> Result<http::Response<Bytes>, HttpError> {
        // The exporter's own have in them what OTEL_EXPORTER_OTLP_HEADERS says.
        request.headers_mut().clone_from(&self.headers);
        let (client, request) = (self.client.clone(), reqwest::Request::try_from(request)?);
        let sent = self.runtime.spawn(async move {
            let mut response = client.execute(request).await?;
            let status = response.status();
            let mut body = Vec::new();
            while body.len() < ANSWER_BYTES_MAX
                && let Some(chunk) = response.chunk().await?
            {
                body.extend_from_slice(&chunk);
            }
            Ok::<_, reqwest::Error>((status, body))
        });
        // An address may hold a password; its words go to the log.
        let (status, body) = sent.await?.map_err(reqwest::Error::without_url)?;
        Ok(http::Response::builder().status(status).body(body.into())?)
    }
}

impl OtlpConfig {
    fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    fn address(&self, path: &str) -> Result<String, ConfigError> {
        let base: reqwest::Url = self.endpoint.expose().parse().map_err(|_| wrong_endpoint())?;
        if !matches!(base.scheme(), "http" | "https") || !base.has_host() {
            return Err(wrong_endpoint());
        }
        Ok(format!("{}/{path}", base.as_str().trim_end_matches('/')))
    }
}
