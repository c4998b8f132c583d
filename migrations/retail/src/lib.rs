//! Zava Retail, the reference application of Stockade: schema, row security, generated data and
//! demo callers of a home-improvement chain in Washington state.
//!
//! The host knows none of this. Whoever brings the two together migrates the host first (it makes
//! the reader roles and `stockade.claims()`), then calls [`migrate`] and [`load`]. `README.md`
//! describes the schema, the policies, the effects planted in the data, and how to put an
//! application of your own in this one's place.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "a test fails by panicking"
    )
)]

pub mod effects;

mod callers;
mod catalogue;
mod connection;
mod error;
mod generate;
mod load;
mod migrate;
mod options;
mod people;
mod questions;
mod season;
mod stores;

pub use callers::{DemoCaller, READER_ROLES, TENANT, demo_callers};
pub use error::RetailError;
pub use jiff::civil::Date;
pub use load::{BoxError, EMBEDDING_DIMENSION, Embedder, FnEmbedder, LoadedInfo, Progress, Stage, load, loaded};
pub use migrate::migrate;
pub use options::{LoadOptions, Size};
pub use questions::{Question, questions};
pub use stores::{StoreKey, store_id};
