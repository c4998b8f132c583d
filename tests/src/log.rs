//! What the host logs in this test process.

use std::{
    io::Write,
    sync::{Mutex, OnceLock, PoisonError},
};

use serde_json::Value;
use stockade_server::{
    config::{LogConfig, LogFormat},
    telemetry,
};

/// The lines of all servers of this process, at level `info`.
#[derive(Debug)]
pub struct Log(Mutex<Vec<u8>>);

struct Writer(&'static Log);

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Begin to keep what is logged, in a process that does not yet.
    pub fn keep() -> &'static Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        static STARTED: OnceLock<()> = OnceLock::new();
        let log = LOG.get_or_init(|| Log(Mutex::default()));
        STARTED.get_or_init(|| {
            let config = LogConfig { level: "info".into(), format: LogFormat::Json, ..LogConfig::default() };
            let started = telemetry::subscriber(&config, None, false, || Writer(log), None, None);
            let (subscriber, _) = started.expect("a level");
            tracing::subscriber::set_global_default(subscriber).expect("no other log in this process");
        });
        log
    }

    /// The lines of one call, by the request id in its reply.
    pub fn of_call(&self, request_id: &str) -> Vec<Value> {
        self.containing(request_id)
    }

    /// The lines with this text in them.
    pub fn containing(&self, text: &str) -> Vec<Value> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let lines = String::from_utf8(lines).expect("UTF-8");
        let lines = lines.lines().filter(|line| line.contains(text));
        lines.map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }
}
