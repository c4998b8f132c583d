//! WASI is there for those that import it, and there is nothing in it.

use serde_json::{Value, json};
use stockade_runtime::pack::pack;
use stockade_tests::{TestApp, raw_guest, raw_manifest};

const IMPORTS: &str = r#"
    (import "stockade:plugin/caller@0.1.0" "now" (func $caller-now (result i64)))
    (import "wasi:cli/environment@0.2.0" "get-environment" (func $environment (param i32)))
    (import "wasi:cli/environment@0.2.0" "get-arguments" (func $arguments (param i32)))
    (import "wasi:cli/environment@0.2.0" "initial-cwd" (func $directory (param i32)))
    (import "wasi:cli/stdin@0.2.0" "get-stdin" (func $stdin (result i32)))
    (import "wasi:io/streams@0.2.0" "[method]input-stream.read" (func $read (param i32 i64 i32)))
    (import "wasi:filesystem/preopens@0.2.0" "get-directories" (func $files (param i32)))
    (import "wasi:sockets/instance-network@0.2.0" "instance-network" (func $network (result i32)))
    (import "wasi:sockets/ip-name-lookup@0.2.0" "resolve-addresses" (func $resolve (param i32 i32 i32 i32)))
    (import "wasi:sockets/tcp-create-socket@0.2.0" "create-tcp-socket" (func $tcp (param i32 i32)))
    (import "wasi:sockets/udp-create-socket@0.2.0" "create-udp-socket" (func $udp (param i32 i32)))
    (import "wasi:clocks/monotonic-clock@0.2.0" "now" (func $monotonic (result i64)))
    (import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $subscribe (param i64) (result i32)))
    (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))
    (import "wasi:clocks/wall-clock@0.2.0" "now" (func $wall (param i32)))
    (data (i32.const 1200) "localhost")
    (data (i32.const 1300) "{\"found\":\"..........\"}")
    (func $found (param $place i32) (param $count i32)
        (i32.store8 (i32.add (i32.const 1310) (local.get $place))
            (i32.add (i32.const 48) (select (local.get $count) (i32.const 9) (i32.lt_u (local.get $count) (i32.const 9))))))"#;

/// Each line finds out how much of one thing there is, and writes it down as a digit.
const BODY: &str = "(local $before i64)
    (call $environment (i32.const 4096)) (call $found (i32.const 0) (i32.load (i32.const 4100)))
    (call $arguments (i32.const 4096)) (call $found (i32.const 1) (i32.load (i32.const 4100)))
    (call $directory (i32.const 4096)) (call $found (i32.const 2) (i32.load8_u (i32.const 4096)))
    (call $read (call $stdin) (i64.const 10) (i32.const 4096))
    (call $found (i32.const 3) (select (i32.const 0) (i32.load (i32.const 4104)) (i32.load8_u (i32.const 4096))))
    (call $files (i32.const 4096)) (call $found (i32.const 4) (i32.load (i32.const 4100)))
    (call $resolve (call $network) (i32.const 1200) (i32.const 9) (i32.const 4096))
    (call $found (i32.const 5) (i32.sub (i32.const 1) (i32.load8_u (i32.const 4096))))
    (call $tcp (i32.const 0) (i32.const 4096))
    (call $found (i32.const 6) (i32.sub (i32.const 1) (i32.load8_u (i32.const 4096))))
    (call $udp (i32.const 0) (i32.const 4096))
    (call $found (i32.const 7) (i32.sub (i32.const 1) (i32.load8_u (i32.const 4096))))
    (local.set $before (call $monotonic))
    (call $block (call $subscribe (i64.const 20000000)))
    (call $found (i32.const 8) (i64.ne (local.get $before) (call $monotonic)))
    (call $wall (i32.const 4096))
    (call $found (i32.const 9) (i32.or
        (i64.ne (i64.load (i32.const 4096)) (i64.div_u (call $caller-now) (i64.const 1000000)))
        (i64.ne (call $monotonic) (i64.mul (call $caller-now) (i64.const 1000)))))
    (i32.store (i32.const 2052) (i32.const 1300)) (i32.store (i32.const 2056) (i32.const 22))
    (return (i32.const 2048))";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn no_file_variable_argument_socket_or_clock_reaches_a_guest() {
    assert!(std::env::vars().count() > 0 && std::env::args().count() > 0);
    let packed = pack(&raw_guest(IMPORTS, BODY), &raw_manifest("look-around", "")).await.unwrap();
    let app = TestApp::builder().component("look-around", packed).start().await;
    let reply = app.client("head-office").call("look_around", json!({})).await;
    let names = [
        "environment variables",
        "arguments",
        "a working directory",
        "bytes on standard input",
        "directories",
        "an address of a name",
        "a TCP socket",
        "a UDP socket",
        "a monotonic clock that goes",
        "a clock that shows another time than the call's",
    ];
    let found = reply.structured()["found"].as_str().expect("digits");
    for (name, count) in names.iter().zip(found.chars()) {
        assert_eq!(count, '0', "the guest found {name}: {found}");
    }
    assert_eq!(found.len(), names.len());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_guest_that_asks_before_its_call_learns_no_time() {
    let more = format!(
        "{IMPORTS}\n(func $early (if (i64.ne (call $monotonic) (i64.const 0)) (then (unreachable))))\n(start $early)"
    );
    let packed = pack(&raw_guest(&more, ""), &raw_manifest("early", "")).await.unwrap();
    let app = TestApp::builder().component("early", packed).start().await;
    let reply = app.client("head-office").call("early", json!({})).await;
    assert!(matches!(reply.structured(), Value::Object(_)));
    app.stop().await;
}
