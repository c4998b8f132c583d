//! What is in the log, and what is not, at the most talkative level.

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use reqwest::StatusCode;
use serde_json::{Value, json};
use stockade_server::{
    config::{AccessConfig, LogConfig, LogFormat},
    telemetry,
};
use tracing_subscriber::fmt::MakeWriter;

use crate::{
    harness::{TestServer, listen_to_everything},
    issuer::{Issuer, access, claims, claims_but},
    signing::TestKey,
};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Runs `work` and gives what was logged in this thread, which is all of the test's server.
async fn logged(format: LogFormat, work: impl AsyncFnOnce(&TestServer)) -> String {
    logged_with(format, AccessConfig::default(), work).await
}

async fn logged_with(format: LogFormat, access: AccessConfig, work: impl AsyncFnOnce(&TestServer)) -> String {
    listen_to_everything();
    let lines = Lines::default();
    let config = LogConfig { level: "trace".into(), format, ..LogConfig::default() };
    let started = telemetry::subscriber(&config, None, false, lines.clone(), None, None);
    let (subscriber, _) = started.expect("a level");
    let _guard = tracing::subscriber::set_default(subscriber);
    let server = TestServer::with_access(access).await;
    work(&server).await;
    let text = String::from_utf8(lines.0.lock().expect("no panic").clone()).expect("text");
    assert!(!text.is_empty());
    text
}

const MARK: &str = "mark-of-an-argument";

async fn talk(server: &TestServer) {
    let client = server.north();
    client.call("echo", json!({ "a": MARK })).await;
    client.call("fail", json!({ "with": "stopped", "a": MARK })).await;
    client.post(format!("{{\"{MARK}\"")).send().await.expect("a reply");
    let session = client.session().await;
    let params = json!({ "name": "echo", "arguments": { "a": MARK } });
    session.request("tools/call", params).await.text().await.expect("a body");
    let made_up = format!("no_such_tool\n{}", "x".repeat(200));
    let params = json!({ "name": made_up, "arguments": { "a": MARK } });
    session.request("tools/call", params).await.text().await.expect("a body");
    reqwest::Client::new().post(&client.url).bearer_auth("wrong-token").body(MARK).send().await.expect("a reply");
}

#[tokio::test]
async fn neither_arguments_nor_tokens_are_logged_at_any_level() {
    for format in [LogFormat::Json, LogFormat::Text] {
        let text = logged(format, talk).await;
        for secret in [MARK, "token-north", "wrong-token"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

#[tokio::test]
async fn no_part_of_an_issuers_token_is_logged_at_any_level_but_why_it_was_refused() {
    let (key, stranger) = (TestKey::es256("k-1"), TestKey::es256("kid-mark"));
    let issuer = Issuer::with(&[&key]).await;
    let tokens = [
        (StatusCode::OK, key.token(&claims())),
        (StatusCode::FORBIDDEN, key.token(&claims_but("scope", Some(json!("scope-mark"))))),
        (StatusCode::UNAUTHORIZED, key.token(&claims_but("exp", Some(json!(1))))),
        (StatusCode::UNAUTHORIZED, key.token(&claims_but("sub", Some(json!("sub mark"))))),
        (StatusCode::UNAUTHORIZED, key.token(&claims_but("iss", Some(json!("iss-mark"))))),
        (StatusCode::UNAUTHORIZED, stranger.token(&claims())),
    ];
    for format in [LogFormat::Json, LogFormat::Text] {
        let text = logged_with(format, access(&format!("jwks_url = '{}'", issuer.url)), async |server: &TestServer| {
            for (status, token) in &tokens {
                let request = server.client(token).modern("tools/call", json!({ "name": "who", "arguments": {} }));
                assert_eq!(request.send().await.expect("a reply").status(), *status);
            }
        })
        .await;
        for part in tokens.iter().flat_map(|(_, token)| token.split('.')).chain([
            "scope-mark",
            "sub mark",
            "iss-mark",
            "kid-mark",
        ]) {
            assert!(!text.contains(part), "{part} in {text}");
        }
        for reason in ["expired", "unknown issuer", "the principal is no identifier", "no such key of the issuer"] {
            assert!(text.contains(reason), "{reason} is missing in {text}");
        }
    }
}

#[tokio::test]
async fn a_failed_call_is_one_line_with_its_request_id_and_whose_fault_it_was() {
    let mut reply = Value::Null;
    let text = logged(LogFormat::Json, async |server: &TestServer| {
        reply = server.north().call("fail", json!({ "with": "stopped" })).await;
    })
    .await;
    let told = reply["result"]["content"][0]["text"].as_str().expect("text");
    let id = told.split("request ").nth(1).expect("an id").trim_end_matches(')');
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let of_call: Vec<_> = lines.iter().filter(|line| line["span"]["request_id"] == id).collect();
    assert_eq!(of_call.len(), 1, "{text}");
    let line = of_call[0];
    assert_eq!(
        (&line["level"], &line["fault"], &line["code"]),
        (&json!("WARN"), &json!("plugin"), &json!("MCP_ERROR"))
    );
    assert_eq!((&line["span"]["caller"], &line["span"]["tool"]), (&json!("north"), &json!("fail")));
    assert!(line["inner"].as_str().expect("text").contains(crate::stub::SECRET));
    assert!(line["span"]["duration_ms"].is_u64(), "{line}");
}

#[tokio::test]
async fn a_name_that_a_client_made_up_is_cut_and_stays_in_its_line() {
    let text = logged(LogFormat::Text, talk).await;
    let line = text.lines().find(|line| line.contains("UNKNOWN_TOOL")).expect("a line");
    assert!(line.contains("no_such_tool\\n") && !line.contains(&"x".repeat(100)), "{line}");
}

#[tokio::test]
async fn strangers_do_not_fill_the_log() {
    let text = logged(LogFormat::Json, async |server: &TestServer| {
        for _ in 0..50 {
            let response = server.client("wrong-token").modern("tools/list", json!({})).send().await.expect("a reply");
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        }
    })
    .await;
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let told: Vec<_> = lines.filter(|line| line["level"] == "INFO" && line["reason"].is_string()).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["times"], 1);
}
