use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use futures::future::BoxFuture;
use rmcp::model::CallToolRequestParams;
use serde_json::{Map, Value, json};
use stockade_db::{AuditLine, ContextKey, Inner};
use stockade_runtime::{CallError, CallReport, StopKind, ToolOutput};
use tokio::sync::{Semaphore, watch};

use super::*;
use crate::{
    auth::Callers,
    config::{AccessConfig, ServerConfig},
    errors::Failure,
    tenants::Exhausted,
};

type Lines = Arc<Mutex<Vec<Value>>>;

/// A place in memory, which fails while `fails`, and takes a permit for each batch.
struct Memory {
    lines: Lines,
    fails: watch::Receiver<bool>,
    tried: Arc<Semaphore>,
}

impl Sink for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn write<'a>(&'a mut self, lines: &'a [AuditLine]) -> BoxFuture<'a, Result<(), String>> {
        self.tried.add_permits(1);
        if *self.fails.borrow() {
            return Box::pin(async { Err("it fails".to_owned()) });
        }
        let mut kept = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(lines.iter().map(|line| serde_json::from_str::<Value>(line.as_str()).expect("JSON")));
        Box::pin(async { Ok(()) })
    }
}

struct Bed {
    audit: Audit,
    lines: Lines,
    fails: watch::Sender<bool>,
    tried: Arc<Semaphore>,
    known: Arc<KnownCaller>,
}

impl Bed {
    fn new(config: &AuditConfig) -> Self {
        let (fails, failing) = watch::channel(false);
        let (lines, tried) = (Lines::default(), Arc::new(Semaphore::new(0)));
        let sink = Memory { lines: Arc::clone(&lines), fails: failing, tried: Arc::clone(&tried) };
        let folder = tempfile::tempdir().expect("a folder");
        let key = audit_key(&folder.path().join("key"));
        let audit = Audit::over(config, key, vec![Box::new(sink)]);
        let text = "tenant = 'acme'\nprincipal = 'p'\nreader_role = 'reader'";
        let callers = BTreeMap::from([("office".to_owned(), toml::from_str(text).expect("a caller"))]);
        let access = AccessConfig { callers, ..AccessConfig::default() };
        let callers = Callers::new(&access, &ServerConfig::default()).expect("callers");
        Self { audit, lines, fails, tried, known: callers.by_name("office").expect("it") }
    }

    fn begin(&self, id: &str, arguments: Value) -> Result<call::CallRecord, Failure> {
        let arguments: Map<String, Value> = arguments.as_object().expect("an object").clone();
        self.audit.begin(
            &self.known,
            id,
            &CallToolRequestParams::new("echo").with_arguments(arguments),
            CallReport::default(),
        )
    }

    /// What is written once all is closed, without the host's own acts.
    async fn written(self) -> Vec<Value> {
        self.audit.close().await;
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let own = |line: &&Value| ["HOST_STARTED", "HOST_STOPPED"].iter().any(|act| line["outcome"] == *act);
        lines.iter().filter(|line| !own(line)).cloned().collect()
    }
}

fn audit_key(path: &Path) -> AuditKey {
    ContextKey::generate().write_file(path).expect("a key file");
    AuditKey::of(&ContextKey::read_file(path).expect("a key")).expect("a key")
}

fn done() -> Option<Result<ToolOutput, Failure>> {
    Some(Ok(ToolOutput { structured: Map::new(), text: None }))
}

#[tokio::test]
async fn a_record_says_who_and_what_and_keeps_no_argument() {
    let bed = Bed::new(&AuditConfig::default());
    for id in ["1", "2"] {
        let record = bed.begin(id, json!({"card": "4111 1111"})).expect("begun");
        assert!(matches!(record.end(done()).await, Some(Ok(_))));
    }
    let lines = bed.written().await;
    let one = &lines[0];
    for (field, expected) in [
        ("id", "1"),
        ("kind", "call"),
        ("tenant", "acme"),
        ("principal", "p"),
        ("caller", "office"),
        ("tool", "echo"),
        ("decision", "allowed"),
        ("outcome", "DONE"),
    ] {
        assert_eq!(one[field], expected, "{field}");
    }
    assert!(!one.to_string().contains("4111"), "{one}");
    assert_eq!(one["arguments_hash"], lines[1]["arguments_hash"], "equal arguments are equal");
    assert!(one["duration_us"].is_i64() && one["happened_at"].as_str().is_some_and(|at| at.ends_with('Z')));
}

#[tokio::test]
async fn the_operator_may_ask_for_the_arguments() {
    let bed = Bed::new(&AuditConfig { arguments: AuditArguments::Whole, ..AuditConfig::default() });
    bed.begin("1", json!({"a": "x\u{0}y"})).expect("begun").end(done()).await;
    assert_eq!(bed.written().await[0]["arguments"], r#"{"a":"x\u0000y"}"#);
}

#[tokio::test]
async fn every_way_to_end_has_its_words() {
    let bed = Bed::new(&AuditConfig::default());
    let text = || "secret".to_owned();
    let ends = [
        (None, "allowed", "CANCELLED"),
        (Some(Failure::Call(CallError::UnknownTool)), "refused", "UNKNOWN_TOOL"),
        (Some(Failure::Call(CallError::InvalidArguments(text()))), "refused", "INVALID_ARGUMENTS"),
        (Some(Failure::Call(CallError::Busy { limit: "instances_max" })), "refused", "SERVER_BUSY"),
        (
            Some(Failure::Call(CallError::Stopped { kind: StopKind::Limit("fuel"), inner: Inner::new(text()) })),
            "allowed",
            "STOPPED",
        ),
        (Some(Failure::Call(CallError::QueryTimeout { code: "CALL_DEADLINE".into() })), "refused", "QUERY_TIMEOUT"),
        (Some(Failure::Call(CallError::QueryTimeout { code: "A_GUESTS_OWN".into() })), "refused", "QUERY_TIMEOUT"),
        (
            Some(Failure::Call(CallError::Failed { code: "CODE".into(), inner: Inner::new(text()) })),
            "allowed",
            "FAILED",
        ),
        (Some(Failure::Panicked), "allowed", "HOST_ERROR"),
        (Some(Failure::Stopping), "refused", "SERVER_BUSY"),
    ];
    let expected: Vec<_> = ends.iter().map(|(_, decision, outcome)| (*decision, *outcome)).collect();
    for (end, _, _) in ends {
        bed.begin("1", json!({})).expect("begun").end(end.map(Err)).await;
    }
    drop(bed.begin("1", json!({})).expect("begun"));
    let lines = bed.written().await;
    assert!(lines.iter().all(|line| !line.to_string().contains("secret")));
    let found: Vec<_> =
        lines.iter().map(|line| (line["decision"].as_str().unwrap(), line["outcome"].as_str().unwrap())).collect();
    assert_eq!(found[..expected.len()], expected);
    assert_eq!(found[expected.len()..], [("allowed", "CANCELLED")], "what is dropped is recorded too");
    assert_eq!(lines[3]["limit_hit"], "instances_max");
    assert_eq!(lines[4]["limit_hit"], "fuel");
    assert_eq!(lines[5]["limit_hit"], "deadline_ms");
    assert_eq!(
        (&lines[6]["limit_hit"], &lines[6]["detail"]),
        (&Value::Null, &json!("A_GUESTS_OWN")),
        "no limit of ours"
    );
}

#[tokio::test]
async fn a_flood_of_refusals_is_one_record_for_each_reason() {
    let bed = Bed::new(&AuditConfig::default());
    let over = |limit| Failure::Exhausted(Exhausted { limit, retry_after: Duration::from_secs(1) });
    for _ in 0..5_000 {
        bed.audit.refused(None, "UNAUTHENTICATED");
        bed.audit.call_refused(&bed.known, "echo", "INSUFFICIENT_SCOPE");
        let refusals = [
            Failure::Busy { own: true },
            over("calls_per_minute_max"),
            over("cpu_s_per_day_max"),
            over("rows_per_day_max"),
        ];
        for refusal in refusals {
            let outcome = bed.begin("1", json!({})).expect("begun").end(Some(Err(refusal))).await;
            assert!(matches!(outcome, Some(Err(Failure::Busy { .. } | Failure::Exhausted(_)))), "the caller is told");
        }
    }
    let lines = bed.written().await;
    let found: Vec<_> = lines
        .iter()
        .map(|line| ["outcome", "tenant", "caller", "tool", "occurrences"].map(|field| line[field].clone()))
        .collect();
    let of_office = |outcome, tool| [json!(outcome), json!("acme"), json!("office"), tool, json!(5_000)];
    let expected = [
        [json!("UNAUTHENTICATED"), Value::Null, Value::Null, Value::Null, json!(5_000)],
        of_office("CALLS_PER_CALLER_MAX", Value::Null),
        of_office("CALLS_PER_MINUTE_MAX", Value::Null),
        of_office("CPU_S_PER_DAY_MAX", Value::Null),
        of_office("ROWS_PER_DAY_MAX", Value::Null),
        of_office("INSUFFICIENT_SCOPE", json!("echo")),
    ];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn what_finds_no_room_is_counted_and_the_gap_recorded() {
    let bed = Bed::new(&AuditConfig { queue_max: 2, ..AuditConfig::default() });
    bed.fails.send_replace(true);
    for _ in 0..10 {
        bed.begin("1", json!({})).expect("begun").end(done()).await;
    }
    bed.fails.send_replace(false);
    let lines = bed.written().await;
    let kept = lines.iter().filter(|line| line["outcome"] == "DONE").count();
    let lost: i64 =
        lines.iter().filter(|l| l["outcome"] == "RECORDS_LOST").filter_map(|l| l["occurrences"].as_i64()).sum();
    // The host's own two acts take part.
    assert!(lost >= 6 && kept as i64 + lost >= 10, "{kept} kept, {lost} lost: {lines:?}");
}

#[tokio::test]
async fn a_required_record_that_cannot_be_written_takes_the_result_away() {
    let bed = Bed::new(&AuditConfig { required: true, ..AuditConfig::default() });
    let before = bed.begin("1", json!({})).expect("begun");
    assert!(matches!(before.end(done()).await, Some(Ok(_))), "the place takes it");
    let during = bed.begin("2", json!({})).expect("begun");
    bed.fails.send_replace(true);
    assert!(matches!(during.end(done()).await, Some(Err(Failure::Unrecorded))), "no result without a record");
    assert!(matches!(bed.begin("3", json!({})), Err(Failure::Unrecorded)), "no further call begins");
    // The place comes back, the record is written after all, and calls begin again.
    bed.fails.send_replace(false);
    let tried = bed.tried.available_permits();
    while bed.tried.available_permits() == tried {
        tokio::task::yield_now().await;
    }
    bed.audit.close().await;
    let ids: Vec<Value> = bed.lines.lock().unwrap().iter().map(|line| line["id"].clone()).collect();
    assert!(ids.contains(&json!("1")) && ids.contains(&json!("2")) && !ids.contains(&json!("3")), "{ids:?}");
}

#[tokio::test]
async fn the_file_may_be_renamed_away_and_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("audit.jsonl");
    let mut sink = FileSink::open(&path).expect("a file");
    assert_eq!(std::fs::metadata(&path).expect("it").permissions().mode() & 0o777, 0o600);
    let line = |outcome: &'static str| {
        AuditRecord::new("1", now(), AuditKind::Act, AuditDecision::Allowed, outcome).line().expect("a line")
    };
    sink.write(&[line("ONE"), line("TWO")]).await.expect("written");
    std::fs::rename(&path, folder.path().join("audit.jsonl.1")).expect("renamed");
    sink.write(&[line("THREE")]).await.expect("written");
    assert_eq!(std::fs::read_to_string(&path).expect("text").lines().count(), 1);
    assert_eq!(std::fs::read_to_string(folder.path().join("audit.jsonl.1")).expect("text").lines().count(), 2);
}
