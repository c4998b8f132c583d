//! Another configuration while the host runs.

use std::{path::Path, time::Duration};

use reqwest::StatusCode;
use serde_json::{Value, json};
use stockade_runtime::pack::pack;
use stockade_server::config::TokenDigest;
use stockade_tests::{HostProcess, OPERATOR_TOKEN, TestApp, raw_guest, raw_manifest, stockade};

async fn reload(app: &TestApp) -> (StatusCode, Value) {
    let response = app.operator("POST", "/reload").send().await.expect("a reply");
    (response.status(), response.json().await.expect("JSON"))
}

async fn may_call(app: &TestApp, caller: &str) -> bool {
    let response = app.client(caller).request("tools/call", json!({ "name": "noop" })).send().await.expect("a reply");
    assert!([StatusCode::OK, StatusCode::UNAUTHORIZED].contains(&response.status()), "{}", response.status());
    response.status() == StatusCode::OK
}

async fn acts(app: &TestApp) -> Vec<(String, String)> {
    let query =
        "SELECT decision, detail FROM stockade.audit_log WHERE outcome = 'CONFIGURATION_RELOADED' ORDER BY happened_at";
    sqlx::query_as(query).fetch_all(&mut app.database.admin().await).await.expect("the log")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_new_configuration_holds_whole_or_not_at_all() {
    let app = TestApp::builder().admin("").plugins(&["noop"]).start().await;
    let file = app.configuration_file();
    let first = std::fs::read_to_string(&file).expect("the configuration");
    assert_eq!(reload(&app).await, (StatusCode::OK, json!({ "changed": [] })));

    // A caller is taken out, another's limits change.
    let (before, table) = first.split_once("[callers.seattle-store]\n").expect("the store");
    let after = table.split_once("[callers.").map_or("", |(_, after)| after);
    let without = format!("[tenant_defaults]\ncalls_max = 3\n{before}[callers.{after}");
    std::fs::write(&file, &without).expect("written");
    assert!(may_call(&app, "seattle-store").await, "not before it is told");
    assert_eq!(reload(&app).await.1, json!({ "changed": ["callers.seattle-store", "tenant_defaults.calls_max"] }));
    assert!(!may_call(&app, "seattle-store").await && may_call(&app, "head-office").await);

    // A file that is broken, one that says nonsense, one that changes what is fixed: each changes nothing.
    let fixed = first.replacen("[server]\n", "[server]\nsessions_max = 7\n", 1);
    let broken = format!("{first}\n[callers.broken");
    let nonsense = first.replacen("tenant = \"", "tenant = \"é-hunter2", 1);
    for (text, expected) in [(fixed, "server.sessions_max"), (broken, "line"), (nonsense, ".tenant")] {
        std::fs::write(&file, text).expect("written");
        let (status, answer) = reload(&app).await;
        let error = answer["error"].as_str().expect("an error");
        assert_eq!(status, StatusCode::CONFLICT);
        assert!(error.starts_with("nothing was changed: ") && error.contains(expected), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
        assert!(!may_call(&app, "seattle-store").await && may_call(&app, "head-office").await);
    }
    // Grants that are wrong keep a good file out too.
    std::fs::write(&file, &first).expect("written");
    let grants = std::fs::read_to_string(app.grants_file()).expect("grants");
    app.write_grants("nonsense");
    assert_eq!(reload(&app).await.0, StatusCode::CONFLICT);
    assert!(!may_call(&app, "seattle-store").await);
    app.write_grants(grants);
    assert_eq!(reload(&app).await.0, StatusCode::OK);
    assert!(may_call(&app, "seattle-store").await);
    // Records are written in batches.
    while acts(&app).await.len() < 7 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let acts = acts(&app).await;
    let decisions: Vec<&str> = acts.iter().map(|(decision, _)| decision.as_str()).collect();
    assert_eq!(decisions, ["allowed", "allowed", "refused", "refused", "refused", "refused", "allowed"]);
    assert_eq!(acts[1].1, "changed: callers.seattle-store, tenant_defaults.calls_max");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn the_command_reloads_a_running_host_and_says_why_not() {
    let app = TestApp::builder().admin_socket().plugins(&["noop"]).start().await;
    let run = async || {
        let mut command = stockade();
        command.arg("reload").arg("--config").arg(app.configuration_file()).env("STOCKADE_ADMIN_TOKEN", OPERATOR_TOKEN);
        command.output().await.expect("the command runs")
    };
    let text = std::fs::read_to_string(app.configuration_file()).expect("the configuration");
    std::fs::write(app.configuration_file(), format!("[tenant_defaults]\ncalls_max = 3\n{text}")).expect("written");
    let done = run().await;
    assert_eq!(String::from_utf8_lossy(&done.stdout), "reloaded; changed: tenant_defaults.calls_max\n");
    std::fs::write(app.configuration_file(), text.replacen("[server]\n", "[server]\nsessions_max = 9\n", 1))
        .expect("written");
    let refused = run().await;
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("server.sessions_max cannot change while the host runs"));
    app.stop().await;
}

/// The configuration with a line more in a section that it has.
fn with(text: &str, section: &str, line: &str) -> String {
    let header = format!("[{section}]\n");
    assert_eq!(text.matches(&header).count(), 1, "{header}");
    text.replacen(&header, &format!("{header}{line}\n"), 1)
}

/// Takes the configuration that holds, with these lines more: all of them, or none.
async fn change(app: &TestApp, text: &str, lines: &[(&str, &str)]) -> (StatusCode, Value) {
    let text = lines.iter().fold(text.to_owned(), |text, (section, line)| with(&text, section, line));
    std::fs::write(app.configuration_file(), text).expect("written");
    reload(app).await
}

async fn lists(app: &TestApp, header: (&str, &str)) -> StatusCode {
    let request = app.client("head-office").request("tools/list", json!({})).header(header.0, header.1);
    request.send().await.expect("a reply").status()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn what_operators_change_takes_effect_at_once() {
    let builder = TestApp::builder().admin("").plugins(&["execute-sales-query"]);
    let app = builder.sections("[log]\n[audit]").start().await;
    let text = std::fs::read_to_string(app.configuration_file()).expect("the configuration");
    let seen = async |path: &str| app.operator("GET", path).send().await.expect("a reply").json::<Value>().await;
    let counts = async || {
        let query = json!({ "query": "SELECT count(*) AS n FROM generate_series(1, 3000000)" });
        app.client("head-office").call("execute_sales_query", query).await
    };

    let (origin, host) = (("origin", "https://app.example.com"), ("host", "mcp.example.com"));
    assert_eq!((lists(&app, origin).await, lists(&app, host).await), (StatusCode::FORBIDDEN, StatusCode::FORBIDDEN));
    counts().await.structured();
    let (status, answer) = change(
        &app,
        &text,
        &[
            (
                "server",
                "allowed_origins = [\"https://app.example.com\"]\nallowed_hosts = [\"mcp.example.com\", \"127.0.0.1\"]",
            ),
            ("server", "instructions = \"Ask.\"\nbody_bytes_max = 20000"),
            ("database", "statement_timeout_ms = 1\nslow_statement_ms = 7"),
            ("log", "level = \"warn\""),
            ("audit", "arguments = \"whole\""),
        ],
    )
    .await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["changed"].as_array().expect("keys").len(), 8, "{answer}");
    assert_eq!((lists(&app, origin).await, lists(&app, host).await), (StatusCode::OK, StatusCode::OK));
    let preflight = reqwest::Client::new().request(reqwest::Method::OPTIONS, app.url("/mcp"));
    let preflight = preflight.header(origin.0, origin.1).header("access-control-request-method", "POST");
    assert_eq!(preflight.send().await.expect("a reply").headers()["access-control-allow-origin"], origin.1);
    let discovered = app.client("head-office").request("server/discover", json!({})).send().await.expect("a reply");
    assert_eq!(discovered.json::<Value>().await.expect("JSON")["result"]["instructions"], "Ask.");
    let large = app.client("head-office").post("x".repeat(20_001)).send().await.expect("a reply");
    assert_eq!(large.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let error = counts().await;
    assert_eq!(error.error_without_id(), "QUERY_TIMEOUT: the call ran out of time; it may be tried again");
    assert_eq!(seen("/stats").await.expect("JSON")["slow_statement_ms"], 7);
    assert_eq!(seen("/log-level").await.expect("JSON")["level"], "warn");
    let kept = "SELECT count(*) FROM stockade.audit_log WHERE arguments LIKE '%generate_series%'";
    let mut admin = app.database.admin().await;
    let wait = async {
        while sqlx::query_scalar::<_, i64>(kept).fetch_one(&mut admin).await.expect("the log") == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("the call's arguments are in the audit log");

    // And back, all of it.
    assert_eq!(change(&app, &text, &[]).await.0, StatusCode::OK);
    assert_eq!((lists(&app, origin).await, lists(&app, host).await), (StatusCode::FORBIDDEN, StatusCode::FORBIDDEN));
    counts().await.structured();
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn of_a_file_that_is_half_right_nothing_is_taken() {
    let app = TestApp::builder().admin("").plugins(&["noop"]).sections("[log]").start().await;
    let text = std::fs::read_to_string(app.configuration_file()).expect("the configuration");
    let good = [("log", "level = \"warn\""), ("server", "allowed_hosts = [\"mcp.example.com\", \"127.0.0.1\"]")];
    for (section, line, named) in [
        ("database", "statement_timeout_ms = 0", "_timeout_ms"),
        ("plugins", "start_ms = 0", "start_ms"),
        ("plugins.limits", "stack_kib = 1", "stack_kib"),
        ("plugins.limits", "memory_mib = 32", "plugins.limits.memory_mib cannot change while the host runs"),
        ("database", "connections_max = 9", "database.connections_max cannot change while the host runs"),
        ("server", "allowed_origins = [\"nonsense\"]", "server.allowed_origins"),
    ] {
        let (status, answer) = change(&app, &text, &[good[0], good[1], (section, line)]).await;
        assert_eq!(status, StatusCode::CONFLICT, "{line}");
        assert!(answer["error"].as_str().expect("why").contains(named), "{answer}");
        assert_eq!(lists(&app, ("host", "mcp.example.com")).await, StatusCode::FORBIDDEN, "{line}");
        let level = app.operator("GET", "/log-level").send().await.expect("a reply").text().await.expect("a body");
        assert_eq!(level, r#"{"level":"info"}"#, "{line}");
    }
    // A level that is none is found last.
    let (status, answer) = change(&app, &text, &[("log", "level = \"loud=very\""), good[1]]).await;
    assert_eq!((status, answer["error"].as_str().expect("why").contains("log.level")), (StatusCode::CONFLICT, true));
    assert_eq!(lists(&app, ("host", "mcp.example.com")).await, StatusCode::FORBIDDEN);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn plugins_are_judged_anew_by_what_is_granted_and_allowed() {
    let asks =
        pack(&raw_guest("", ""), &raw_manifest("asks", "[limits]\nlog_lines_max = 5000")).await.expect("a plugin");
    let app = TestApp::builder().admin("").plugins(&["noop", "top-products"]).component("asks", asks).start().await;
    let text = std::fs::read_to_string(app.configuration_file()).expect("the configuration");
    let tools = async || app.client("head-office").tool_names().await;
    assert_eq!(tools().await, ["asks", "noop", "top_products"]);

    let (_, answer) = change(&app, &text, &[("plugins.limits", "log_lines_max = 4000")]).await;
    assert_eq!(answer, json!({ "changed": ["plugins.limits.log_lines_max"] }));
    assert_eq!(tools().await, ["noop", "top_products"], "before the answer");
    let refusals = app.app().runtime().refusals();
    assert!(refusals.iter().any(|refusal| refusal.reason.contains("log_lines_max = 5000")), "{refusals:?}");
    assert_eq!(change(&app, &text, &[]).await.0, StatusCode::OK);
    assert_eq!(tools().await, ["asks", "noop", "top_products"]);

    app.write_grants("");
    assert_eq!(reload(&app).await.1, json!({ "changed": [] }));
    assert_eq!(tools().await, ["asks", "noop"], "what lost its grant is gone, what needs none serves");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn operators_change_their_own_token() {
    let app = TestApp::builder().admin("").plugins(&["noop"]).start().await;
    let text = std::fs::read_to_string(app.configuration_file()).expect("the configuration");
    let digest = |token: &str| TokenDigest::of(token).to_hex();
    let other = text.replace(&digest(OPERATOR_TOKEN), &digest("another-operators-token"));
    std::fs::write(app.configuration_file(), other).expect("written");
    assert_eq!(reload(&app).await.1, json!({ "changed": ["admin.token_sha256"] }));
    let before = app.operator("GET", "/health").send().await.expect("a reply");
    assert_eq!(before.status(), StatusCode::UNAUTHORIZED);
    let url = format!("http://{}/health", app.admin_address());
    let after = reqwest::Client::new().get(url).bearer_auth("another-operators-token").send().await.expect("a reply");
    assert_eq!(after.status(), StatusCode::OK);
    app.stop().await;
}

/// The first line of the log, after `from` lines, that says this; and how many lines there are up to it.
async fn line_of(log: &Path, from: usize, message: &str) -> (Value, usize) {
    let wait = async {
        loop {
            let text = std::fs::read_to_string(log).expect("the log");
            let found = text.lines().enumerate().skip(from).find_map(|(at, line)| {
                let line: Value = serde_json::from_str(line).ok()?;
                (line["message"] == message).then_some((line, at + 1))
            });
            match found {
                Some(found) => return found,
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap_or_else(|_| panic!("no line {message:?}"))
}

async fn is_let_in(host: &HostProcess, caller: &str) -> bool {
    let request = host.client(caller).request("tools/call", json!({ "name": "noop" }));
    request.send().await.expect("a reply").status() == StatusCode::OK
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_sighup_is_heard_and_one_that_is_refused_says_why_and_leaves_all_as_it_was() {
    let files = TestApp::builder().plugins(&["noop"]).files().await;
    let host = files.start().await;
    let log = files.folder().join("log/host.log");
    let first = std::fs::read_to_string(files.configuration_file()).expect("the configuration");
    let (before, table) = first.split_once("[callers.seattle-store]\n").expect("the store");
    let after = table.split_once("[callers.").map_or("", |(_, after)| after);
    let without = format!("{before}[callers.{after}");
    std::fs::write(files.configuration_file(), &without).expect("written");
    assert!(is_let_in(&host, "seattle-store").await);
    host.signal("HUP");
    let (line, lines) = line_of(&log, 0, "configuration reloaded").await;
    assert_eq!((&line["level"], &line["detail"]), (&json!("INFO"), &json!("changed: callers.seattle-store")));
    assert!(!is_let_in(&host, "seattle-store").await && is_let_in(&host, "head-office").await);

    // The store back, and a key that needs a restart: neither is taken.
    std::fs::write(files.configuration_file(), with(&first, "server", "sessions_max = 7")).expect("written");
    host.signal("HUP");
    let (line, lines) = line_of(&log, lines, "configuration not reloaded").await;
    assert_eq!(line["level"], "ERROR");
    let why = "nothing was changed: server.sessions_max cannot change while the host runs; restart it, or take the change back";
    assert_eq!(line["detail"], why);
    assert!(!is_let_in(&host, "seattle-store").await && is_let_in(&host, "head-office").await);

    std::fs::write(files.configuration_file(), &first).expect("written");
    host.signal("HUP");
    line_of(&log, lines, "configuration reloaded").await;
    assert!(is_let_in(&host, "seattle-store").await);
    host.signal("TERM");
    assert_eq!(host.ended().await, Some(0));
}

/// A reader of grants that come when the test says so: what looks at them waits.
async fn withheld_grants(path: &Path) -> tokio::net::unix::pipe::Sender {
    let made = std::process::Command::new("mkfifo").arg(path.with_extension("fifo")).status();
    assert!(made.expect("mkfifo").success());
    std::fs::rename(path.with_extension("fifo"), path).expect("in their place");
    let waits = async {
        loop {
            match tokio::net::unix::pipe::OpenOptions::new().open_sender(path) {
                Ok(sender) => return sender,
                // Nobody reads yet.
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waits).await.expect("somebody reads")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_host_that_is_told_to_stop_waits_for_no_plugin_that_is_still_judged() {
    let files = TestApp::builder().plugins(&["noop"]).files().await;
    let host = files.start().await;
    let path = files.folder().join("grants.toml");
    let grants = std::fs::read_to_string(&path).expect("grants");
    // The plugins are judged from now on, until the test ends.
    let _judging = withheld_grants(&path).await;
    std::fs::write(path.with_extension("new"), grants).expect("written");
    std::fs::rename(path.with_extension("new"), &path).expect("in their place");
    host.signal("HUP");
    line_of(&files.folder().join("log/host.log"), 0, "configuration reloaded").await;
    host.signal("TERM");
    assert_eq!(host.ended().await, Some(0));
}
