//! The configuration file `stockade.toml`: a struct for each section, unknown keys refused.

mod audit;
mod callers;
mod error;
mod log;
mod server;
mod whole;

pub use audit::{AuditArguments, AuditConfig};
pub use callers::{CallerConfig, TokenDigest};
pub use error::ConfigError;
pub use log::{LogConfig, LogFormat};
pub use server::ServerConfig;
pub use whole::{Config, StdioConfig};
