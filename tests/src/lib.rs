//! A real PostgreSQL, the real server and a client on the wire, for the end-to-end suite and the benchmark.
//!
//! [`Cluster::get`] starts one PostgreSQL a process, with the small Zava data in a template;
//! [`TestApp`] is the whole server over a database of its own; [`Client`] calls it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what went wrong by panicking"
)]

mod app;
mod client;
mod cluster;
mod collector;
mod environment;
mod fault_table;
mod log;
mod process;
mod raw;
mod replicated;
mod responder;
mod signer;

pub use app::{OPERATOR_TOKEN, TestApp, TestAppBuilder, packed};
pub use client::{Client, Reply};
pub use cluster::{Cluster, PRODUCTS, TestDatabase};
pub use collector::{Collector, text_of};
pub use environment::Environment;
pub use fault_table::{FaultTable, left_out};
pub use log::Log;
pub use process::{HostFiles, HostProcess, stockade};
pub use raw::{raw_described, raw_guest, raw_guest_with, raw_manifest};
pub use replicated::Replicated;
pub use responder::Responder;
pub use signer::Signer;
