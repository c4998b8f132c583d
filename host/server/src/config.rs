//! The configuration file `stockade.toml`: a struct for each section, unknown keys refused.

mod access;
mod admin;
mod audit;
mod callers;
mod changes;
mod error;
mod log;
mod oauth;
mod server;
mod telemetry;
mod tenants;
mod whole;

pub use access::AccessConfig;
pub use admin::AdminConfig;
pub use audit::{AuditArguments, AuditConfig};
pub(crate) use callers::time_zone_is_well_formed;
pub use callers::{CallerConfig, TokenDigest};
pub(crate) use changes::Changes;
pub use error::ConfigError;
pub use log::{LogConfig, LogFormat};
pub(crate) use oauth::url_of;
pub use oauth::{IssuerConfig, OauthConfig, RoleConfig};
pub use server::ServerConfig;
pub use telemetry::{OtlpConfig, TelemetryConfig};
pub use tenants::TenantConfig;
pub(crate) use tenants::TenantLimits;
pub use whole::{Config, StdioConfig};
