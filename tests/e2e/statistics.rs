//! How long statements take, as operators see it.

use std::time::Duration;

use serde_json::{Value, json};
use stockade_tests::{Log, TestApp, stockade};

async fn statistics(app: &TestApp) -> Value {
    app.operator("GET", "/stats").send().await.expect("a reply").json().await.expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn statements_are_counted_by_form_and_the_slow_ones_logged_without_their_values() {
    let log = Log::keep();
    let settings = "slow_statement_ms = 1\nslow_statement_plan = true";
    let app = TestApp::builder().admin("").database(settings).plugins(&["execute-sales-query"]).start().await;
    let client = app.client("head-office");
    for literal in ["canary-one", "canary-two", "canary-three"] {
        let query =
            format!("SELECT count(*) AS n FROM generate_series(1, 200000) AS g(i) WHERE g.i::text <> '{literal}'");
        client.call("execute_sales_query", json!({ "query": query })).await.structured();
    }
    let failing = json!({ "query": "SELECT 1 / (count(*) - count(*)) AS n FROM generate_series(1, 10) AS g(i)" });
    client.call("execute_sales_query", failing).await.error();

    let seen = statistics(&app).await;
    let (tool, tenant) = (&seen["tools"]["top"][0], &seen["tenants"]["top"][0]);
    assert_eq!(
        (&tool["name"], &tenant["name"]),
        (&json!("execute_sales_query"), &json!(zava_retail::TENANT)),
        "{seen:#}"
    );
    assert_eq!((&tool["count"], &tool["failed"], &tool["rows"]), (&json!(4), &json!(1), &json!(3)), "{seen:#}");
    let slowest = &seen["statements"]["top"][0];
    assert_eq!(
        (&slowest["count"], &slowest["slow"], &slowest["failed"]),
        (&json!(3), &json!(3), &json!(0)),
        "{seen:#}"
    );
    let form = "select count (*) as n from generate_series (?) as g (i) where g.i::text <> ?";
    assert!(slowest["text"].as_str().expect("a text").contains(form), "{slowest:#}");
    let of = |key: &str| slowest[key].as_f64().expect("a time");
    assert!(
        of("min_ms") > 0.0
            && of("min_ms") <= of("p50_ms")
            && of("p50_ms") <= of("p99_ms")
            && of("p99_ms") <= of("max_ms")
    );

    let fingerprint = slowest["name"].as_str().expect("a fingerprint");
    let plan = async {
        loop {
            let lines = log.containing(fingerprint);
            if let Some(line) = lines.iter().find(|line| line["message"] == "plan of a slow statement") {
                return line["plan"].as_str().expect("a plan").to_owned();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let plan = tokio::time::timeout(Duration::from_secs(10), plan).await.expect("a plan in the log");
    assert!(plan.contains("Function Scan on generate_series") && plan.contains("<> '?'"), "{plan}");
    let lines = log.containing(fingerprint);
    let slow: Vec<_> = lines.iter().filter(|line| line["message"] == "slow statement").collect();
    assert_eq!(slow.len(), 3);
    assert_eq!((&slow[0]["tool"], &slow[0]["rows"]), (&json!("execute_sales_query"), &json!(1)));
    assert!(slow[0]["request_id"].as_str().is_some_and(|id| id.len() == 36), "{}", slow[0]);
    assert!(!log.containing("canary-").iter().any(|line| line.to_string().contains(fingerprint)));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn the_command_shows_what_a_running_host_counts() {
    let app = TestApp::builder().admin_socket().plugins(&["execute-sales-query"]).start().await;
    app.client("head-office").call("execute_sales_query", json!({ "query": "SELECT 7 AS seven" })).await.structured();
    let run = async |arguments: &[&str], token: &str| {
        let mut command = stockade();
        command.args(arguments).arg("--config").arg(app.configuration_file()).env("STOCKADE_ADMIN_TOKEN", token);
        command.output().await.expect("the command runs")
    };
    let shown = run(&["stats"], stockade_tests::OPERATOR_TOKEN).await;
    let text = String::from_utf8(shown.stdout).expect("text");
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    assert!(text.contains("execute_sales_query") && text.contains("select ? as seven"), "{text}");
    let json: Value =
        serde_json::from_slice(&run(&["stats", "--json"], stockade_tests::OPERATOR_TOKEN).await.stdout).expect("JSON");
    assert_eq!(json["tools"]["top"][0]["count"], 1);
    let health = run(&["health"], stockade_tests::OPERATOR_TOKEN).await;
    assert_eq!(serde_json::from_slice::<Value>(&health.stdout).expect("JSON")["status"], "ready");
    let refused = run(&["stats"], "wrong").await;
    assert!(!refused.status.success() && refused.stdout.is_empty());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("does not know this operators' token"));
    app.stop().await;
}
