//! Signals to the real binary.

use std::time::Duration;

use serde_json::json;
use stockade_tests::{HostProcess, TestApp};

/// How long anything here may take.
const WITHIN: Duration = Duration::from_secs(60);

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(WITHIN, wait).await.unwrap_or_else(|_| panic!("not within {WITHIN:?}: {what}"));
}

/// Whether the host has a call under way, as its operators see it.
async fn is_calling(host: &HostProcess) -> bool {
    host.health().await["tenants"]["busy"].as_array().is_some_and(|busy| busy.iter().any(|tenant| tenant["calls"] == 1))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_second_sigterm_ends_the_host_under_a_call_and_its_database_with_it() {
    // To wait for the call would be to end with another code, after the call had ended by itself.
    let builder = TestApp::builder().plugins(&["execute-sales-query"]).admin_socket().server("shutdown_grace_s = 600");
    let builder = builder.database("statement_timeout_ms = 600000").limits("deadline_ms = 600000");
    let files = builder.embedded_files().await;
    let host = files.start().await;
    let endless = json!({"query": "SELECT count(*) AS n FROM generate_series(1, 100000000000) AS s(i)"});
    let params = json!({"name": "execute_sales_query", "arguments": endless});
    let call = tokio::spawn(host.client("head-office").request("tools/call", params).send());
    until("the call is under way", async || is_calling(&host).await).await;
    host.signal("TERM");
    let url = host.url("/healthz");
    until("the first signal is heard", async || reqwest::get(&url).await.is_err()).await;
    assert!(is_calling(&host).await, "and the call is waited for");
    host.signal("TERM");
    assert_eq!(host.ended().await, Some(130));
    assert!(call.await.unwrap().is_err(), "the call was cut off");
    let pid_file = files.folder().join("postgres/cluster/postmaster.pid");
    until("PostgreSQL stops too", async || !pid_file.exists()).await;
}
