//! The whole, from the wire to PostgreSQL and back. `cargo xtask test` runs it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what went wrong by panicking"
)]

mod admin;
mod attacks;
mod audit;
mod bad_input;
mod cache;
mod callers;
mod cancel;
mod changes;
mod compat;
mod contract;
mod faults_host;
mod findings;
mod guide;
mod hostile;
mod inner_texts;
mod moved;
mod oauth;
mod plugins;
mod reload;
mod sandbox;
mod search;
mod signals;
mod start;
mod statistics;
mod stdio;
mod telemetry;
mod tenants;
mod terminal;
mod tools;
