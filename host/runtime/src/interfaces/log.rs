//! `log`: lines for the operator.

use std::time::Instant;

use crate::{
    bindings::stockade::plugin::log::{Host, Level},
    grants::LogLevel,
    line_rate::Verdict,
    state::{Call, CallState},
};

const LINE_BYTES_MAX: usize = 4096;

impl Host for CallState {
    fn write(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        self.enter()?.log(level, &message);
        Ok(())
    }
}

impl Call {
    /// Write one line under the plugin's own target, or count it when there were enough, in this call or
    /// in all of the plugin's. What lies below the granted level is neither.
    pub(crate) fn log(&mut self, level: Level, message: &str) {
        if weight(level) > self.plugin.grants.log_level() {
            return;
        }
        if !self.may_log() {
            return;
        }
        let line = escape(message);
        let (plugin, request_id) = (self.plugin.name.as_str(), self.request_id.as_str());
        macro_rules! write_at {
            ($level:ident) => {
                tracing::$level!(target: "stockade::plugin", plugin, request_id, "{line}")
            };
        }
        match level {
            Level::Trace => write_at!(trace),
            Level::Debug => write_at!(debug),
            Level::Info => write_at!(info),
            Level::Warn => write_at!(warn),
            Level::Error => write_at!(error),
        }
    }

    /// Take one line out of what the call, and the plugin, may have in the log. Lines of the host's that a guest can
    /// provoke as often as it likes are counted like its own.
    pub(crate) fn may_log(&mut self) -> bool {
        self.log_lines = self.log_lines.saturating_add(1);
        if self.log_lines > self.limits.log_lines_max {
            return false;
        }
        let Verdict::Write { dropped } = self.log_rate.take(Instant::now()) else { return false };
        if dropped > 0 {
            let (plugin, request_id) = (self.plugin.name.as_str(), self.request_id.as_str());
            tracing::warn!(target: "stockade::plugin", plugin, request_id, dropped, "lines beyond `log_lines_per_s_max` were dropped");
        }
        true
    }

    /// Say, once the call is over, how many lines were not written.
    pub(crate) fn log_what_was_dropped(&self) {
        let dropped = self.log_lines.saturating_sub(self.limits.log_lines_max);
        if dropped > 0 {
            let (plugin, request_id) = (self.plugin.name.as_str(), self.request_id.as_str());
            tracing::warn!(target: "stockade::plugin", plugin, request_id, dropped, "lines beyond `log_lines_max` were dropped");
        }
    }
}

fn weight(level: Level) -> LogLevel {
    match level {
        Level::Trace => LogLevel::Trace,
        Level::Debug => LogLevel::Debug,
        Level::Info => LogLevel::Info,
        Level::Warn => LogLevel::Warn,
        Level::Error => LogLevel::Error,
    }
}

/// A line that cannot end early, move a terminal's cursor or pretend to be another line.
fn escape(message: &str) -> String {
    let mut end = message.len().min(LINE_BYTES_MAX);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    let text = message.get(..end).unwrap_or_default();
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}') {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    if end < message.len() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line_and_has_an_end() {
        assert_eq!(escape("a\nb\x1b[31m\u{202E}c"), "a\\nb\\u{1b}[31m\\u{202e}c");
        let long = escape(&"ä".repeat(LINE_BYTES_MAX));
        assert!(long.len() <= LINE_BYTES_MAX + '…'.len_utf8() && long.ends_with('…'));
    }
}
