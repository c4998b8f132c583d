//! The host side of `wit/`, a file for each interface. They do not know each other; [`convert`]
//! holds what crosses the boundary in all of them.

pub(crate) mod cache;
pub(crate) mod caller;
pub(crate) mod convert;
pub(crate) mod log;
pub(crate) mod metrics;
pub(crate) mod progress;
pub(crate) mod sql;
pub(crate) mod vector;
pub(crate) mod wasi;
