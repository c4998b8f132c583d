//! Fresh instances, made ahead so that a call need not wait for one. Each serves one call.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::Store;

use crate::{
    bindings::{Plugin as Bindings, PluginPre},
    cpu::Cpu,
    limits::Limits,
    state::{CallState, Stop},
};

/// An instance and its store.
pub(crate) struct Instance {
    pub(crate) store: Store<CallState>,
    pub(crate) bindings: Bindings,
    /// What its start functions computed before there was a call: that of the call which it serves.
    pub(crate) ahead: Duration,
}

/// How many instances may wait, those included that are being made: for each plugin, and for all together, so
/// that many plugins cannot take the pool's places from the calls.
#[derive(Clone)]
pub(crate) struct ReadySlots {
    per_plugin: usize,
    all: Arc<Semaphore>,
}

/// What a waiting instance holds, of its plugin's slots and of all.
type Slot = (OwnedSemaphorePermit, OwnedSemaphorePermit);

impl ReadySlots {
    pub(crate) fn new(per_plugin: usize, all: u32) -> Self {
        Self { per_plugin, all: Arc::new(Semaphore::new(all as usize)) }
    }
}

/// How instances of one plugin are made.
pub(crate) struct Making {
    pub(crate) pre: PluginPre<CallState>,
    pub(crate) limits: Limits,
    /// Whether the plugin's code counts its instructions.
    pub(crate) counts_fuel: bool,
    /// Places of the pool that an instance takes.
    pub(crate) places: u32,
    /// Time for the start functions; they run before any call.
    pub(crate) start: Duration,
}

/// The waiting instances of one plugin.
pub(crate) struct ReadyInstances {
    making: Making,
    slots: ReadySlots,
    own_slots: Arc<Semaphore>,
    waiting: Mutex<Vec<(Instance, Slot)>>,
}

impl ReadyInstances {
    pub(crate) fn new(making: Making, slots: ReadySlots) -> Self {
        let own_slots = Arc::new(Semaphore::new(slots.per_plugin));
        Self { making, slots, own_slots, waiting: Mutex::default() }
    }

    /// Places of the pool that an instance takes.
    pub(crate) fn places(&self) -> u32 {
        self.making.places
    }

    /// Instances that wait for a call.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().len()
    }

    /// An instance that no call has seen.
    pub(crate) async fn take(&self, cpu: &Arc<Cpu>) -> wasmtime::Result<Instance> {
        let waiting = self.lock().pop();
        match waiting {
            Some((instance, _slot)) => Ok(instance),
            None => self.instantiate(cpu).await,
        }
    }

    /// Make an instance ahead for one that was used, unless enough wait: so as many wait as are used at
    /// a time. A plugin that fails to start is left to fail in its calls, where the failure is reported.
    pub(crate) async fn replace(&self, cpu: &Arc<Cpu>) {
        let before = cpu.used();
        // Before it is made: start functions take their time, and many calls may end meanwhile.
        let Ok(own) = Arc::clone(&self.own_slots).try_acquire_owned() else { return };
        let Ok(of_all) = Arc::clone(&self.slots.all).try_acquire_many_owned(self.places()) else { return };
        let Ok(instance) = self.instantiate(cpu).await else { return };
        let instance = Instance { ahead: cpu.used().saturating_sub(before), ..instance };
        self.lock().push((instance, (own, of_all)));
    }

    async fn instantiate(&self, cpu: &Arc<Cpu>) -> wasmtime::Result<Instance> {
        let Making { pre, limits, start, .. } = &self.making;
        let mut store = Store::new(pre.engine(), CallState::new(limits, *start, Arc::clone(cpu)));
        store.limiter(|state| &mut state.limiter);
        bound(&mut store, limits);
        if self.making.counts_fuel {
            store.set_fuel(u64::MAX)?;
        }
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|mut store| store.data_mut().tick());
        // The clock of the epoch runs while the guest does; a start function that waits in the host does not.
        let started = tokio::time::timeout(*start, pre.instantiate_async(&mut store)).await;
        let bindings = started.map_err(|_| Stop::Limit("start_ms"))??;
        Ok(Instance { store, bindings, ahead: Duration::ZERO })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(Instance, Slot)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Instance {
    /// Put the limits of the call's tool in the place of the plugin's.
    pub(crate) fn set_limits(&mut self, limits: &Limits) -> wasmtime::Result<()> {
        bound(&mut self.store, limits);
        if limits.fuel > 0 {
            self.store.set_fuel(limits.fuel)?;
        }
        Ok(())
    }
}

/// What the store itself bounds: bytes that a host call may take out of the guest, and handles.
fn bound(store: &mut Store<CallState>, limits: &Limits) {
    store.set_hostcall_fuel(limits.memory_bytes());
    // A handle of the guest for each of the host's, and as many of its own.
    store.set_max_component_handles((limits.handles as usize).saturating_mul(2));
}
