//! What is no plugin, or not one for this host, does not load; the others serve on.

use serde_json::json;
use stockade_runtime::pack::pack;
use stockade_tests::{Client, Log, TestApp, raw_guest, raw_manifest};
use wasm_encoder::{
    ComponentSection as _, InstanceSection, MemorySection, MemoryType, Module, ModuleSection, RefType, TableSection,
    TableType,
};

use super::files::{large, nested, noise};
use crate::plugins::{place, until_refused};

/// `guest` with `count` more core instances of a module with `memories` memories and `tables` tables.
pub(crate) fn widened(guest: &[u8], count: u32, memories: u32, tables: u32) -> Vec<u8> {
    let modules = wasmparser::Parser::new(0).parse_all(guest);
    let mut depth = 0_u32;
    let mut index = 0;
    for payload in modules {
        match payload.unwrap() {
            wasmparser::Payload::ModuleSection { .. } => {
                index += u32::from(depth == 0);
                depth += 1;
            }
            wasmparser::Payload::ComponentSection { .. } => depth += 1,
            wasmparser::Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    let mut module = Module::new();
    let mut section = TableSection::new();
    for _ in 0..tables {
        section.table(TableType {
            element_type: RefType::FUNCREF,
            table64: false,
            minimum: 1,
            maximum: None,
            shared: false,
        });
    }
    module.section(&section);
    let mut section = MemorySection::new();
    for _ in 0..memories {
        section.memory(MemoryType { minimum: 1, maximum: None, memory64: false, shared: false, page_size_log2: None });
    }
    module.section(&section);
    let mut instances = InstanceSection::new();
    for _ in 0..count {
        instances.instantiate::<[_; 0], &str>(index, []);
    }
    let mut out = guest.to_vec();
    ModuleSection(&module).append_to_component(&mut out);
    instances.append_to_component(&mut out);
    out
}

fn native(component: &[u8]) -> Vec<u8> {
    wasmtime::Engine::default().precompile_component(component).unwrap()
}

async fn packed(guest: &[u8], name: &str) -> Vec<u8> {
    pack(guest, &raw_manifest(name, "")).await.unwrap_or_else(|e| panic!("{name}: {e}"))
}

async fn serves(client: &Client) {
    assert_eq!(client.call("noop", json!({})).await.structured(), &json!({}));
}

/// Puts the file there, and waits until it is refused with `words`. Meanwhile, and right after it, another
/// tenant's calls work; the log names the file, and says whether an older version serves.
async fn refused(app: &TestApp, file: &str, bytes: &[u8], words: &str) {
    let neighbour = app.client("neighbour");
    let place_and_wait = async {
        place(&app.plugins(), file, bytes);
        until_refused(app, file, words).await;
    };
    tokio::join!(place_and_wait, serves(&neighbour));
    serves(&neighbour).await;
    let path = app.plugins().join(file).display().to_string();
    let lines = Log::keep().containing("plugin refused");
    let of_file: Vec<_> = lines.iter().filter(|line| line["file"] == path.as_str()).collect();
    let [line] = of_file[..] else { panic!("{file}: {of_file:?}") };
    assert_eq!((&line["level"], &line["serving_older_version"]), (&json!("WARN"), &json!(false)), "{line}");
    assert!(line["reason"].as_str().is_some_and(|reason| reason.contains(words)), "{line}");
}

/// A component in text that exports `name` with a function of type `call`.
fn exporting(name: &str, call: &str) -> Vec<u8> {
    wat::parse_str(format!(
        r#"(component
            (core module $m (memory (export "memory") 1) (func (export "call") (result i32) (i32.const 0)))
            (core instance $i (instantiate $m))
            (func $call {call} (canon lift (core func $i "call")))
            (instance $tools (export "call" (func $call)))
            (export "{name}" (instance $tools)))"#
    ))
    .unwrap()
}

fn importing(name: &str) -> Vec<u8> {
    wat::parse_str(format!(r#"(component (import "{name}" (instance (export "now" (func (result s64))))))"#)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn what_is_no_plugin_is_refused_with_its_reason_and_the_others_serve() {
    Log::keep();
    let settings = "component_bytes_max = 1048576";
    let app = TestApp::builder().plugins(&["noop"]).tenant("neighbour").plugin_settings(settings).start().await;
    let guest = raw_guest("", "");
    let whole = packed(&guest, "whole").await;
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("random", noise(4096), "not a component"),
        ("precompiled", native(&guest), "native code"),
        ("truncated", whole[..whole.len() / 2].to_vec(), "damaged or cut short"),
        ("without-end", whole[..whole.len() - 1].to_vec(), "damaged or cut short"),
        ("large", large(10_000, 0), "component_bytes_max"),
        ("nested-100", packed(&nested(100), "nested-100").await, "does not fit the contract"),
        ("nested-5000", packed(&nested(5_000), "nested-5000").await, "does not fit the contract"),
        (
            "unknown-import",
            packed(&importing("stockade:plugin/files@0.1.0"), "unknown-import").await,
            "stockade:plugin/files@0.1.0",
        ),
        (
            "other-version",
            packed(&importing("stockade:plugin/caller@0.2.0"), "other-version").await,
            "stockade:plugin/caller@0.2.0",
        ),
        ("no-wasi", packed(&importing("wasi:http/types@0.2.0"), "no-wasi").await, "wasi:http/types"),
        ("no-export", packed(&nested(0), "no-export").await, "does not fit the contract"),
        (
            "wrong-export",
            packed(&exporting("stockade:plugin/tools@0.1.0", "(result u32)"), "wrong-export").await,
            "another type",
        ),
        (
            "next-export",
            packed(&exporting("stockade:plugin/tools@0.2.0", "(result u32)"), "next-export").await,
            "does not fit the contract",
        ),
        ("wide", packed(&widened(&guest, 65, 0, 0), "wide").await, "core module instances"),
        ("memories", packed(&widened(&guest, 20, 1, 0), "memories").await, "memories"),
        ("tables", packed(&widened(&guest, 40, 0, 1), "tables").await, "tables"),
    ];
    for (name, bytes, words) in cases {
        refused(&app, &format!("{name}.wasm"), &bytes, words).await;
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_hundred_megabytes_are_not_read() {
    let app = TestApp::builder().plugins(&["noop"]).start().await;
    // A hole: the file is as large as it says, and takes no room.
    let file = std::fs::File::create(app.plugins().join("hole.partial")).unwrap();
    file.set_len(100 << 20).unwrap();
    std::fs::rename(app.plugins().join("hole.partial"), app.plugins().join("hole.wasm")).unwrap();
    until_refused(&app, "hole.wasm", "component_bytes_max").await;
    serves(&app.client("head-office")).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_manifest_of_another_contract_or_with_an_unknown_key_does_not_pack() {
    let guest = raw_guest("", "");
    for (from, to, words) in [
        ("contract = '0.1.0'", "contract = '0.2.0'", "contract"),
        ("[plugin]", "[plugin]\nroot = true", "root"),
        ("", "[grants]\nfiles = {}", "files"),
        ("", "[grants.sql]\nschemas = []\nviews = []", "views"),
        ("", "[grants.sql]\nschemas = []\ntables = ['orders']", "schema.table"),
        ("", "[limits]\nmemory = 1", "memory"),
        ("", "[tool_limits.other]\ncpu_ms = 1", "tool_limits.other"),
        ("", "[tool_limits.t]\nconcurrent_calls = 1", "concurrent_calls"),
    ] {
        let manifest = raw_manifest("t", if from.is_empty() { to } else { "" });
        let manifest = if from.is_empty() { manifest } else { manifest.replace(from, to) };
        let refusal = pack(&guest, &manifest).await.expect_err(words).to_string();
        assert!(refusal.contains(words), "{refusal}");
    }
}
