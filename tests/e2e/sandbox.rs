//! Code that nobody reviewed: what it may not do, and that nobody else feels it.

pub(crate) mod attacks;
mod blame;
mod describe;
mod files;
mod limits;
mod load;
mod places;
mod wasi;
