//! `metrics`: a plugin's own measurements, as events under the target `stockade::plugin::metrics`.

use crate::{
    bindings::stockade::plugin::metrics::Host,
    state::{Call, CallState},
};

impl Host for CallState {
    fn add(&mut self, name: String, by: f64) -> wasmtime::Result<()> {
        let call = self.enter()?;
        if by >= 0.0 && call.measures(&name, by) {
            tracing::debug!(target: "stockade::plugin::metrics", plugin = %call.plugin.name, counter = %name, by);
        }
        Ok(())
    }

    fn record(&mut self, name: String, value: f64) -> wasmtime::Result<()> {
        let call = self.enter()?;
        if call.measures(&name, value) {
            tracing::debug!(target: "stockade::plugin::metrics", plugin = %call.plugin.name, histogram = %name, value);
        }
        Ok(())
    }
}

impl Call {
    /// Only names of the manifest: a name made at run time would have no bound.
    fn measures(&self, name: &str, value: f64) -> bool {
        value.is_finite() && self.plugin.grants.metrics.as_ref().is_some_and(|g| g.names.contains(name))
    }
}
