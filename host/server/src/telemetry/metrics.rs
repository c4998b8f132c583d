//! What a server counts and times: one set of instruments, read by Prometheus and pushed by OTLP.
//!
//! The instruments are OpenTelemetry's. Everything is recorded once, however many readers there are; the
//! names are those of the conventions for MCP where these have one, and begin with `stockade` elsewhere.

mod cache;
mod call;
mod database;
mod instruments;
mod names;
mod readings;
mod replicas;
mod session;

pub(crate) use call::{Ended, Operation};
pub(crate) use session::Session;

use std::sync::{Arc, Weak};

use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use prometheus::{Registry, TextEncoder};

use super::{LogControl, otlp};
use crate::{
    config::{ConfigError, TelemetryConfig},
    tools::Tools,
};
use instruments::{Instruments, key};
use names::Names;

/// The metrics of one server. Cloning is cheap.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    provider: SdkMeterProvider,
    registry: Registry,
    instruments: Instruments,
    tenants: Names,
}

impl Metrics {
    /// Begins to count. With a collector in `config`, call it on a thread of the tokio runtime, which carries
    /// what is sent.
    ///
    /// # Errors
    /// When the collector's address or file of headers is wrong.
    pub fn start(config: &TelemetryConfig) -> Result<Self, ConfigError> {
        let registry = Registry::new();
        let reader =
            opentelemetry_prometheus::exporter().with_registry(registry.clone()).scope_info_enabled(false).build();
        let reader = reader.map_err(|error| ConfigError::value("telemetry", format!("cannot start: {error}")))?;
        let mut provider = SdkMeterProvider::builder().with_resource(otlp::resource()).with_reader(reader);
        if let Some(otlp) = &config.otlp {
            let every = std::time::Duration::from_secs(otlp.metrics_every_s);
            provider = provider.with_reader(PeriodicReader::builder(otlp::metrics(otlp)?).with_interval(every).build());
        }
        let provider = provider.build();
        let instruments = Instruments::new(&provider.meter("stockade"));
        let tenants = Names::new(config.tenants_max);
        Ok(Self(Arc::new(Inner { provider, registry, instruments, tenants })))
    }

    /// Everything in Prometheus' text format, version 0.0.4.
    #[must_use]
    pub fn prometheus(&self) -> String {
        // It fails for a family without a name or a value, which the exporter makes none of.
        TextEncoder::new().encode_to_string(&self.0.registry.gather()).unwrap_or_default()
    }

    /// Shows the plugins that serve, each time that somebody looks. Once for each server.
    pub(crate) fn watch_plugins(&self, tools: &Arc<dyn Tools>) {
        let meter = self.0.provider.meter("stockade");
        let (of_instances, of_compiling) = (Arc::downgrade(tools), Arc::downgrade(tools));
        meter
            .u64_observable_gauge("stockade.plugin.instances")
            .with_unit("{instance}")
            .with_description("Instances of the plugin that exist: `running` serve a call, `ready` wait for one.")
            .with_callback(move |observer| {
                for plugin in plugins(&of_instances) {
                    for (state, count) in [("running", plugin.running), ("ready", plugin.ready)] {
                        let attributes = [key::plugin(&plugin.name), opentelemetry::KeyValue::new(key::STATE, state)];
                        observer.observe(count as u64, &attributes);
                    }
                }
            })
            .build();
        meter
            .f64_observable_gauge("stockade.plugin.compile.duration")
            .with_unit("s")
            .with_description("Time that compiling the plugin took, or reading it out of the cache on disk.")
            .with_callback(move |observer| {
                for plugin in plugins(&of_compiling) {
                    observer.observe(plugin.compiled_in.as_secs_f64(), &[key::plugin(&plugin.name)]);
                }
            })
            .build();
    }

    /// Shows what the log file lost, each time that somebody looks. Once for each server.
    pub(crate) fn watch_log(&self, log: LogControl) {
        self.0
            .provider
            .meter("stockade")
            .u64_observable_counter("stockade.log.lines.lost")
            .with_unit("{line}")
            .with_description("Lines that found no room in the log file.")
            .with_callback(move |observer| observer.observe(log.lines_lost(), &[]))
            .build();
    }

    /// Sends the last of it, where it is sent. Nothing is counted after.
    pub(crate) async fn close(&self) {
        let provider = self.0.provider.clone();
        // It waits for a thread, at most as long as one request may take.
        let closing = tokio::task::spawn_blocking(move || provider.shutdown());
        if !matches!(closing.await, Ok(Ok(()))) {
            tracing::warn!("the last metrics were not sent: the collector does not take them");
        }
    }
}

fn plugins(tools: &Weak<dyn Tools>) -> Vec<stockade_runtime::PluginState> {
    tools.upgrade().map(|tools| tools.plugins()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
