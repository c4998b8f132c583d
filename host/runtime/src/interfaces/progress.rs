//! `progress`: how far a call has come.

use std::time::{Duration, Instant};

use crate::{bindings::stockade::plugin::progress::Host, call::Progress, state::CallState};

const INTERVAL_MIN: Duration = Duration::from_millis(100);
const MESSAGE_CHARS_MAX: usize = 200;

impl Host for CallState {
    fn report(&mut self, done: f64, total: Option<f64>, message: Option<String>) -> wasmtime::Result<()> {
        let Some(reports) = &mut self.enter()?.progress else { return Ok(()) };
        let now = Instant::now();
        // MCP: a progress value must increase with each notification (2025-11-25, utilities/progress).
        let allowed = reports.last.is_none_or(|(at, before)| now.duration_since(at) >= INTERVAL_MIN && done > before);
        if !allowed || !done.is_finite() || total.is_some_and(|t| !t.is_finite()) {
            return Ok(());
        }
        reports.last = Some((now, done));
        let message = message.map(|text| text.chars().filter(|c| !c.is_control()).take(MESSAGE_CHARS_MAX).collect());
        // A client that does not read its reports loses them; it must not slow the tool.
        let _ = reports.sender.try_send(Progress { done, total, message });
        Ok(())
    }
}
