//! Serves tools to agents: the Model Context Protocol over HTTP and stdio, with authentication,
//! limits and health.
//!
//! [`serve`](serve()) is the whole HTTP stack over any [`Tools`]; [`App`] is that stack over the plugin runtime
//! and the database, as the configuration file says.
//!
//! Where to look: [`config`] is the file, [`auth`] says who calls, `http/` is what happens before a
//! message is read, `mcp/` what happens then, `errors` what a failed call tells whom.
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

mod admin;
mod app;
mod audit;
pub mod auth;
pub mod config;
pub mod environment;
mod errors;
mod http;
mod line_file;
mod mcp;
mod reload;
mod server;
pub mod telemetry;
mod tenants;
mod tools;

pub use app::{App, AppError};
pub use http::{AlwaysReady, ListenAddress, Ready};
pub use reload::ReloadError;
pub use server::{RunningServer, StartError, serve};
pub use tools::Tools;
