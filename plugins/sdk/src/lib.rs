//! Write Stockade plugins in Rust.
//!
//! A tool is a type that implements [`Tool`]; [`plugin!`] makes a plugin of one or more of them. What
//! the host offers is a module each: [`sql`], [`vector`], [`cache`], [`log`], [`metrics`], [`caller`],
//! [`progress`]. A component imports only what it uses, and asks for that in its `plugin.toml`.
//!
//! ```
//! use stockade_sdk::{Error, Tool, caller, schemars, serde};
//!
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! #[serde(crate = "serde")]
//! struct Input {
//!     /// Whom to greet, at most 100 characters.
//!     #[schemars(length(min = 1, max = 100))]
//!     name: String,
//! }
//!
//! #[derive(serde::Serialize, schemars::JsonSchema)]
//! #[serde(crate = "serde")]
//! struct Output {
//!     /// The greeting.
//!     greeting: String,
//! }
//!
//! struct Greet;
//!
//! impl Tool for Greet {
//!     const NAME: &'static str = "greet";
//!     const TITLE: &'static str = "Greet";
//!     const DESCRIPTION: &'static str = "Greet somebody by name. For trying a host out.";
//!     type Input = Input;
//!     type Output = Output;
//!
//!     fn call(input: Input) -> Result<Output, Error> {
//!         let from = caller::display_name();
//!         Ok(Output { greeting: format!("{from} greets {}", input.name) })
//!     }
//! }
//!
//! stockade_sdk::plugin!(Greet);
//! ```
//!
//! The host starts a fresh instance for every call, so statics never carry anything from one caller to
//! the next. There is no clock, no randomness, no file and no network: [`caller::now`] is the time, the
//! panic message goes to the operator's log. Outside WebAssembly, where tests run, the host's functions
//! are answered by [`testing::Host`].

#[doc(hidden)]
pub mod bindings;
pub mod cache;
pub mod caller;
mod error;
mod host;
pub mod log;
pub mod metrics;
mod plugin;
pub mod progress;
mod rows;
mod schema;
pub mod sql;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod tool;
pub mod vector;

pub use bindings::stockade::plugin::types::{
    Column, ColumnValues, DatabaseFailure, Error, Failure, FixedPoint, Packed, ResultSet, VectorArray,
};
pub use rows::{Decimals, Texts};
pub use tool::Tool;

// Authors need these in the version that the SDK speaks.
pub use {jiff, schemars, serde, serde_json};

/// Takes what the linker left free before it grows the memory: growing costs the host two changes of
/// page protection in each call, one to grow and one to take it back.
#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// What [`plugin!`] expands to. Not an interface.
#[doc(hidden)]
pub mod __private {
    pub use crate::plugin::start;
    pub use crate::tool::{describe, is_tool_name, run};
}

/// The guide's plugin compiles: its code is run as a documentation test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod guide {}
