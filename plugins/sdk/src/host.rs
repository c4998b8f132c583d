//! The host's functions: imports in a component, [`testing::Host`](crate::testing::Host) elsewhere.

#[cfg(target_arch = "wasm32")]
pub(crate) use crate::bindings::stockade::plugin::{cache, caller, log, metrics, progress, sql, vector};

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use crate::testing::imports::{cache, caller, log, metrics, progress, sql, vector};
