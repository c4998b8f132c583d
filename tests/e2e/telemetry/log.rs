//! The log's limits, and who may change its level.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stockade_tests::{Collector, TestApp};

#[tokio::test]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
pub(crate) async fn a_plugins_lines_are_bounded_by_the_second_for_all_its_calls_together() {
    let collector = Collector::start().await;
    let builder = TestApp::builder().plugins(&["hostile"]).plugin_settings("log_lines_per_s_max = 1");
    let bed = super::bed(&format!("http://{}", collector.address), "", builder).await;
    bed.lines.take();
    let started = Instant::now();
    for _ in 0..3 {
        bed.call("flood_log", json!({})).await.structured();
    }
    // Ten seconds' worth may come at once.
    let most = 11 + started.elapsed().as_secs() as usize;
    let lines = bed.lines.take();
    let of_plugin = |line: &&Value| line["target"] == "stockade::plugin" && line["plugin"] == "hostile";
    let of_plugin: Vec<_> = lines.iter().filter(of_plugin).collect();
    let written = of_plugin.iter().filter(|line| line["message"].as_str().is_some_and(|text| text.contains("forged")));
    let written = written.count();
    assert!((10..=most).contains(&written), "{written} lines of at most {most}: {of_plugin:?}");
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_full_file_is_followed_by_another_and_so_many_are_kept() {
    let section = "[log]\nfile = 'kept/host.log'\nfile_bytes_max = 4096\nfiles_max = 3";
    let files = TestApp::builder().plugins(&["noop"]).sections(section).files().await;
    let host = files.start().await;
    for _ in 0..60 {
        host.client("head-office").call("noop", json!({})).await.structured();
    }
    host.signal("TERM");
    assert_eq!(host.ended().await, Some(0));
    let kept = std::fs::read_dir(files.folder().join("kept")).unwrap();
    let kept: Vec<_> = kept.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    let lengths: Vec<_> = kept.iter().map(String::len).collect();
    assert!(lengths.len() == 3 && lengths.iter().all(|length| *length <= 4096), "{lengths:?}");
    let lines = kept.iter().flat_map(|text| text.lines());
    let calls = lines.filter(|line| serde_json::from_str::<Value>(line).unwrap()["message"] == "call done").count();
    assert!((1..60).contains(&calls), "the last lines, whole, and not the first: {calls}");
}

/// Every line of the files in a folder, each of them whole, but for one that is being written.
fn lines_in(folder: &Path) -> Vec<Value> {
    let files = std::fs::read_dir(folder).unwrap().map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    let files: Vec<_> = files.collect();
    let whole = files.iter().filter_map(|text| Some(text.rsplit_once('\n')?.0));
    let lines = whole.flat_map(str::lines);
    lines.map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("half a line: {line}"))).collect()
}

/// The system lets through as much of a line as the file may still grow, as a disk does that is nearly full.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_line_that_finds_room_for_a_part_of_it_is_lost_whole_and_counted() {
    let section = "[log]\nfile = 'kept/host.log'\nfile_bytes_max = 100000\nfiles_max = 2";
    let files = TestApp::builder().admin_socket().plugins(&["noop"]).sections(section).files().await;
    let host = files.start_bearing_file_limits().await;
    let kept = files.folder().join("kept");
    let call = async || {
        host.client("head-office").call("noop", json!({})).await.structured();
    };
    let done = || lines_in(&kept).into_iter().filter(|line| line["message"] == "call done").count();
    let until = async |what: &str, holds: &dyn Fn(u64) -> bool| {
        let wait = async {
            while !holds(host.log_lines_lost().await) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap_or_else(|_| panic!("{what}"));
    };
    call().await;
    until("the first line is there", &|_| done() == 1).await;
    let bytes = std::fs::read_dir(&kept).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).max().unwrap();
    // Three lines find room, and a part of the fourth.
    let line = lines_in(&kept).iter().find(|line| line["message"] == "call done").unwrap().to_string().len() as u64;
    host.limit_file_bytes(Some(bytes + 3 * line + line / 2));
    // More than the file may have lines in all: those that are lost take no room, and so begin no other file.
    for _ in 0..600 {
        call().await;
    }
    until("lines are lost", &|lost| done() as u64 + lost >= 601).await;
    assert_eq!(std::fs::read_dir(&kept).unwrap().count(), 1, "lost lines fill no file");
    let (before, lost) = (done(), host.log_lines_lost().await);
    assert!((2..10).contains(&before), "{before}");
    host.limit_file_bytes(None);
    call().await;
    until("the file is written again", &|_| done() == before + 1).await;
    assert_eq!(host.log_lines_lost().await, lost);
    host.signal("TERM");
    assert_eq!(host.ended().await, Some(0));
    assert_eq!(done(), before + 1);
    let end = std::fs::read_dir(&kept).unwrap().map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    assert!(end.into_iter().all(|text| text.ends_with('\n')), "nothing is left of what was lost");
}

/// A web page has no operators' token, and could not read what it is told.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn nobody_else_sets_the_level_and_no_web_page_is_answered() {
    let app = TestApp::builder().admin("").plugins(&["noop"]).start().await;
    let level = async || {
        app.operator("GET", "/log-level").send().await.unwrap().json::<Value>().await.unwrap()["level"].clone()
    };
    let http = reqwest::Client::new();
    let strangers = [None, Some("wrong".to_owned()), Some(app.token("head-office"))];
    for (method, path) in [(Method::POST, "/log-level"), (Method::POST, "/reload"), (Method::OPTIONS, "/log-level")] {
        for token in &strangers {
            let request = http.request(method.clone(), format!("http://{}{path}", app.admin_address())).body("trace");
            let request = token.iter().fold(request, |request, token| request.bearer_auth(token));
            let request = request.header("origin", "http://evil.example").header("host", "evil.example");
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{method} {path} {token:?}");
            let cors = |name: &str| name.starts_with("access-control-");
            assert!(!response.headers().keys().any(|name| cors(name.as_str())), "{:?}", response.headers());
        }
    }
    assert_eq!(level().await, "info");
    let set = async |body: String| app.operator("POST", "/log-level").body(body).send().await.unwrap();
    assert_eq!(set(format!("{:4097}", "debug")).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(level().await, "info");
    assert_eq!(set(format!("{:4096}", "debug")).await.status(), StatusCode::OK);
    assert_eq!(level().await, "debug");
    let page = app.operator("GET", "/stats").header("origin", "http://evil.example").send().await.unwrap();
    assert!(!page.headers().contains_key("access-control-allow-origin"), "{:?}", page.headers());
    app.stop().await;
}
