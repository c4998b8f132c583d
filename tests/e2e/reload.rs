//! Another configuration while the host runs.

use reqwest::StatusCode;
use serde_json::{Value, json};
use stockade_tests::{OPERATOR_TOKEN, TestApp, stockade};

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
    std::fs::write(app.grants_file(), "nonsense").expect("written");
    assert_eq!(reload(&app).await.0, StatusCode::CONFLICT);
    assert!(!may_call(&app, "seattle-store").await);
    std::fs::write(app.grants_file(), grants).expect("written");
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
    std::fs::write(app.configuration_file(), text.replacen("[server]\n", "[server]\ncalls_max = 9\n", 1))
        .expect("written");
    let refused = run().await;
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("server.calls_max cannot change while the host runs"));
    app.stop().await;
}
