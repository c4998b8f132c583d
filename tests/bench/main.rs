//! What a call through the sandbox costs, as ratios: the two sides of each take turns in one run, and
//! the figure is the median of several rounds. `cargo xtask bench` runs it; `--json` prints for scripts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measurement that cannot be taken ends the run"
)]

mod client;
mod http;
mod instance;
mod memory;
mod native;
mod rounds;
mod rows;
mod statement;
mod table;

use stockade_tests::{Cluster, TestApp};

/// As the binary's.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // The load comes from a process of its own: what the server costs is then the server's alone.
    if let Some(("client", rest)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return client::main(rest);
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    if let [first, configuration] = arguments.as_slice()
        && first == "idle"
    {
        return runtime.block_on(memory::idle(configuration));
    }
    let json = arguments.iter().any(|argument| argument == "--json");
    let only: Vec<&str> = arguments.iter().map(String::as_str).filter(|argument| !argument.starts_with('-')).collect();
    let lines = runtime.block_on(measure(&only));
    table::print(&lines, json);
    // The cluster stops with the process.
    std::process::exit(i32::from(!lines.iter().all(table::Line::holds)));
}

/// The groups of figures that are named, or all of them.
async fn measure(only: &[&str]) -> Vec<table::Line> {
    let wanted = |group| only.is_empty() || only.contains(&group);
    eprintln!("loading 200,000 orders");
    Cluster::get_sized(zava_retail::LoadOptions::demo()).await;
    let app = TestApp::builder()
        .limits("rows_max = 1000000\nbytes_max = 268435456\ndeadline_ms = 60000")
        .server("calls_per_caller_max = 256\nrequests_per_caller_max = 1024")
        .start()
        .await;
    let mut lines = Vec::new();
    if wanted("http") {
        lines.extend(http::measure(&app).await);
    }
    if wanted("instance") {
        lines.extend(instance::measure(&app).await);
    }
    if wanted("statement") {
        lines.extend(statement::measure(&app).await);
    }
    if wanted("rows") {
        lines.extend(rows::measure(&app).await);
    }
    if wanted("memory") {
        lines.extend(memory::measure().await);
    }
    app.stop().await;
    lines
}
