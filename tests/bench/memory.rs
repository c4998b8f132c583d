//! What the host holds when it is idle, in a process of its own.

use std::path::Path;

use serde_json::{Value, json};
use stockade_server::{App, config::Config};
use stockade_tests::TestApp;
use wasm_encoder::ComponentSection as _;

use crate::table::Line;

/// Plugins that are added, each under a name of its own.
const FURTHER: usize = 8;
const PLUGINS: [&str; 6] = [
    "execute-sales-query",
    "get-current-utc-date",
    "get-multiple-table-schemas",
    "get-store-performance",
    "semantic-search-products",
    "top-products",
];

pub(crate) async fn measure() -> Vec<Line> {
    eprintln!("memory");
    let app = TestApp::builder().plugins(&PLUGINS).start().await;
    let itself = std::env::current_exe().expect("this program");
    let output = tokio::process::Command::new(itself).arg("idle").arg(app.configuration_file()).output().await;
    let output = output.expect("a host");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    app.stop().await;
    let mib = |key: &str| seen[key].as_f64().expect("a number") / f64::from(1 << 20);
    let line = |what: &str, measured: String| Line {
        what: what.into(),
        against: "–".into(),
        measured,
        ratio: None,
        bar: None,
    };
    vec![
        line("memory of the host with 6 plugins, idle", format!("{:.0} MiB resident", mib("idle"))),
        line("memory of a further plugin", format!("{:.2} MiB resident", (mib("more") - mib("idle")) / FURTHER as f64)),
    ]
}

/// The process that is looked at: a host, and then the same host with more plugins.
pub(crate) async fn idle(configuration: &str) {
    let config = Config::load(Path::new(configuration)).unwrap_or_else(|e| panic!("{e}"));
    let folder = config.plugins.directory.clone();
    let app = App::start(config).await.unwrap_or_else(|e| panic!("{e}"));
    let server = app.serve().await.unwrap_or_else(|e| panic!("{e}"));
    let idle = resident_bytes();
    let noop = std::fs::read(stockade_tests::packed("noop")).expect("the plugin noop");
    let mut changes = app.runtime().changes();
    for number in 0..FURTHER {
        std::fs::write(folder.join(format!("further-{number}.wasm")), renamed(&noop, number)).expect("a plugin");
    }
    let caller = app.caller("head-office").expect("a caller");
    while app.runtime().tools(&caller).len() < PLUGINS.len() + FURTHER {
        changes.changed().await.expect("the runtime lives");
    }
    println!("{}", json!({"idle": idle, "more": resident_bytes()}));
    server.shutdown().await;
    app.close().await;
}

/// The plugin under another name: its manifest, the last section, is written anew.
fn renamed(packed: &[u8], number: usize) -> Vec<u8> {
    let name = b"stockade:manifest";
    let at = packed.windows(name.len()).rposition(|window| window == name).expect("a manifest");
    let mut manifest: Value = serde_json::from_slice(&packed[at + name.len()..]).expect("JSON");
    manifest["plugin"]["name"] = json!(format!("further-{number}"));
    manifest["tools"][0]["name"] = json!(format!("further_{number}"));
    // Before the name: the section's id, its length in two bytes, the name's length.
    let mut component = packed[..at - 4].to_vec();
    let data = manifest.to_string().into_bytes();
    wasm_encoder::CustomSection { name: "stockade:manifest".into(), data: data.into() }
        .append_to_component(&mut component);
    component
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
}
