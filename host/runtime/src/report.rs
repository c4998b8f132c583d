//! What the host learns of a call while it runs.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use stockade_db::{Session, Usage};

use crate::plugin::PluginIdentity;

/// What a call was and used. Whoever made the [`Invocation`](crate::Invocation) keeps a clone: it says
/// as much of a call that was cut off as of one that ended.
#[derive(Clone, Default)]
pub struct CallReport(Arc<Inner>);

#[derive(Default)]
struct Inner {
    plugin: OnceLock<Arc<PluginIdentity>>,
    session: OnceLock<Arc<Session>>,
    cpu_us: AtomicU64,
    host_calls: AtomicU32,
}

impl CallReport {
    /// The plugin's name, version and SHA-256 in hexadecimal. `None` where there was no such tool.
    #[must_use]
    pub fn plugin(&self) -> Option<(&str, &str, String)> {
        let identity = self.0.plugin.get()?;
        Some((&identity.name, &identity.version, hex::encode(identity.digest)))
    }

    /// What the call has taken out of the database so far. `None` where the tool was not started.
    #[must_use]
    pub fn database(&self) -> Option<Usage> {
        Some(self.0.session.get()?.usage())
    }

    /// Time on a processor, in microseconds; known when the call is over, however it ended.
    #[must_use]
    pub fn cpu_us(&self) -> u64 {
        self.0.cpu_us.load(Ordering::Relaxed)
    }

    /// Calls of host functions; known when the call is over, however it ended.
    #[must_use]
    pub fn host_calls(&self) -> u32 {
        self.0.host_calls.load(Ordering::Relaxed)
    }

    pub(crate) fn found(&self, plugin: &Arc<PluginIdentity>) {
        // A call has one plugin; were it asked a second time, the first would stand.
        let _ = self.0.plugin.set(Arc::clone(plugin));
    }

    pub(crate) fn ended(&self, cpu: Duration, host_calls: u32) {
        self.0.cpu_us.store(u64::try_from(cpu.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.0.host_calls.store(host_calls, Ordering::Relaxed);
    }

    pub(crate) fn started(&self, session: &Arc<Session>) {
        let _ = self.0.session.set(Arc::clone(session));
    }
}

impl std::fmt::Debug for CallReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallReport").field("plugin", &self.plugin()).finish_non_exhaustive()
    }
}
