use serde::Deserialize;

/// The section `[log]`. The log goes to standard error.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// `off`, `error`, `warn`, `info`, `debug`, `trace`, or directives such as
    /// `info,stockade_runtime=debug`. Default `info`. `STOCKADE_LOG` overrides it.
    pub level: String,
    /// Default `auto`.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Auto }
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
