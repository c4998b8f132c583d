use std::path::PathBuf;

use serde::Deserialize;

use crate::{error::RuntimeError, limits::LimitCaps};

/// The section `[plugins]` of the configuration, and the operator's caps.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuntimeConfig {
    /// Where plugins are: every `*.wasm` in it is loaded, and watched.
    pub directory: PathBuf,
    /// The operator's grants, a TOML file with a table for each plugin. It is read again whenever it
    /// or the directory changes. A plugin that is not in it is granted nothing.
    pub grants_file: PathBuf,
    /// Where compiled components are kept, readable by the server alone. It holds native code that
    /// the host runs: whoever can write to it owns the host. Default: no cache on disk.
    pub cache_dir: Option<PathBuf>,
    /// Largest plugin file that is read, in bytes. Default 67108864 (64 MiB).
    #[serde(default = "defaults::component_bytes_max")]
    pub component_bytes_max: u64,
    /// Instances that serve calls at once; a further call waits for one until its deadline. Default 256.
    #[serde(default = "defaults::instances_max")]
    pub instances_max: u32,
    /// Core instances in one plugin; a file with more is refused. Rust guests have 3, guests of the
    /// Python tool chain 38. Default 64.
    #[serde(default = "defaults::core_instances_max")]
    pub core_instances_max: u32,
    /// Time for a component's start functions, which run before any call, in milliseconds. Default 1000.
    #[serde(default = "defaults::start_ms")]
    pub start_ms: u32,
    /// Fresh instances that may wait for the next calls of each plugin; as many wait as were last used at
    /// a time. Default 8.
    #[serde(default = "defaults::instances_ready")]
    pub instances_ready: usize,
    /// Memory for what plugins cache, all together, in bytes. Default 67108864 (64 MiB).
    #[serde(default = "defaults::cache_bytes_max")]
    pub cache_bytes_max: u64,
    /// Lines that one plugin may write into the log in a second, all of its calls together; ten seconds'
    /// worth may come at once. Further ones are counted and dropped. Default 100.
    #[serde(default = "defaults::log_lines_per_s_max")]
    pub log_lines_per_s_max: u32,
    /// What no manifest can exceed.
    #[serde(default)]
    pub limits: LimitCaps,
}

impl RuntimeConfig {
    /// Check what types cannot say.
    ///
    /// # Errors
    /// A sentence that names the key.
    pub fn check(&self) -> Result<(), RuntimeError> {
        let ranges = [
            ("instances_max", self.instances_max, 1, 2_048),
            ("core_instances_max", self.core_instances_max, 1, 1_024),
            ("limits.stack_kib", self.limits.stack_kib, 64, 8_192),
            ("start_ms", self.start_ms, 1, 60_000),
            ("log_lines_per_s_max", self.log_lines_per_s_max, 1, 1_000_000),
        ];
        match ranges.into_iter().find(|(_, value, min, max)| !(min..=max).contains(&value)) {
            None => Ok(()),
            Some((key, value, min, max)) => Err(RuntimeError::Engine(format!(
                "`{key}` in [plugins] is {value}; it must lie between {min} and {max}"
            ))),
        }
    }
}

mod defaults {
    pub(super) const fn component_bytes_max() -> u64 {
        64 << 20
    }
    pub(super) const fn instances_max() -> u32 {
        256
    }
    pub(super) const fn core_instances_max() -> u32 {
        64
    }
    pub(super) const fn start_ms() -> u32 {
        1_000
    }
    pub(super) const fn instances_ready() -> usize {
        8
    }
    pub(super) const fn cache_bytes_max() -> u64 {
        64 << 20
    }
    pub(super) const fn log_lines_per_s_max() -> u32 {
        100
    }
}
