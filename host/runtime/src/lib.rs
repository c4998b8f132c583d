//! Runs tools that are WebAssembly components.
//!
//! A [`Runtime`] watches a directory of plugins. Each file is a component with a [`Manifest`] in it:
//! its tools, their schemas, the host interfaces that it asks for and its limits. A plugin that asks
//! for no more than the operator grants is compiled, linked with what it was granted and nothing
//! else, and its tools can be called. Every call gets a store of its own, which no other call sees.
//!
//! Where to look: `directory` notices files, `plugin` loads one,
//! `registry` holds what is loaded, `invoke` runs a call, and
//! `interfaces/` has one file for each WIT interface that a guest can import.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "a test says what went wrong by panicking"
    )
)]

mod acts;
mod background;
mod bindings;
mod cache;
mod call;
mod config;
mod cpu;
mod directory;
mod engine;
mod error;
mod export;
mod grants;
mod interfaces;
mod invoke;
mod limits;
mod line_rate;
mod manifest;
pub mod pack;
mod plugin;
mod ready;
mod recycle;
mod registry;
mod report;
mod runtime;
mod schema;
mod section;
mod state;

pub use acts::{Act, ActKind, Acts};
pub use call::{Caller, Invocation, Progress, ToolInfo, ToolOutput};
pub use config::RuntimeConfig;
pub use error::{CallError, LoadError, RuntimeError, StopKind};
pub use grants::{CacheGrant, Grants, LogGrant, LogLevel, MetricsGrant, OperatorGrants, SqlGrant, VectorGrant};
pub use limits::{LimitCaps, LimitRequest, Limits};
pub use manifest::{Manifest, PluginMeta, ToolManifest};
pub use registry::{Refusal, ServingPlugin};
pub use report::{CallMeter, CallReport, Measurement, Used};
pub use runtime::{PluginState, Runtime};
pub use schema::Schema;
