use std::io::Write;

use serde_json::Value;
use tracing::subscriber::with_default;

use super::*;
use crate::{config::OtlpConfig, telemetry::TRACE};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().expect("no panic"))).expect("text")
    }
}

fn config(format: LogFormat) -> LogConfig {
    LogConfig { format, ..LogConfig::default() }
}

#[test]
fn the_level_changes_while_the_process_runs_and_a_wrong_one_changes_nothing() {
    let (lines, config) = (Lines::default(), config(LogFormat::Json));
    let writer = lines.clone();
    let (subscriber, control) = subscriber(&config, None, false, move || writer.clone(), None, None).expect("a log");
    with_default(subscriber, || {
        let said = || {
            tracing::debug!(target: "stockade::test", "a word");
            tracing::debug!(target: "sqlx::query", "a statement");
            lines.take()
        };
        assert_eq!((said(), control.level()), (String::new(), "info".to_owned()));
        control.set_level("info,stockade=debug").expect("a level");
        assert!(said().contains("a word"));
        let error = control.set_level("loud=very").expect_err("no level").to_string();
        assert!(error.contains("log.level"), "{error}");
        assert_eq!(control.level(), "info,stockade=debug");
        control.set_level("trace").expect("a level");
        let all = said();
        assert!(all.contains("a word") && !all.contains("a statement"), "no level turns statements on: {all}");
        control.set_level("off").expect("a level");
        assert_eq!(said(), "");
    });
}

/// A call that computes for long goes on, on another thread, in the innermost span alone.
#[tokio::test]
async fn a_line_in_a_traces_span_alone_has_the_ids_of_its_call() {
    let otlp = "endpoint = 'http://127.0.0.1:9'\ntimeout_ms = 10";
    let otlp: OtlpConfig = toml::from_str(otlp).expect("a collector");
    let traces = Traces::start(&otlp).expect("traces");
    for format in [LogFormat::Json, LogFormat::Text] {
        let lines = Lines::default();
        let writer = lines.clone();
        let started = subscriber(&config(format), None, false, move || writer.clone(), None, Some(&traces));
        with_default(started.expect("a log").0, || {
            let outer = tracing::trace_span!(target: TRACE, "outer", otel.name = "a name");
            let call = outer.in_scope(|| tracing::error_span!("call", request_id = "r-1"));
            let inner = call.in_scope(|| tracing::trace_span!(target: TRACE, "inner"));
            let innermost = inner.in_scope(|| tracing::trace_span!(target: TRACE, "innermost"));
            drop((outer, call, inner));
            innermost.in_scope(|| tracing::info!("a word"));
        });
        let line = lines.take();
        match format {
            LogFormat::Text => assert!(line.contains("request_id=\"r-1\"") && !line.contains("a name"), "{line}"),
            _ => {
                let line: Value = serde_json::from_str(&line).expect("JSON");
                assert_eq!(line["span"]["request_id"], "r-1", "{line}");
            }
        }
    }
    traces.close().await;
}

#[test]
fn lines_are_for_people_on_a_terminal_for_programs_elsewhere_or_as_the_operator_says() {
    for (format, terminal, for_people) in [
        (LogFormat::Auto, true, true),
        (LogFormat::Auto, false, false),
        (LogFormat::Text, false, true),
        (LogFormat::Json, true, false),
    ] {
        let lines = Lines::default();
        let writer = lines.clone();
        let started = subscriber(&config(format), None, terminal, move || writer.clone(), None, None);
        with_default(started.expect("a log").0, || tracing::warn!(target: "stockade::test", number = 7, "a word"));
        let line = lines.take();
        assert_eq!(serde_json::from_str::<Value>(&line).is_err(), for_people, "{line}");
        assert_eq!(line.contains('\x1b'), for_people && terminal, "colours are for terminals: {line:?}");
        let words = ["WARN", "stockade::test", "a word", "7"];
        assert!(words.iter().all(|word| line.contains(word)), "{line}");
        assert_eq!(line.matches('\n').count(), 1, "{line}");
    }
}
