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
    /// A file that gets every line too, as JSON: a new one each day (UTC), `FILE.YYYY-MM-DD`, and each time that
    /// one is full, `FILE.YYYY-MM-DD.1` and so on. Default none.
    pub file: Option<PathBuf>,
    /// A file that would be longer is full, in bytes; a line that alone is longer has a file of its own. Default
    /// 104857600, 4096 at least.
    pub file_bytes_max: u64,
    /// Files that are kept, the oldest is removed. Default 14.
    pub files_max: usize,
}

impl Default for LogConfig {
    fn default() -> Self {
        let (level, format) = ("info".to_owned(), LogFormat::Auto);
        Self { level, format, file: None, file_bytes_max: 100 << 20, files_max: 14 }
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
        if self.file_bytes_max < 4_096 {
            return Err(ConfigError::value("log.file_bytes_max", "must be 4096 or more"));
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
