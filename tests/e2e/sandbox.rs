//! Code that nobody reviewed: what it may not do, and that nobody else feels it.

pub(crate) mod attacks;
mod describe;
mod limits;
mod load;
mod wasi;
