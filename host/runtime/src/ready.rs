//! Fresh instances, made ahead so that a call need not wait for one. Each serves one call.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::{Store, UpdateDeadline};

use crate::{
    bindings::{Plugin as Bindings, PluginPre},
    limits::Limits,
    state::{CallState, Stop},
};

/// Time for a component's start functions; they run before any call.
const START_MAX: Duration = Duration::from_secs(1);

/// An instance and its store.
pub(crate) struct Instance {
    pub(crate) store: Store<CallState>,
    pub(crate) bindings: Bindings,
}

/// How many instances may wait: for each plugin, and for all together, so that many plugins cannot
/// take the pool's places from the calls.
#[derive(Clone)]
pub(crate) struct ReadySlots {
    per_plugin: usize,
    all: Arc<Semaphore>,
}

impl ReadySlots {
    pub(crate) fn new(per_plugin: usize, all: u32) -> Self {
        Self { per_plugin, all: Arc::new(Semaphore::new(all as usize)) }
    }
}

/// The waiting instances of one plugin.
pub(crate) struct ReadyInstances {
    pre: PluginPre<CallState>,
    limits: Limits,
    slots: ReadySlots,
    waiting: Mutex<Vec<(Instance, OwnedSemaphorePermit)>>,
}

impl ReadyInstances {
    pub(crate) fn new(pre: PluginPre<CallState>, limits: Limits, slots: ReadySlots) -> Self {
        Self { pre, limits, slots, waiting: Mutex::default() }
    }

    /// An instance that no call has seen.
    pub(crate) async fn take(&self) -> wasmtime::Result<Instance> {
        let waiting = self.lock().pop();
        match waiting {
            Some((instance, _permit)) => Ok(instance),
            None => self.instantiate().await,
        }
    }

    /// Make instances until enough wait. A plugin that fails to start is left to fail in its calls,
    /// where the failure is reported.
    pub(crate) async fn top_up(&self) {
        while self.lock().len() < self.slots.per_plugin {
            let Ok(permit) = Arc::clone(&self.slots.all).try_acquire_owned() else { return };
            let Ok(instance) = self.instantiate().await else { return };
            self.lock().push((instance, permit));
        }
    }

    async fn instantiate(&self) -> wasmtime::Result<Instance> {
        let state = CallState::new(&self.limits, Instant::now() + START_MAX);
        let mut store = Store::new(self.pre.engine(), state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(self.limits.memory_bytes());
        store.set_epoch_deadline(1);
        // At every tick: make room for other calls, or stop.
        store.epoch_deadline_callback(|store| {
            if Instant::now() < store.data().stop_at {
                Ok(UpdateDeadline::Yield(1))
            } else {
                Err(Stop::Limit("deadline_ms").into())
            }
        });
        // The clock of the epoch runs while the guest does; a start function that waits in the host does not.
        let started = tokio::time::timeout(START_MAX, self.pre.instantiate_async(&mut store)).await;
        let bindings = started.map_err(|_| Stop::Limit("start"))??;
        Ok(Instance { store, bindings })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(Instance, OwnedSemaphorePermit)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
