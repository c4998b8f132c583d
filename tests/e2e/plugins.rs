//! Plugins come, change and go while the server runs.

use std::{fs, path::Path, sync::mpsc::RecvTimeoutError};

use serde_json::json;
use stockade_runtime::pack::pack;
use stockade_tests::TestApp;

/// Write beside and rename, as a careful operator does.
pub(crate) fn place(folder: &Path, name: &str, bytes: &[u8]) {
    let partial = folder.join(format!("{name}.partial"));
    fs::write(&partial, bytes).unwrap();
    fs::rename(partial, folder.join(name)).unwrap();
}

fn packed(name: &str) -> Vec<u8> {
    fs::read(stockade_tests::packed(name)).unwrap()
}

/// The component as the tool chain made it: the manifest is the last section, its length two bytes.
fn without_manifest(packed: &[u8]) -> Vec<u8> {
    let name = b"stockade:manifest";
    let at = packed.windows(name.len()).rposition(|window| window == name).unwrap();
    assert_eq!((packed[at - 4], usize::from(packed[at - 1])), (0, name.len()), "a custom section begins here");
    packed[..at - 4].to_vec()
}

/// Wait until `file` is refused with `words`.
pub(crate) async fn until_refused(app: &TestApp, file: &str, words: &str) {
    let wait = async {
        loop {
            let refusals = app.app().runtime().refusals();
            if refusals.iter().any(|r| r.file.ends_with(file) && r.reason.contains(words)) {
                return;
            }
            // Refusals are no change of the tools, so nothing announces them.
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(std::time::Duration::from_secs(60), wait).await;
    assert!(waited.is_ok(), "{file} is not refused with {words:?}: {:?}", app.app().runtime().refusals());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_plugin_appears_changes_and_goes() {
    let app = TestApp::builder().plugins(&["noop"]).start().await;
    assert_eq!(app.client("head-office").tool_names().await, ["noop"]);

    place(&app.plugins(), "date.wasm", &packed("get-current-utc-date"));
    app.until_tools(|tools| tools == ["get_current_utc_date", "noop"]).await;

    // The same file, now another plugin.
    place(&app.plugins(), "date.wasm", &packed("top-products"));
    app.until_tools(|tools| tools == ["noop", "top_products"]).await;

    fs::remove_file(app.plugins().join("date.wasm")).unwrap();
    app.until_tools(|tools| tools == ["noop"]).await;
    assert_eq!(app.client("head-office").call("top_products", json!({})).await.code(), -32602);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_half_written_file_never_loads_and_the_old_version_serves_on() {
    let app = TestApp::builder().plugins(&["noop"]).start().await;
    let whole = packed("get-current-utc-date");
    let file = app.plugins().join("slow.wasm");
    for part in [8, whole.len() / 2, whole.len() - 1] {
        fs::write(&file, &whole[..part]).unwrap();
        until_refused(&app, "slow.wasm", "").await;
        assert_eq!(app.client("head-office").tool_names().await, ["noop"], "{part} bytes");
    }
    fs::write(&file, &whole).unwrap();
    app.until_tools(|tools| tools == ["get_current_utc_date", "noop"]).await;

    // In place, over one that serves.
    fs::write(app.plugins().join("noop.wasm"), &packed("noop")[..1000]).unwrap();
    until_refused(&app, "noop.wasm", "").await;
    assert_eq!(app.client("head-office").call("noop", json!({})).await.structured(), &json!({}));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn what_is_no_plugin_is_refused_in_a_sentence_and_the_others_serve() {
    let app = TestApp::builder().plugins(&["noop"]).start().await;
    let manifest = |name: &str, tool: &str, rest: &str| {
        format!(
            "contract = '0.1.0'\n{rest}\n[plugin]\nname = '{name}'\nversion = '1'\ndescription = 'd'\n\
             [[tools]]\nname = '{tool}'\ntitle = 't'\ndescription = 'd'\n\
             input_schema = {{ type = 'object' }}\noutput_schema = {{ type = 'object' }}"
        )
    };
    let empty = b"\0asm\x0d\0\x01\0";
    let other_world = pack(empty, &manifest("other-world", "other", "")).await.unwrap();
    let taken = pack(empty, &manifest("taken", "noop", "")).await.unwrap();
    let greedy =
        pack(empty, &manifest("greedy", "greedy", "grants = { sql = { schemas = ['retail'] } }")).await.unwrap();
    let large = pack(empty, &manifest("large", "large", "limits = { memory_mib = 100000 }")).await.unwrap();
    for (file, bytes, words) in [
        ("random.wasm", &b"\x93\x1f\x00random bytes"[..], "does not begin like WebAssembly"),
        ("empty.wasm", b"", "does not begin like WebAssembly"),
        ("module.wasm", b"\0asm\x01\0\0\0", "core module"),
        ("native.wasm", b"\x7fELF\x02\x01\x01\0\0\0", "native code"),
        ("bare.wasm", empty, "no manifest"),
        ("other.wasm", &other_world, "does not fit the contract"),
        ("taken.wasm", &taken, "belongs to the plugin \"noop\""),
        ("greedy.wasm", &greedy, "operator has not granted"),
        ("large.wasm", &large, "memory_mib"),
        ("ungranted.wasm", &packed("ungranted"), "`vector`"),
        ("twice.wasm", &packed("noop"), "loaded from another file"),
    ] {
        place(&app.plugins(), file, bytes);
        until_refused(&app, file, words).await;
        assert_eq!(app.client("head-office").call("noop", json!({})).await.structured(), &json!({}), "with {file}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_grant_taken_back_ends_the_plugin_and_given_again_brings_it_back() {
    let app = TestApp::builder().plugins(&["noop", "top-products"]).start().await;
    let grants = fs::read_to_string(app.grants_file()).unwrap();
    app.write_grants("");
    app.until_tools(|tools| tools == ["noop"]).await;
    app.write_grants("[top-products]\nsq = {}");
    app.write_grants(grants);
    app.until_tools(|tools| tools == ["noop", "top_products"]).await;
    app.stop().await;
}

/// A plugin of the name given, with the one tool of `noop`.
async fn noop_named(name: &str) -> Vec<u8> {
    let manifest = format!("contract = '0.1.0'\n[plugin]\nname = '{name}'\nversion = '1'\ndescription = 'd'");
    pack(&without_manifest(&packed("noop")), &manifest).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn two_plugins_cannot_have_one_tool() {
    let app = TestApp::builder().plugins(&["noop"]).start().await;
    let impostor = noop_named("impostor").await;
    place(&app.plugins(), "a-impostor.wasm", &impostor);
    until_refused(&app, "a-impostor.wasm", "belongs to the plugin \"noop\"").await;

    // Nor does a file that was there first bring another's tool into its possession, or lose its own.
    place(&app.plugins(), "a-date.wasm", &packed("get-current-utc-date"));
    app.until_tools(|tools| tools == ["get_current_utc_date", "noop"]).await;
    place(&app.plugins(), "a-date.wasm", &impostor);
    until_refused(&app, "a-date.wasm", "belongs to the plugin \"noop\"").await;
    let serving = app.app().runtime().serving();
    let names: Vec<&str> = serving.iter().map(|plugin| plugin.name.as_str()).collect();
    assert_eq!(names, ["get-current-utc-date", "noop"]);
    assert_eq!(app.client("head-office").tool_names().await, ["get_current_utc_date", "noop"]);

    // A name that is given up is free for whoever waits.
    fs::remove_file(app.plugins().join("a-date.wasm")).unwrap();
    fs::remove_file(app.plugins().join("noop.wasm")).unwrap();
    app.until_tools(|tools| tools == ["noop"] && app.app().runtime().serving()[0].name == "impostor").await;
    app.stop().await;
}

/// What is written beside the grants all the time, a log above all, keeps no change of theirs waiting.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_file_beside_the_grants_that_is_never_quiet_delays_nothing() {
    let app = TestApp::builder().plugins(&["noop", "top-products"]).start().await;
    let beside = app.grants_file().with_file_name("busy.log");
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let writer = std::thread::spawn(move || {
        use std::io::Write as _;
        let mut file = fs::File::create(beside).unwrap();
        while stopped.recv_timeout(std::time::Duration::from_millis(5)) == Err(RecvTimeoutError::Timeout) {
            file.write_all(b"a line\n").unwrap();
        }
    });
    app.write_grants("");
    app.until_tools(|tools| tools == ["noop"]).await;
    drop(stop);
    writer.join().unwrap();
    app.stop().await;
}
