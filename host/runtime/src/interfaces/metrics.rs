//! `metrics`: a plugin's own measurements, handed to whoever keeps the host's.

use crate::{
    bindings::stockade::plugin::metrics::Host,
    report::Measurement,
    state::{Call, CallState},
};

impl Host for CallState {
    fn add(&mut self, name: String, by: f64) -> wasmtime::Result<()> {
        let call = self.enter()?;
        if by >= 0.0 {
            call.measured(&name, by, Measurement::Added);
        }
        Ok(())
    }

    fn record(&mut self, name: String, value: f64) -> wasmtime::Result<()> {
        self.enter()?.measured(&name, value, Measurement::Recorded);
        Ok(())
    }
}

impl Call {
    /// Only names of the manifest: a name made at run time would have no bound.
    fn measured(&self, name: &str, value: f64, measurement: fn(f64) -> Measurement) {
        if value.is_finite() && self.plugin.grants.metrics.as_ref().is_some_and(|g| g.names.contains(name)) {
            self.report.measured(name, measurement(value));
        }
    }
}
