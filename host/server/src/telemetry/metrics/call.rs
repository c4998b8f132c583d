//! What is counted of one request.

use std::{sync::Arc, time::Instant};

use opentelemetry::{KeyValue, Value};
use stockade_runtime::{CallMeter, Measurement, StopKind, ToolInfo, Used};

use super::{Metrics, instruments::key};
use crate::{errors::Fault, tenants::Tenant};

/// The method whose requests are calls.
const CALL: &str = "tools/call";

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With a result.
    Done,
    /// With an error.
    Failed {
        /// `tool_error` for a result with `isError`, the JSON-RPC error code otherwise.
        error: &'static str,
        /// The code that the caller reads.
        code: &'static str,
        /// Whose fault it was.
        fault: Fault,
        /// The limit that was reached, where it was one.
        limit: Option<&'static str>,
        /// By what the plugin was stopped, where it was.
        stopped: Option<StopKind>,
    },
    /// A request that was no call, with a protocol error.
    Refused {
        /// Its code.
        error: &'static str,
    },
    /// Nobody waited for its end.
    Cancelled,
}

/// A request under way. However it ends, it is counted once: dropped before its end, as cancelled.
pub(crate) struct Operation {
    metrics: Metrics,
    started: Instant,
    method: &'static str,
    transport: &'static str,
    version: Option<&'static str>,
    tool: Option<Arc<ToolInfo>>,
    ended: Ended,
}

impl Operation {
    /// How long it has taken so far.
    pub(crate) fn elapsed(&self) -> std::time::Duration {
        self.started.elapsed()
    }

    /// `tcp` for HTTP, `pipe` for standard input and output.
    pub(crate) fn transport(&self) -> &'static str {
        self.transport
    }

    /// The revision of the protocol, where it is one that this server speaks.
    pub(crate) fn version(&self) -> Option<&'static str> {
        self.version
    }

    /// The type of the error and its code, where it ended with one.
    pub(crate) fn error(&self) -> Option<(&'static str, &'static str)> {
        match self.ended {
            Ended::Failed { error, code, .. } => Some((error, code)),
            Ended::Done | Ended::Refused { .. } | Ended::Cancelled => None,
        }
    }

    /// Says how it ends.
    pub(crate) fn end(&mut self, ended: Ended) {
        self.ended = ended;
    }
}

impl Metrics {
    /// Begins a request. `tool` is the tool that a call is for, where there is one for this caller: what
    /// clients make up gets no series.
    pub(crate) fn begin(
        &self,
        method: &'static str,
        tool: Option<Arc<ToolInfo>>,
        transport: &'static str,
        version: Option<&'static str>,
    ) -> Operation {
        if method == CALL {
            self.0.instruments.active.add(1, &[]);
        }
        let (metrics, started, ended) = (self.clone(), Instant::now(), Ended::Cancelled);
        Operation { metrics, started, method, transport, version, tool, ended }
    }

    /// Counts a limit that was reached before there was a call.
    pub(crate) fn limit_hit(&self, limit: &'static str) {
        self.0.instruments.limits.add(1, &[KeyValue::new(key::LIMIT, limit)]);
    }

    /// What hears of a call of `tool` by `tenant` what it uses.
    pub(crate) fn meter(&self, tenant: &Arc<Tenant>, tool: Option<&ToolInfo>) -> impl CallMeter + use<> {
        Meter {
            metrics: self.clone(),
            tenant: Arc::clone(tenant),
            plugin: key::plugin(tool.map_or("", |tool| &tool.plugin)),
        }
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        let instruments = &self.metrics.0.instruments;
        if self.method == CALL {
            instruments.active.add(-1, &[]);
        }
        let mut attributes = Vec::with_capacity(6);
        attributes.push(KeyValue::new(key::METHOD, self.method));
        attributes.push(KeyValue::new(key::TRANSPORT, self.transport));
        attributes.extend(self.version.map(|version| KeyValue::new(key::VERSION, version)));
        attributes.extend(self.tool.as_ref().map(|tool| KeyValue::new(key::TOOL, tool.name.clone())));
        match self.ended {
            Ended::Done => {}
            Ended::Refused { error } => attributes.push(KeyValue::new(key::ERROR, error)),
            Ended::Cancelled => attributes.push(KeyValue::new(key::ERROR, "cancelled")),
            Ended::Failed { error, code, fault, limit, stopped } => {
                attributes.extend([KeyValue::new(key::ERROR, error), KeyValue::new(key::CODE, code)]);
                let of_error = [KeyValue::new(key::CODE, code), KeyValue::new(key::FAULT, fault.as_str())];
                instruments.errors.add(1, &of_error);
                if let Some(limit) = limit {
                    instruments.limits.add(1, &[KeyValue::new(key::LIMIT, limit)]);
                }
                if let (Some(kind), Some(tool)) = (stopped, &self.tool) {
                    let of_trap = [key::plugin(&tool.plugin), KeyValue::new(key::KIND, kind.as_str())];
                    instruments.plugin_traps.add(1, &of_trap);
                }
            }
        }
        instruments.duration.record(self.started.elapsed().as_secs_f64(), &attributes);
    }
}

/// Charges a call to its tenant and counts what it used.
struct Meter {
    metrics: Metrics,
    tenant: Arc<Tenant>,
    plugin: KeyValue,
}

impl CallMeter for Meter {
    fn used(&self, used: Used) {
        self.tenant.charge(used.cpu, used.rows);
        let Used { cpu, host_calls, memory_bytes, rows, bytes } = used;
        let (cpu_s, instruments) = (cpu.as_secs_f64(), &self.metrics.0.instruments);
        let plugin = std::slice::from_ref(&self.plugin);
        instruments.plugin_cpu.add(cpu_s, plugin);
        instruments.plugin_host_calls.add(host_calls.into(), plugin);
        instruments.plugin_memory.record(memory_bytes, plugin);
        let tenant = [KeyValue::new(key::TENANT, Value::from(self.metrics.0.tenants.bounded(&self.tenant.name)))];
        instruments.tenant_calls.add(1, &tenant);
        instruments.tenant_cpu.add(cpu_s, &tenant);
        // Most tools that read nothing read never anything.
        if rows > 0 || bytes > 0 {
            instruments.plugin_rows.add(rows, plugin);
            instruments.plugin_bytes.add(bytes, plugin);
            instruments.tenant_rows.add(rows, &tenant);
        }
    }

    fn measured(&self, name: &str, measurement: Measurement) {
        let attributes = [self.plugin.clone(), KeyValue::new(key::NAME, name.to_owned())];
        let instruments = &self.metrics.0.instruments;
        match measurement {
            Measurement::Added(by) => instruments.plugin_counts.add(by, &attributes),
            Measurement::Recorded(value) => instruments.plugin_values.record(value, &attributes),
        }
    }
}
