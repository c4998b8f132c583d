use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use stockade_runtime::Caller;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{config::ServerConfig, mcp::Listed, tenants::Tenant};

/// A caller whose credential was accepted, with its share of the server.
pub struct KnownCaller {
    /// The name of its table in the configuration, or `ISSUER/PRINCIPAL`. Safe to log.
    pub name: Arc<str>,
    /// What tools and the database are told.
    pub caller: Arc<Caller>,
    /// All that the caller is: two are the same caller if and only if these are equal. A user whose
    /// roles change is another caller, and does not find the sessions that the former roles opened.
    pub(crate) id: Arc<str>,
    pub(crate) tenant: Arc<Tenant>,
    /// Cancelled when the operator takes the caller out, or changes what it is: its sessions and streams end.
    pub(crate) gone: CancellationToken,
    /// HTTP requests under way at once.
    pub(crate) requests: Arc<Semaphore>,
    /// Tool calls that run at once.
    pub(crate) calls: Semaphore,
    /// The answer to `tools/list`, until the tools change.
    pub(crate) listed: Mutex<Option<Listed>>,
}

impl fmt::Debug for KnownCaller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownCaller").field("name", &self.name).finish_non_exhaustive()
    }
}

/// How much each caller may use at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shares {
    requests_max: usize,
    calls_max: usize,
}

impl Shares {
    pub(super) fn of(server: &ServerConfig) -> Self {
        Self { requests_max: server.requests_per_caller_max, calls_max: server.calls_per_caller_max }
    }

    pub(super) fn caller(
        self,
        name: String,
        id: Arc<str>,
        caller: Caller,
        tenant: Arc<Tenant>,
        gone: CancellationToken,
    ) -> Arc<KnownCaller> {
        Arc::new(KnownCaller {
            name: name.into(),
            caller: Arc::new(caller),
            id,
            tenant,
            gone,
            requests: Arc::new(Semaphore::new(self.requests_max)),
            calls: Semaphore::new(self.calls_max),
            listed: Mutex::new(None),
        })
    }
}

/// Entries below which nothing is tidied up.
const TIDY_FROM: usize = 64;

/// The callers that only tokens name, as long as a request or a session is theirs: what is counted for
/// a caller counts what is under way, so nothing is lost with it, and there are no more entries than
/// twice what connections and sessions there may be.
#[derive(Default)]
pub(super) struct Active {
    entries: Mutex<Entries>,
    /// Cancelled when all of them are gone, those that are still to be made too.
    pub(super) gone: CancellationToken,
}

#[derive(Default)]
struct Entries {
    by_id: HashMap<Arc<str>, Weak<KnownCaller>>,
    tidy_at: usize,
}

impl Active {
    /// The caller `id`; made, if nothing of it is under way.
    pub(super) fn get(&self, id: String, make: impl FnOnce(Arc<str>) -> Arc<KnownCaller>) -> Arc<KnownCaller> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = entries.by_id.get(id.as_str()).and_then(Weak::upgrade) {
            return known;
        }
        let known = make(Arc::from(id));
        entries.by_id.insert(Arc::clone(&known.id), Arc::downgrade(&known));
        if entries.by_id.len() >= entries.tidy_at.max(TIDY_FROM) {
            entries.by_id.retain(|_, known| known.strong_count() > 0);
            entries.tidy_at = entries.by_id.len() * 2;
        }
        known
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).by_id.len()
    }
}
