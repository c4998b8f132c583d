//! What the host learns of a call while it runs, and when it is over.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use stockade_db::Session;

use crate::plugin::PluginIdentity;

/// What a call was and used. Whoever made the [`Invocation`](crate::Invocation) keeps a clone: it says
/// as much of a call that was cut off as of one that ended.
#[derive(Clone, Default)]
pub struct CallReport(Arc<Inner>);

#[derive(Default)]
struct Inner {
    plugin: OnceLock<Arc<PluginIdentity>>,
    session: OnceLock<Arc<Session>>,
    used: OnceLock<Used>,
    meter: Option<Box<dyn CallMeter>>,
}

/// Hears of a call what is counted.
pub trait CallMeter: Send + Sync {
    /// What a call used that was given a place: once, when it is over. A call that was dropped while it
    /// computed is over at its next tick, after whoever dropped it went on.
    fn used(&self, used: Used);

    /// A measurement of the plugin's own, as it is made. `name` is one that its manifest lists.
    fn measured(&self, name: &str, measurement: Measurement);
}

/// A measurement of a plugin's own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measurement {
    /// To be added to a counter: finite and not negative.
    Added(f64),
    /// One value of a distribution: finite.
    Recorded(f64),
}

/// What a call has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Time on a processor.
    pub cpu: Duration,
    /// Calls of host functions.
    pub host_calls: u32,
    /// Bytes of linear memory that the instance had taken at its end, which is the most: memory never shrinks.
    pub memory_bytes: u64,
    /// Rows out of the database.
    pub rows: u64,
    /// Bytes of values out of the database.
    pub bytes: u64,
}

impl CallReport {
    /// A report whose `meter` hears what the call uses.
    #[must_use]
    pub fn metered(meter: impl CallMeter + 'static) -> Self {
        Self(Arc::new(Inner { meter: Some(Box::new(meter)), ..Inner::default() }))
    }

    /// The plugin's name, version and SHA-256 in hexadecimal. `None` where there was no such tool.
    #[must_use]
    pub fn plugin(&self) -> Option<(&str, &str, String)> {
        let identity = self.0.plugin.get()?;
        Some((&identity.name, &identity.version, hex::encode(identity.digest)))
    }

    /// Rows taken out of the database so far. `None` where the tool was not started.
    #[must_use]
    pub fn rows(&self) -> Option<u64> {
        Some(self.0.session.get()?.usage().rows)
    }

    /// What the call has used. `None` while it runs, and where it was not started.
    #[must_use]
    pub fn used(&self) -> Option<Used> {
        self.0.used.get().copied()
    }

    /// Whoever runs the call says at its end what it used. The first to say so counts.
    pub fn ended(&self, used: Used) {
        if self.0.used.set(used).is_ok()
            && let Some(meter) = &self.0.meter
        {
            meter.used(used);
        }
    }

    /// Whoever runs the call passes on what its plugin measures.
    pub fn measured(&self, name: &str, measurement: Measurement) {
        if let Some(meter) = &self.0.meter {
            meter.measured(name, measurement);
        }
    }

    pub(crate) fn found(&self, plugin: &Arc<PluginIdentity>) {
        // A call has one plugin; were it asked a second time, the first would stand.
        let _ = self.0.plugin.set(Arc::clone(plugin));
    }

    pub(crate) fn started(&self, session: &Arc<Session>) {
        let _ = self.0.session.set(Arc::clone(session));
    }
}

impl std::fmt::Debug for CallReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallReport").field("plugin", &self.plugin()).field("used", &self.used()).finish_non_exhaustive()
    }
}
