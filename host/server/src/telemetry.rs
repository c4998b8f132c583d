//! What the server says of itself: the log, the metrics, the traces.
//!
//! The log and the traces belong to the process, because `tracing` does; the metrics belong to a server.

mod log;
mod metrics;
mod otlp;
mod seldom;
mod traces;

pub use log::{LogControl, LogFile, subscriber};
pub use metrics::Metrics;
pub(crate) use metrics::{Ended, Operation, Session};
pub(crate) use seldom::Seldom;
pub use traces::Traces;
pub(crate) use traces::{TRACE, parent_of, trace_id};

use std::io::IsTerminal;

use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{ConfigError, LogConfig, TelemetryConfig};

/// The log and the traces of this process, until it is dropped: then what waits is written.
pub struct Telemetry {
    /// Changes the level while the process runs.
    pub log: LogControl,
    traces: Option<Traces>,
    _file: Option<LogFile>,
}

impl Telemetry {
    /// Starts the log of this process, and sends traces where `telemetry` says. `override_level` is
    /// `STOCKADE_LOG`. Call it on a thread of the tokio runtime, which carries what is sent.
    ///
    /// # Errors
    /// When a level, a file or an address is wrong, or the process has a log already.
    pub fn start(
        log: &LogConfig,
        telemetry: &TelemetryConfig,
        override_level: Option<&str>,
    ) -> Result<Self, ConfigError> {
        let terminal = std::io::stderr().is_terminal();
        let traces = telemetry.otlp.as_ref().map(Traces::start).transpose()?;
        let file = log.file.as_ref().map(|path| LogFile::open(path, log.file_bytes_max, log.files_max)).transpose()?;
        let (subscriber, control) =
            subscriber(log, override_level, terminal, std::io::stderr, file.as_ref(), traces.as_ref())?;
        subscriber.try_init().map_err(|_| ConfigError::value("log", "cannot be started twice in one process"))?;
        Ok(Self { log: control, traces, _file: file })
    }

    /// Sends the spans that wait, as long as sending one batch may take.
    pub async fn close(self) {
        if let Some(traces) = self.traces {
            traces.close().await;
        }
    }
}
