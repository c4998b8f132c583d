use std::path::PathBuf;

use serde::Deserialize;

use crate::limits::LimitCaps;

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
    /// Calls that run at once; a further one waits for its turn until its deadline. Default 256.
    #[serde(default = "defaults::calls_max")]
    pub calls_max: u32,
    /// Fresh instances kept ready for each plugin, so that a call need not wait for one. Default 2.
    #[serde(default = "defaults::instances_ready")]
    pub instances_ready: usize,
    /// Memory for what plugins cache, all together, in bytes. Default 67108864 (64 MiB).
    #[serde(default = "defaults::cache_bytes_max")]
    pub cache_bytes_max: u64,
    /// What no manifest can exceed.
    #[serde(default)]
    pub limits: LimitCaps,
}

mod defaults {
    pub(super) const fn component_bytes_max() -> u64 {
        64 << 20
    }
    pub(super) const fn calls_max() -> u32 {
        256
    }
    pub(super) const fn instances_ready() -> usize {
        2
    }
    pub(super) const fn cache_bytes_max() -> u64 {
        64 << 20
    }
}
