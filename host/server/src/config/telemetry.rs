use std::path::PathBuf;

use serde::Deserialize;
use stockade_db::Secret;

use super::ConfigError;

/// The section `[telemetry]`: what is measured, and where it is sent.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// Tenants that have metrics of their own: the first to call. All others are `other`. Default 100.
    pub tenants_max: usize,
    /// `[telemetry.otlp]`: metrics and traces are sent to a collector. Default: they are not.
    pub otlp: Option<OtlpConfig>,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self { tenants_max: 100, otlp: None }
    }
}

/// The section `[telemetry.otlp]`: a collector that takes OTLP, as protobuf over HTTP.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtlpConfig {
    /// Its address, `http://127.0.0.1:4318`; `/v1/traces` and `/v1/metrics` are added.
    pub endpoint: Secret,
    /// A file of headers that it wants to see, a line `name: value` each.
    pub headers_file: Option<PathBuf>,
    /// Time for one request, in milliseconds. Default 10000.
    #[serde(default = "defaults::timeout_ms")]
    pub timeout_ms: u64,
    /// Time between two times that metrics are sent, in seconds. Default 60.
    #[serde(default = "defaults::metrics_every_s")]
    pub metrics_every_s: u64,
    /// Time between two times that spans are sent, in seconds; a full batch is sent at once. Default 5.
    #[serde(default = "defaults::spans_every_s")]
    pub spans_every_s: u64,
    /// Of calls that belong to nobody's trace yet, how many begin one, from 0 to 1. A client that sends
    /// `traceparent` decides for its own calls. Default 1.
    #[serde(default = "defaults::sampling_ratio")]
    pub sampling_ratio: f64,
    /// Spans that wait to be sent; further ones are dropped. Default 2048.
    #[serde(default = "defaults::queue_max")]
    pub queue_max: usize,
}

mod defaults {
    pub(super) const fn timeout_ms() -> u64 {
        10_000
    }
    pub(super) const fn metrics_every_s() -> u64 {
        60
    }
    pub(super) const fn spans_every_s() -> u64 {
        5
    }
    pub(super) const fn sampling_ratio() -> f64 {
        1.0
    }
    pub(super) const fn queue_max() -> usize {
        2_048
    }
}

impl TelemetryConfig {
    /// Checks what types cannot say.
    ///
    /// # Errors
    /// Names the key.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.tenants_max > 1_000 {
            return Err(ConfigError::value("telemetry.tenants_max", "must lie between 0 and 1000"));
        }
        let Some(otlp) = &self.otlp else { return Ok(()) };
        let ranges = [
            ("timeout_ms", otlp.timeout_ms, 600_000),
            ("metrics_every_s", otlp.metrics_every_s, 86_400),
            ("spans_every_s", otlp.spans_every_s, 86_400),
            ("queue_max", otlp.queue_max as u64, 1 << 20),
        ];
        if let Some((key, _, max)) = ranges.into_iter().find(|(_, value, max)| *value == 0 || value > max) {
            return Err(ConfigError::value(format!("telemetry.otlp.{key}"), format!("must lie between 1 and {max}")));
        }
        if !(0.0..=1.0).contains(&otlp.sampling_ratio) {
            return Err(ConfigError::value("telemetry.otlp.sampling_ratio", "must lie between 0 and 1"));
        }
        Ok(())
    }
}
