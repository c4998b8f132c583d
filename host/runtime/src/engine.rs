//! The one engine of a process, and the clock that interrupts guests.

use std::{path::Path, time::Duration};

use wasmtime::{
    Cache, CacheConfig, Config, Enabled, Engine, EngineWeak, InstanceAllocationStrategy, PoolingAllocationConfig,
};

use crate::{config::RuntimeConfig, error::RuntimeError};

/// How often a running guest is interrupted: it yields to other calls, or is stopped when its time is over.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Core instances, tables and memories in one component: a Rust guest has three core instances, a
/// guest of the Python tool chain thirty-eight.
const CORE_INSTANCES_PER_COMPONENT: u32 = 64;

/// How much of an instance's memory, tables and stack stays mapped from one call to the next, in bytes.
const KEPT_BYTES: usize = 2 << 20;

/// Build the engine and start its clock.
pub(crate) fn start(config: &RuntimeConfig) -> Result<Engine, RuntimeError> {
    let mut wasm = Config::new();
    wasm.epoch_interruption(true)
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

/// Component instances that can exist at once: one a call, and as many again that wait for theirs.
pub(crate) fn instances_max(config: &RuntimeConfig) -> u32 {
    config.calls_max.saturating_mul(2).max(16)
}

fn pool(config: &RuntimeConfig) -> PoolingAllocationConfig {
    let instances = instances_max(config);
    let mut pool = PoolingAllocationConfig::new();
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        // What a call wrote is found page by page and reset in place, instead of unmapped and faulted in again.
        pool.linear_memory_keep_resident(KEPT_BYTES)
            .table_keep_resident(KEPT_BYTES)
            .async_stack_keep_resident(KEPT_BYTES)
            .pagemap_scan(Enabled::Yes);
    }
    pool.total_component_instances(instances)
        .total_stacks(instances)
        .total_memories(instances.saturating_mul(2))
        .total_core_instances(instances.saturating_mul(4).max(CORE_INSTANCES_PER_COMPONENT))
        .total_tables(instances.saturating_mul(4).max(CORE_INSTANCES_PER_COMPONENT))
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
        .max_tables_per_component(CORE_INSTANCES_PER_COMPONENT)
        .max_memories_per_component(4)
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
