//! The whole HTTP stack over real TCP, with tools that need nothing: no database, no plugin.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what went wrong by panicking"
)]

mod access;
mod calls;
mod client;
mod cross_origin;
mod harness;
mod issuer;
mod kept_keys;
mod keys;
mod limits;
mod log;
mod malformed;
mod metrics;
mod notifications;
mod oauth;
mod refusals;
mod reload;
mod sessions;
mod shutdown;
mod signing;
mod stub;
mod tenants;
