use std::path::PathBuf;

use serde::Deserialize;

use super::ConfigError;

/// The section `[log]`. The log goes to standard error, and to a file where one is named.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// `off`, `error`, `warn`, `info`, `debug`, `trace`, or directives such as
    /// `info,stockade_runtime=debug`. Default `info`. `STOCKADE_LOG` overrides it.
    pub level: String,
    /// How lines look on standard error. Default `auto`.
    pub format: LogFormat,
    /// A file that gets every line too, as JSON: a new one each day (UTC), `FILE.YYYY-MM-DD`. Default none.
    pub file: Option<PathBuf>,
    /// Files that are kept, the oldest is removed. Default 14.
    pub files_max: usize,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Auto, file: None, files_max: 14 }
    }
}

impl LogConfig {
    /// Checks what types cannot say.
    ///
    /// # Errors
    /// Names the key.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.files_max == 0 || self.files_max > 3_650 {
            return Err(ConfigError::value("log.files_max", "must lie between 1 and 3650"));
        }
        Ok(())
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people on a terminal, JSON elsewhere.
    Auto,
    /// Lines for people.
    Text,
    /// A JSON object a line.
    Json,
}
