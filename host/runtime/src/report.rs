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
    charge: Option<Box<dyn Fn(Used) + Send + Sync>>,
}

/// What a call has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Time on a processor.
    pub cpu: Duration,
    /// Calls of host functions.
    pub host_calls: u32,
    /// Rows out of the database.
    pub rows: u64,
    /// Bytes of values out of the database.
    pub bytes: u64,
}

impl CallReport {
    /// A report whose call, if it is given a place, is charged for what it used: once, when it is over. A
    /// call that was dropped while it computed is over at its next tick, after whoever dropped it went on.
    #[must_use]
    pub fn charging(charge: impl Fn(Used) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner { charge: Some(Box::new(charge)), ..Inner::default() }))
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
            && let Some(charge) = &self.0.charge
        {
            charge(used);
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
