//! What the plugins of `tests/guests/hostile` and a few by hand do to the host, and what comes of it.

use stockade_runtime::pack::pack;
use stockade_tests::{TestApp, TestAppBuilder, raw_guest, raw_guest_with, raw_manifest};

/// What an attack comes to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    /// Stopped; the log names this limit, or no limit but a trap.
    Stopped(Option<&'static str>),
    /// Out of time while it waited; it may be tried again.
    TimedOut,
    /// It stayed within its limits and gave this.
    Works(&'static str),
    /// It gave this: as much as this limit let through.
    Cut(&'static str, &'static str),
    /// It may not.
    Denied,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Stopped(limit) => f.write_str(limit.unwrap_or("trap")),
            TimedOut => f.write_str("timed out"),
            Works(result) => write!(f, "works: {result}"),
            Cut(limit, result) => write!(f, "{limit}: {result}"),
            Denied => f.write_str("denied"),
        }
    }
}

use Outcome::{Cut, Denied, Stopped, TimedOut, Works};

/// A tool that attacks, and what comes of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attack {
    pub(crate) tool: &'static str,
    pub(crate) outcome: Outcome,
    /// Present where it is a plugin by hand.
    raw: Option<Raw>,
}

/// A plugin by hand: fields of its module, the body of its tool, and tables of its manifest.
#[derive(Clone, Copy, Debug)]
struct Raw {
    more: &'static str,
    body: &'static str,
    allocator: Option<&'static str>,
    manifest: &'static str,
}

const fn rust(tool: &'static str, outcome: Outcome) -> Attack {
    Attack { tool, outcome, raw: None }
}

const fn raw(tool: &'static str, outcome: Outcome, more: &'static str, body: &'static str) -> Attack {
    Attack { tool, outcome, raw: Some(Raw { more, body, allocator: None, manifest: PLAIN }) }
}

impl Attack {
    const fn manifest(self, manifest: &'static str) -> Self {
        let Some(raw) = self.raw else { return self };
        Self { raw: Some(Raw { manifest, ..raw }), ..self }
    }

    const fn allocator(self, allocator: &'static str) -> Self {
        let Some(raw) = self.raw else { return self };
        Self { raw: Some(Raw { allocator: Some(allocator), ..raw }), ..self }
    }
}

/// Every attack at run time.
pub(crate) const ATTACKS: &[Attack] = &[
    // Time.
    rust("spin", Stopped(Some("deadline_ms"))),
    rust("burn_cpu", Stopped(Some("cpu_ms"))),
    rust("slow_query", TimedOut),
    rust("spin_late", TimedOut),
    raw("burn_fuel", Stopped(Some("fuel")), "", "(loop $again (br $again))").manifest("[limits]\nfuel = 1000000"),
    raw("spin_for_a_text", Stopped(Some("deadline_ms")), SPINS, "(global.set $spins (i32.const 1)) (call $name (i32.const 4096))")
        .allocator("(if (global.get $spins) (then (loop $again (br $again)))) (i32.const 65536)").manifest(SHORT),
    raw("spin_for_arguments", Stopped(Some("deadline_ms")), "", "").allocator("(loop $again (br $again)) (unreachable)").manifest(SHORT),
    raw("spin_after", Stopped(Some("deadline_ms")), POST_SPINS, "").manifest(SHORT),
    raw("sleep", TimedOut, SLEEP, "(call $block (call $subscribe (i64.const 3600000000000)))").manifest(SHORT),
    raw("spin_at_start", Stopped(Some("start_ms")), "(func $spin (loop $again (br $again))) (start $spin)", "").manifest(""),
    // Memory, tables, stack.
    rust("eat_memory", Stopped(Some("memory_mib"))),
    rust("memory_through_host", Stopped(Some("memory_mib"))),
    raw("grow_memory", Stopped(Some("memory_mib")), "", "(drop (memory.grow (i32.const 4096)))"),
    raw("grow_table", Stopped(Some("table_elements")), "(table $table 0 funcref)", "(drop (table.grow $table (ref.null func) (i32.const 1000000)))"),
    rust("recurse", Stopped(Some("stack_kib"))),
    rust("recurse_deep", Works(r#"{"count":1000}"#)),
    rust("large_frames", Stopped(None)),
    raw(
        "overflow_stack",
        Stopped(Some("stack_kib")),
        "(func $deeper (param i32) (result i32) (i32.add (call $deeper (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))",
        "(drop (call $deeper (i32.const 0)))",
    ),
    // A stack of its own for a plugin that asks: more, and less.
    raw("stack_default", Stopped(Some("stack_kib")), DOWN, "(drop (call $down (i32.const 25000)))"),
    raw("stack_more", Works("{}"), DOWN, "(drop (call $down (i32.const 25000)))").manifest("[limits]\nstack_kib = 2000"),
    raw("stack_enough", Works("{}"), DOWN, "(drop (call $down (i32.const 4000)))"),
    raw("stack_less", Stopped(Some("stack_kib")), DOWN, "(drop (call $down (i32.const 4000)))").manifest("[limits]\nstack_kib = 64"),
    // Traps.
    rust("panic", Stopped(None)),
    rust("abort", Stopped(None)),
    raw("trap_at_start", Stopped(None), "(func $trap (unreachable)) (start $trap)", ""),
    raw("call_at_start", Stopped(None), CALL_AT_START, ""),
    raw("sleep_at_start", Stopped(Some("start_ms")), SLEEP_AT_START, "").manifest(""),
    // Output.
    rust("lie", Stopped(None)),
    rust("huge_result", Stopped(Some("output_bytes_max"))),
    rust("huge_line", Works(r#"{"count":1}"#)),
    rust("flood_log", Works(r#"{"count":100}"#)),
    rust("log_storm", Works(r#"{"count":10000}"#)),
    raw("result_is_no_text", Stopped(None), "(data (i32.const 1200) \"\\ff\\fe\\c0\\80\")", "(i32.store (i32.const 2052) (i32.const 1200)) (i32.store (i32.const 2056) (i32.const 4)) (return (i32.const 2048))"),
    raw("result_is_nowhere", Stopped(None), "", "(return (i32.const -4))"),
    raw("result_is_endless", Stopped(None), "", "(i32.store (i32.const 2052) (i32.const 1024)) (i32.store (i32.const 2056) (i32.const 0x7fffffff)) (return (i32.const 2048))"),
    // Calls of the host.
    rust("many_host_calls", Stopped(Some("host_calls"))),
    rust("ten_thousand_calls", Works(r#"{"count":10000}"#)),
    rust("two_cursors", Stopped(None)),
    rust("kept_cursor", Works(r#"{"count":10}"#)),
    rust("many_rows", Cut("rows_max", r#"{"count":100}"#)),
    rust("many_bytes", Cut("bytes_max", r#"{"count":49}"#)),
    rust("odd_numbers", Works(r#"{"count":16}"#)),
    rust("embed_many", Works(r#"{"count":4}"#)),
    rust("other_namespace", Denied),
    raw("text_is_no_text", Stopped(None), LOG, "(i32.store (i32.const 1200) (i32.const 0x80c0feff)) (call $log (i32.const 2) (i32.const 1200) (i32.const 4))"),
    raw("text_is_endless", Stopped(None), LOG, "(call $log (i32.const 2) (i32.const 0) (i32.const -1))"),
    raw("text_is_nowhere", Stopped(None), LOG, "(call $log (i32.const 2) (i32.const -1) (i32.const 1))"),
    raw("level_is_none", Stopped(None), LOG, "(call $log (i32.const 77) (i32.const 0) (i32.const 1))"),
    raw("list_is_endless", Stopped(None), SQL, "(call $query-all (i32.const 0) (i32.const -1) (i32.const -1) (i32.const 4096))").manifest(GRANTED),
    raw("one_text_many_times", Stopped(Some("memory_mib")), SQL, ONE_TEXT).manifest(GRANTED),
    raw("allocator_lies", Stopped(None), SPINS, "(global.set $spins (i32.const 1)) (call $name (i32.const 4096))")
        .allocator("(if (global.get $spins) (then (return (i32.const -8)))) (i32.const 65536)"),
    // Handles.
    raw("forged_handle", Stopped(None), SQL, "(call $fetch (i32.const 12345) (i32.const 1) (i32.const 4096))").manifest(GRANTED),
    raw("closed_handle", Stopped(None), SQL, "(call $open-one) (call $drop (i32.load (i32.const 4100))) (call $fetch (i32.load (i32.const 4100)) (i32.const 1) (i32.const 4096))").manifest(GRANTED),
    raw("closed_twice", Stopped(None), SQL, "(call $open-one) (call $drop (i32.load (i32.const 4100))) (call $drop (i32.load (i32.const 4100)))").manifest(GRANTED),
    // WASI.
    raw("wasi_calls", Stopped(Some("host_calls")), SLEEP, "(loop $again (drop (call $now)) (br $again))"),
    raw("wasi_handles", Stopped(Some("handles")), STDOUT, "(loop $again (drop (call $stdout)) (br $again))").manifest("[limits]\nhost_calls = 100000"),
    raw("wasi_output", Works("{}"), STDOUT, FLOOD_STDOUT).manifest("[limits]\nhost_calls = 10000"),
    raw("random_bytes", Works("{}"), RANDOM, "(call $random (i64.const 65536) (i32.const 4096))"),
    raw("random_bytes_one_more", Stopped(None), RANDOM, "(call $random (i64.const 65537) (i32.const 4096))"),
    raw("random_bytes_endless", Stopped(None), RANDOM, "(call $random (i64.const 1099511627776) (i32.const 4096))"),
];

const PLAIN: &str = "[limits]\nmemory_mib = 16";
/// For those that time ends. The others have the default, which a busy machine does not use up.
const SHORT: &str = "[limits]\nmemory_mib = 16\ndeadline_ms = 500";
const GRANTED: &str = "[grants]\nsql = { schemas = [] }\n[limits]\nmemory_mib = 16";
const LOG: &str = r#"(import "stockade:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32)))"#;
const SPINS: &str = r#"(import "stockade:plugin/caller@0.1.0" "display-name" (func $name (param i32)))
    (global $spins (mut i32) (i32.const 0))"#;
/// Calls itself so many times.
const DOWN: &str = "(func $down (param i32) (result i32)
    (if (result i32) (i32.eqz (local.get 0)) (then (i32.const 0))
        (else (i32.add (call $down (i32.sub (local.get 0) (i32.const 1))) (i32.const 1)))))";
const POST_SPINS: &str =
    r#"(func (export "cabi_post_stockade:plugin/tools@0.1.0#call") (param i32) (loop $again (br $again)))"#;
const CALL_AT_START: &str = r#"(import "stockade:plugin/caller@0.1.0" "now" (func $now (result i64)))
    (func $ask (drop (call $now))) (start $ask)"#;
const SLEEP: &str = r#"(import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $subscribe (param i64) (result i32)))
    (import "wasi:clocks/monotonic-clock@0.2.0" "now" (func $now (result i64)))
    (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))"#;
/// The clock of the engine interrupts who computes, and not who waits.
const SLEEP_AT_START: &str = r#"(import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $subscribe (param i64) (result i32)))
    (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))
    (func $sleep (call $block (call $subscribe (i64.const 3600000000000)))) (start $sleep)"#;
const STDOUT: &str = r#"(import "wasi:cli/stdout@0.2.0" "get-stdout" (func $stdout (result i32)))
    (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush" (func $write (param i32 i32 i32 i32)))"#;
const RANDOM: &str = r#"(import "wasi:random/random@0.2.0" "get-random-bytes" (func $random (param i64 i32)))"#;
/// A thousand streams would be as many tasks; a thousand writes of 4096 bytes are more than is kept.
const FLOOD_STDOUT: &str = "(local $n i32) (local $stream i32)
    (memory.fill (i32.const 8192) (i32.const 0x61) (i32.const 4096))
    (loop $again
        (if (i32.lt_u (local.get $n) (i32.const 900)) (then (local.set $stream (call $stdout))))
        (call $write (local.get $stream) (i32.const 8192) (i32.const 4096) (i32.const 4096))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $n) (i32.const 1000))))";
const SQL: &str = r#"(import "stockade:plugin/sql@0.1.0" "query" (func $query (param i32 i32 i32 i32 i32 i32)))
    (import "stockade:plugin/sql@0.1.0" "query-all" (func $query-all (param i32 i32 i32 i32)))
    (import "stockade:plugin/sql@0.1.0" "[static]cursor.open" (func $open (param i32 i32 i32 i32 i32)))
    (import "stockade:plugin/sql@0.1.0" "[method]cursor.fetch" (func $fetch (param i32 i32 i32)))
    (import "stockade:plugin/sql@0.1.0" "[resource-drop]cursor" (func $drop (param i32)))
    (data (i32.const 1100) "SELECT 1")
    (func $open-one (call $open (i32.const 1100) (i32.const 8) (i32.const 0) (i32.const 0) (i32.const 4096)))"#;
/// A thousand parameters, each the same 200,000 bytes: 200 MB for the host from 256 KB.
const ONE_TEXT: &str = "(local $at i32) (local.set $at (i32.const 131072))
    (loop $again
        (i32.store8 (local.get $at) (i32.const 4))
        (i32.store (i32.add (local.get $at) (i32.const 12)) (i32.const 130000))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (br_if $again (i32.lt_u (local.get $at) (i32.const 147072))))
    (call $query (i32.const 1100) (i32.const 8) (i32.const 131072) (i32.const 1000) (i32.const 1) (i32.const 4096))";

/// A server with all attackers, and with two tenants that have nothing to do with them; set as for plugins that nobody
/// knows, on a machine with two processors: one tenant's statements leave one of the database's to the others.
pub(crate) async fn app() -> TestApp {
    let builder = TestApp::builder().plugins(&["hostile", "noop", "execute-sales-query"]).tenant("neighbour");
    let mut builder = builder.database("connections_per_tenant_max = 1");
    for attack in ATTACKS {
        builder = with(builder, attack).await;
    }
    let app = builder.start().await;
    assert_eq!(app.app().runtime().refusals(), [], "all attackers load");
    app
}

async fn with(builder: TestAppBuilder, attack: &Attack) -> TestAppBuilder {
    let Some(Raw { more, body, allocator, manifest }) = attack.raw else { return builder };
    let component = match allocator {
        Some(allocator) => raw_guest_with(more, body, allocator),
        None => raw_guest(more, body),
    };
    let name = attack.tool.replace('_', "-");
    let packed = pack(&component, &raw_manifest(&name, manifest)).await.unwrap_or_else(|e| panic!("{name}: {e}"));
    builder.component(&name, packed).grants(&format!("[{name}]\nsql = {{ schemas = [] }}"))
}
