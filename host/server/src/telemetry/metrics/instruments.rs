//! The instruments and the names of their attributes. The README lists what they become.

use opentelemetry::metrics::{Counter, Histogram, Meter, UpDownCounter};

/// The conventions' bounds begin at 10 ms; a plugin that asks nobody is done in a tenth of one.
const DURATION_S: [f64; 18] =
    [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];
/// From clients that ask one thing to those that stay for a day.
const SESSION_S: [f64; 10] = [0.1, 1.0, 10.0, 60.0, 300.0, 900.0, 1_800.0, 3_600.0, 14_400.0, 86_400.0];
/// 64 KiB, a page of WebAssembly, to 1 GiB.
const MEMORY_BYTES: [f64; 8] =
    [65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0, 67_108_864.0, 268_435_456.0, 1_073_741_824.0];
/// Nobody knows what a plugin measures: 1, 2 and 5 of each power of ten from a thousandth to a million.
const ANYTHING: [f64; 28] = [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1e3,
    2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6,
];

/// Attributes.
pub(super) mod key {
    use opentelemetry::{KeyValue, Value};

    pub(in crate::telemetry) const METHOD: &str = "mcp.method.name";
    pub(in crate::telemetry) const TOOL: &str = "gen_ai.tool.name";
    pub(in crate::telemetry) const VERSION: &str = "mcp.protocol.version";
    pub(in crate::telemetry) const TRANSPORT: &str = "network.transport";
    pub(in crate::telemetry) const ERROR: &str = "error.type";
    pub(in crate::telemetry) const CODE: &str = "stockade.error.code";
    pub(in crate::telemetry) const FAULT: &str = "stockade.error.fault";
    pub(in crate::telemetry) const LIMIT: &str = "stockade.limit";
    pub(in crate::telemetry) const TENANT: &str = "stockade.tenant";
    pub(in crate::telemetry) const PLUGIN: &str = "stockade.plugin";
    pub(in crate::telemetry) const KIND: &str = "stockade.trap.kind";
    pub(in crate::telemetry) const STATE: &str = "stockade.instance.state";
    pub(in crate::telemetry) const CONNECTION: &str = "stockade.connection.state";
    pub(in crate::telemetry) const SOURCE: &str = "stockade.cache.source";
    pub(in crate::telemetry) const REPLICA: &str = "stockade.replica";
    pub(in crate::telemetry) const NAME: &str = "stockade.metric";

    pub(in crate::telemetry) fn plugin(name: &str) -> KeyValue {
        KeyValue::new(PLUGIN, Value::from(name.to_owned()))
    }
}

pub(super) struct Instruments {
    pub(super) duration: Histogram<f64>,
    pub(super) session_duration: Histogram<f64>,
    pub(super) active: UpDownCounter<i64>,
    pub(super) errors: Counter<u64>,
    pub(super) limits: Counter<u64>,
    pub(super) tenant_calls: Counter<u64>,
    pub(super) tenant_cpu: Counter<f64>,
    pub(super) tenant_rows: Counter<u64>,
    pub(super) plugin_cpu: Counter<f64>,
    pub(super) plugin_host_calls: Counter<u64>,
    pub(super) plugin_rows: Counter<u64>,
    pub(super) plugin_bytes: Counter<u64>,
    pub(super) plugin_memory: Histogram<u64>,
    pub(super) plugin_traps: Counter<u64>,
    pub(super) plugin_counts: Counter<f64>,
    pub(super) plugin_values: Histogram<f64>,
}

impl Instruments {
    pub(super) fn new(meter: &Meter) -> Self {
        let count =
            |name, unit, description| meter.u64_counter(name).with_unit(unit).with_description(description).build();
        let amount =
            |name, unit, description| meter.f64_counter(name).with_unit(unit).with_description(description).build();
        Self {
            duration: meter
                .f64_histogram("mcp.server.operation.duration")
                .with_unit("s")
                .with_description("Time from a request to its answer, as the server sees it.")
                .with_boundaries(DURATION_S.to_vec())
                .build(),
            session_duration: meter
                .f64_histogram("mcp.server.session.duration")
                .with_unit("s")
                .with_description("Time from a session's beginning to its end.")
                .with_boundaries(SESSION_S.to_vec())
                .build(),
            active: meter
                .i64_up_down_counter("stockade.calls.active")
                .with_unit("{call}")
                .with_description("Tool calls under way, those that wait for a place included.")
                .build(),
            errors: count("stockade.errors", "{error}", "Tool calls that failed, and whose fault it was."),
            limits: count("stockade.limit.hits", "{hit}", "Times that a limit was reached, by its name."),
            tenant_calls: count("stockade.tenant.calls", "{call}", "Tool calls of the tenant that were given a place."),
            tenant_cpu: amount("stockade.tenant.cpu.time", "s", "Time on a processor of the tenant's calls."),
            tenant_rows: count("stockade.tenant.rows", "{row}", "Rows out of the database for the tenant."),
            plugin_cpu: amount("stockade.plugin.cpu.time", "s", "Time on a processor of the plugin's calls."),
            plugin_host_calls: count("stockade.plugin.host_calls", "{call}", "Calls of host functions by the plugin."),
            plugin_rows: count("stockade.plugin.rows", "{row}", "Rows out of the database for the plugin."),
            plugin_bytes: count("stockade.plugin.read", "By", "Values out of the database for the plugin."),
            plugin_memory: meter
                .u64_histogram("stockade.plugin.memory.peak")
                .with_unit("By")
                .with_description("The most linear memory that a call of the plugin took.")
                .with_boundaries(MEMORY_BYTES.to_vec())
                .build(),
            plugin_traps: count("stockade.plugin.traps", "{trap}", "Calls of the plugin that were stopped, by what."),
            plugin_counts: amount("stockade.plugin.count", "", "What plugins count, by the name in the manifest."),
            plugin_values: meter
                .f64_histogram("stockade.plugin.value")
                .with_description("What plugins measure, by the name in the manifest.")
                .with_boundaries(ANYTHING.to_vec())
                .build(),
        }
    }
}
