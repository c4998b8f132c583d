//! The engines, the pool of places for instances, and the clock that interrupts guests.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use wasmtime::{
    Cache, CacheConfig, Config, Enabled, Engine, EngineWeak, InstanceAllocationStrategy, PoolingAllocationConfig,
    component::Component,
};

use crate::{config::RuntimeConfig, error::RuntimeError, limits::LimitRequest};

/// How often a running guest is interrupted: to go on in the background, to let others take their turn
/// there, or to be stopped. A worker of the server may be kept for longer: what the host does for a call has no
/// ticks, and [`crate::background`] looks at it only between its turns.
pub(crate) const TICK: Duration = Duration::from_millis(2);

/// What one place of the pool has for an instance. One that needs more takes several places.
const MEMORIES_PER_PLACE: u32 = 2;
const TABLES_PER_PLACE: u32 = 4;
/// Places that one instance may take.
const PLACES_MAX: u32 = 8;
/// What the host needs of a stack beyond the guest's.
const HOST_STACK_BYTES: usize = 1536 << 10;

/// How much of an instance's memory, tables and stack stays mapped from one call to the next, in bytes.
const KEPT_BYTES: usize = 2 << 20;

/// The smallest stack that a plugin gets.
const STACK_KIB_MIN: u32 = 64;

/// What an engine has one of for all that runs on it. Plugins that need another kind run on another engine,
/// made for the first of them: nobody else pays for it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Kind {
    /// Whether the instructions of calls are counted, which is compiled in.
    counts_fuel: bool,
    /// A power of two, so that the kinds are few whatever the manifests ask for.
    stack_kib: u32,
}

/// The engines that plugins run on.
#[derive(Clone)]
pub(crate) struct Engines {
    config: Arc<RuntimeConfig>,
    started: Arc<Mutex<HashMap<Kind, Engine>>>,
}

impl Engines {
    /// Start the engine of plugins that ask for nothing in particular.
    pub(crate) fn start(config: &RuntimeConfig) -> Result<Self, RuntimeError> {
        let engines = Self { config: Arc::new(config.clone()), started: Arc::default() };
        let usual = LimitRequest::default().resolve(&config.limits).map_err(RuntimeError::Engine)?;
        engines.get(false, usual.stack_kib)?;
        Ok(engines)
    }

    /// The engine for a plugin that counts its instructions or does not, with at least this much stack.
    pub(crate) fn get(&self, counts_fuel: bool, stack_kib: u32) -> Result<Engine, RuntimeError> {
        let kind = Kind { counts_fuel, stack_kib: stack_kib.max(STACK_KIB_MIN).next_power_of_two() };
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = started.get(&kind) {
            return Ok(engine.clone());
        }
        let engine = start(&self.config, kind)?;
        started.insert(kind, engine.clone());
        Ok(engine)
    }

    /// Places of the pool that an instance of `component` takes.
    ///
    /// # Errors
    /// A sentence when it needs more than there can be.
    pub(crate) fn places(&self, component: &Component) -> Result<u32, String> {
        // None: it instantiates what it imports, which nothing links.
        let Some(needs) = component.resources_required() else { return Ok(1) };
        let places =
            needs.num_memories.div_ceil(MEMORIES_PER_PLACE).max(needs.num_tables.div_ceil(TABLES_PER_PLACE)).max(1);
        let max = PLACES_MAX.min(self.config.instances_max);
        if places <= max {
            return Ok(places);
        }
        Err(format!(
            "it has {} memories and {} tables; at most {} and {} fit",
            needs.num_memories,
            needs.num_tables,
            max * MEMORIES_PER_PLACE,
            max * TABLES_PER_PLACE
        ))
    }
}

/// Build an engine and start its clock.
fn start(config: &RuntimeConfig, Kind { counts_fuel, stack_kib }: Kind) -> Result<Engine, RuntimeError> {
    let mut wasm = Config::new();
    let stack = (stack_kib as usize) << 10;
    wasm.epoch_interruption(true)
        .consume_fuel(counts_fuel)
        .max_wasm_stack(stack)
        .async_stack_size(stack + HOST_STACK_BYTES)
        // Relaxed SIMD may differ from machine to machine; results should not.
        .relaxed_simd_deterministic(true)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool(config)));
    if let Some(dir) = &config.cache_dir {
        wasm.cache(Some(disk_cache(dir)?));
    }
    let engine = Engine::new(&wasm).map_err(|e| RuntimeError::Engine(format!("{e:#}")))?;
    start_clock(&engine)?;
    Ok(engine)
}

/// Advance the engine's epoch every [`TICK`], for as long as the engine lives.
pub(crate) fn start_clock(engine: &Engine) -> Result<(), RuntimeError> {
    let weak = engine.weak();
    std::thread::Builder::new()
        .name("epoch".into())
        .spawn(move || tick(&weak))
        .map(|_| ())
        .map_err(|e| RuntimeError::Engine(format!("cannot start the epoch thread: {e}")))
}

fn tick(engine: &EngineWeak) {
    while let Some(engine) = engine.upgrade() {
        engine.increment_epoch();
        drop(engine);
        std::thread::sleep(TICK);
    }
}

fn pool(config: &RuntimeConfig) -> PoolingAllocationConfig {
    // One for each call, and as many again that wait for theirs.
    let places = config.instances_max.saturating_mul(2);
    let mut pool = PoolingAllocationConfig::new();
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        // What a call wrote is found page by page and reset in place, instead of unmapped and faulted in again.
        pool.linear_memory_keep_resident(KEPT_BYTES)
            .table_keep_resident(KEPT_BYTES)
            .async_stack_keep_resident(KEPT_BYTES)
            .pagemap_scan(Enabled::Yes);
    }
    pool.total_component_instances(places)
        .total_stacks(places)
        .total_memories(places.saturating_mul(MEMORIES_PER_PLACE))
        .total_tables(places.saturating_mul(TABLES_PER_PLACE))
        // A number to count to, and nothing that is set aside.
        .total_core_instances(places.saturating_mul(config.core_instances_max))
        .max_core_instances_per_component(config.core_instances_max)
        .max_memories_per_component(PLACES_MAX * MEMORIES_PER_PLACE)
        .max_tables_per_component(PLACES_MAX * TABLES_PER_PLACE)
        .max_memory_size((config.limits.memory_mib as usize) << 20)
        .table_elements(config.limits.table_elements as usize);
    pool
}

fn disk_cache(dir: &Path) -> Result<Cache, RuntimeError> {
    let failed = |e: String| RuntimeError::Engine(format!("cannot use the component cache {}: {e}", dir.display()));
    create_private(dir).map_err(|e| failed(e.to_string()))?;
    let absolute = dir.canonicalize().map_err(|e| failed(e.to_string()))?;
    let mut config = CacheConfig::new();
    config.with_directory(absolute);
    Cache::new(config).map_err(|e| failed(format!("{e:#}")))
}

/// The cache holds native code that this process will run: nobody else may write there.
fn create_private(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))
}
