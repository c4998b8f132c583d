//! Zava Retail on a real PostgreSQL: what the migrations make, what a load leaves, what each caller
//! sees, and whether the planted effects are there to be found.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod access;
mod cluster;
mod effects;
mod loading;
mod plans;
mod questions;
mod schema;
mod search;
