//! The log's limits, and who may change its level.

use std::time::Instant;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stockade_tests::{Collector, TestApp};

#[tokio::test]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_plugins_lines_are_bounded_by_the_second_for_all_its_calls_together() {
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
