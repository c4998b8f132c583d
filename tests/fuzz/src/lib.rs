//! One module for each target: `read` takes any bytes and must come back. A panic is a finding, and so
//! is an assertion that fails. `corpus.rs` feeds them the kept inputs.

pub mod arguments;
pub mod component;
pub mod credentials;
pub mod manifest;
pub mod statement;
pub mod values;
