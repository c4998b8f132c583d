//! The configuration file `stockade.toml`: a struct for each section, unknown keys refused.

mod callers;
mod error;
mod server;

pub use callers::{CallerConfig, TokenDigest};
pub use error::ConfigError;
pub use server::ServerConfig;
