use std::time::Instant;

use opentelemetry::KeyValue;

use super::{Metrics, instruments::key};

/// A session, which is timed until it is dropped.
pub(crate) struct Session {
    metrics: Metrics,
    started: Instant,
    transport: &'static str,
}

impl Metrics {
    /// Begins a session over `transport`: `tcp` for HTTP, `pipe` for standard input and output.
    pub(crate) fn session(&self, transport: &'static str) -> Session {
        Session { metrics: self.clone(), started: Instant::now(), transport }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let attributes = [KeyValue::new(key::TRANSPORT, self.transport)];
        self.metrics.0.instruments.session_duration.record(self.started.elapsed().as_secs_f64(), &attributes);
    }
}
