//! The log: lines for people on a terminal, JSON elsewhere, always on standard error (standard output
//! belongs to the protocol under `stockade stdio`).

use std::io::IsTerminal;

use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, filter_fn},
    fmt::MakeWriter,
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::config::{ConfigError, LogConfig, LogFormat};

/// Starts the log of this process. `override_level` is `STOCKADE_LOG`.
///
/// # Errors
/// When the level is no level, or the process has a log already.
pub fn start(config: &LogConfig, override_level: Option<&str>) -> Result<(), ConfigError> {
    let terminal = std::io::stderr().is_terminal();
    subscriber(config, override_level, terminal, std::io::stderr)?
        .try_init()
        .map_err(|_| ConfigError::value("log", "cannot be started twice in one process"))
}

/// The log, written to `writer`, which is a terminal or not.
///
/// # Errors
/// When the level is no level.
pub fn subscriber<W>(
    config: &LogConfig,
    override_level: Option<&str>,
    terminal: bool,
    writer: W,
) -> Result<impl Subscriber + Send + Sync, ConfigError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let (key, level) = match override_level {
        Some(level) => ("STOCKADE_LOG", level),
        None => ("log.level", config.level.as_str()),
    };
    let filter = EnvFilter::builder().parse(level).map_err(|_| {
        ConfigError::value(key, "is no log level; write `info`, or directives such as `info,stockade_runtime=debug`")
    })?;
    let text = match config.format {
        LogFormat::Auto => terminal,
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines = if text {
        lines.with_ansi(terminal).boxed()
    } else {
        lines.json().flatten_event(true).with_span_list(false).boxed()
    };
    Ok(tracing_subscriber::registry().with(lines.with_filter(filter.and(filter_fn(may_log)))))
}

/// What no level turns on. The protocol library and the database driver log what they carry: messages
/// with arguments, statements with their text. Below INFO other libraries do so too.
fn may_log(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let of = |name: &str| target.split("::").next() == Some(name);
    if target.starts_with("stockade") {
        return true;
    }
    // The one exception over stdio: a message that is too long gets no answer, so it gets a line.
    if of("rmcp") {
        return target == "rmcp::transport::async_rw" && *metadata.level() == Level::ERROR;
    }
    !of("sqlx") && *metadata.level() <= Level::INFO
}
