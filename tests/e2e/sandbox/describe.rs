//! A component that is asked for its tools, when it is packed, runs within limits and without the host.

use std::{sync::mpsc, time::Duration};

use stockade_runtime::pack::pack;
use stockade_tests::raw_described;

const MANIFEST: &str = "contract = '0.1.0'\n[plugin]\nname = 'described'\nversion = '1'\ndescription = 'By hand.'";

/// Why a component that does this instead of describing tools is not packed.
fn refusal(more: &str, describe: &str) -> String {
    let component = raw_described(more, describe);
    let (sender, receiver) = mpsc::channel();
    // What spins takes its thread with it.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let packed = runtime.block_on(pack(&component, MANIFEST));
        sender.send(packed.err().map(|error| error.to_string()).unwrap_or_default())
    });
    receiver.recv_timeout(Duration::from_secs(60)).expect("it ends")
}

#[test]
fn within_its_limits_it_is_heard() {
    for body in ["", "(drop (memory.grow (i32.const 900)))"] {
        assert!(refusal("", body).contains("it has 0 tools"), "{body}");
    }
}

#[test]
fn beyond_a_limit_and_at_the_hosts_door_it_is_refused() {
    let fails = |grow: &str| format!("(if (i32.eq {grow} (i32.const -1)) (then (unreachable)))");
    let table = "(table $table 0 funcref)";
    let import = r#"(import "stockade:plugin/caller@0.1.0" "now" (func $now (result i64)))"#;
    for (more, body, words) in [
        ("", "(loop $again (br $again))", "interrupt"),
        ("", &*fails("(memory.grow (i32.const 1100))"), "unreachable"),
        (table, &fails("(table.grow $table (ref.null func) (i32.const 20001))"), "unreachable"),
        (import, "(drop (call $now))", "stockade:plugin/caller"),
    ] {
        let refusal = refusal(more, body);
        assert!(refusal.contains("it cannot describe its tools") && refusal.contains(words), "{body}: {refusal}");
    }
}
