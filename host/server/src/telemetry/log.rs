//! The log: lines for people on a terminal, JSON elsewhere, always on standard error (standard output
//! belongs to the protocol under `stockade stdio`), and in a file where one is configured.

mod file;
mod rolling;
mod spans;

pub use file::LogFile;

use std::sync::{Arc, Mutex, PoisonError};

use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, filter_fn},
    fmt::MakeWriter,
    layer::SubscriberExt,
    reload,
};

use super::traces::{Traces, is_trace};
use crate::config::{ConfigError, LogConfig, LogFormat};

/// Changes what the log of this process holds, while it runs. Cloning is cheap.
#[derive(Clone)]
pub struct LogControl {
    set: Arc<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>,
    level: Arc<Mutex<String>>,
    /// `STOCKADE_LOG` says the level, and not the configuration.
    overridden: bool,
    losses: Option<file::Losses>,
}

impl LogControl {
    /// The level that holds now, as it was written.
    #[must_use]
    pub fn level(&self) -> String {
        self.level.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lines that the file lost: they found no room on the disk, or came faster than it takes them.
    #[must_use]
    pub fn lines_lost(&self) -> u64 {
        self.losses.as_ref().map_or(0, file::Losses::lines)
    }

    /// Whether this is a level: as `level` of the section `[log]`.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn check_level(level: &str) -> Result<(), ConfigError> {
        filter("log.level", level).map(drop)
    }

    /// Sets the level, from the next line on: as `level` of the section `[log]`.
    ///
    /// # Errors
    /// When it is no level; the former one holds on.
    pub fn set_level(&self, level: &str) -> Result<(), ConfigError> {
        let filter = filter("log.level", level)?;
        let mut current = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        (self.set)(filter).map_err(|_| ConfigError::value("log", "of this process is closed"))?;
        level.clone_into(&mut current);
        Ok(())
    }

    /// Takes the level of another configuration, unless `STOCKADE_LOG` overrides it.
    ///
    /// # Errors
    /// As [`set_level`](Self::set_level).
    pub(crate) fn follow(&self, config: &LogConfig) -> Result<(), ConfigError> {
        if self.overridden { Self::check_level(&config.level) } else { self.set_level(&config.level) }
    }
}

/// The log, written to `writer`, which is a terminal or not, and to `file`; and the spans of `traces`.
///
/// # Errors
/// When the level is no level.
pub fn subscriber<W>(
    config: &LogConfig,
    override_level: Option<&str>,
    terminal: bool,
    writer: W,
    file: Option<&LogFile>,
    traces: Option<&Traces>,
) -> Result<(impl Subscriber + Send + Sync + use<W>, LogControl), ConfigError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let (key, level) = match override_level {
        Some(level) => ("STOCKADE_LOG", level),
        None => ("log.level", config.level.as_str()),
    };
    let (filter, handle) = reload::Layer::new(filter(key, level)?);
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
    let kept = file.map(|file| {
        let lines = tracing_subscriber::fmt::layer().with_writer(file.writer());
        lines.json().flatten_event(true).with_span_list(false)
    });
    let traced = traces.is_some();
    // A layer that is absent would turn all off; a filter that wants nothing costs nothing.
    let of_traces = filter_fn(move |metadata| traced && is_trace(metadata));
    let of_calls = filter_fn(move |metadata| traced && metadata.is_span() && metadata.target().starts_with("stockade"));
    let as_their_call = spans::AsTheirCall.with_filter(of_calls);
    let lines = lines.and_then(kept).with_filter(filter.and(filter_fn(may_log)).or(of_traces));
    let control = LogControl {
        set: Arc::new(move |filter| handle.reload(filter)),
        level: Arc::new(Mutex::new(level.to_owned())),
        overridden: override_level.is_some(),
        losses: file.map(LogFile::losses),
    };
    Ok((tracing_subscriber::registry().with(as_their_call).with(lines).with(traces.map(Traces::layer)), control))
}

fn filter(key: &str, level: &str) -> Result<EnvFilter, ConfigError> {
    EnvFilter::builder().parse(level).map_err(|_| {
        ConfigError::value(key, "is no log level; write `info`, or directives such as `info,stockade_runtime=debug`")
    })
}

/// What no level turns on. The protocol library and the database driver log what they carry: messages
/// with arguments, statements with their text. Below INFO other libraries do so too.
fn may_log(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let of = |name: &str| target.split("::").next() == Some(name);
    if target.starts_with("stockade") {
        return !is_trace(metadata);
    }
    // The one exception over stdio: a message that is too long gets no answer, so it gets a line.
    if of("rmcp") {
        return target == "rmcp::transport::async_rw" && *metadata.level() == Level::ERROR;
    }
    !of("sqlx") && *metadata.level() <= Level::INFO
}

#[cfg(test)]
mod tests;
