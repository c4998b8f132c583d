use std::path::PathBuf;

use serde::Deserialize;

use super::ConfigError;

/// The section `[audit]`: where the record of calls and acts is kept, and what is in it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditConfig {
    /// Whether the record goes into the table `stockade.audit_log`.
    pub database: bool,
    /// A file that gets a line of JSON for each record. It may be renamed away at any time.
    pub file: Option<PathBuf>,
    /// Whether a call fails that cannot be recorded in at least one place. Off by default: plugins
    /// only read, and a full disk or a database's failover would otherwise stop every tool, those
    /// that need no database too; what is lost is counted and itself recorded. Where a disclosure
    /// that nobody can account for is worse than an outage, switch it on: a reply then waits until
    /// its record is written.
    pub required: bool,
    /// How arguments are kept.
    pub arguments: AuditArguments,
    /// Records that wait to be written, for each place; further ones are dropped and counted.
    pub queue_max: usize,
}

/// How a call's arguments are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuditArguments {
    /// A keyed hash: equal arguments are recognised, nothing else is learned.
    #[default]
    Hash,
    /// The hash, and the arguments themselves, cut at 16,384 characters.
    Whole,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self { database: true, file: None, required: false, arguments: AuditArguments::Hash, queue_max: 8_192 }
    }
}

impl AuditConfig {
    /// Checks what types cannot say.
    ///
    /// # Errors
    /// Names the key.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.queue_max == 0 || self.queue_max > 1 << 20 {
            return Err(ConfigError::value("audit.queue_max", "must lie between 1 and 1048576"));
        }
        if self.required && !self.database && self.file.is_none() {
            let message = "is true, but nothing is recorded: set `database = true` or `file` in [audit]";
            return Err(ConfigError::value("audit.required", message));
        }
        Ok(())
    }
}
