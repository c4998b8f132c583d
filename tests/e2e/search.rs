//! Search by meaning, and the embedding of what is searched.

use std::{path::Path, process::Stdio, time::Duration};

use serde_json::json;
use stockade_tests::{Cluster, PRODUCTS, Responder, TestApp, TestDatabase};
use tokio::process::Command;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_plugin_searches_by_meaning_and_words_with_conditions() {
    let app = TestApp::builder().plugins(&["hybrid"]).start().await;
    let client = app.client("seattle-store");
    let ask = |column: &str, categories: &[&str], price_max: f64| json!({"text": "paint for walls", "column": column, "categories": categories, "price_max": price_max});
    let reply = client.call("hybrid_search", ask("category_name", &["PAINT & FINISHES"], 60.0)).await;
    let found = reply.structured()["products"].as_array().unwrap_or_else(|| panic!("{}", reply.message)).clone();
    assert_eq!(found.len(), 5, "{found:?}");
    for product in &found {
        assert_eq!(product["category_name"], "PAINT & FINISHES", "{product}");
        assert!(product["base_price"].as_f64().unwrap() <= 60.0, "{product}");
    }
    let scores: Vec<f64> = found.iter().map(|product| product["score"].as_f64().unwrap()).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b) && scores[0] <= 2.0 / 61.0 + 1e-9, "{scores:?}");
    // A column that the operator does not list: the plugin is told which ones there are.
    let reply = client.call("hybrid_search", ask("product_name", &["x"], 60.0)).await;
    let error = reply.error();
    assert!(error.starts_with("VALIDATION_ERROR") && error.contains("category_name, base_price, sku"), "{error}");
    app.stop().await;
}

/// What an embedding service gives for one text.
fn vectors(dimension: usize) -> String {
    json!({ "data": [{ "index": 0, "embedding": vec![0.5; dimension] }] }).to_string()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_caller_reads_of_a_failing_embedding_service_that_a_search_may_be_tried_again() {
    let service = Responder::start("500 Internal Server Error", "boom").await;
    let files = TestApp::builder().plugins(&["semantic-search-products", "execute-sales-query"]).files().await;
    // The same model, behind an endpoint.
    let file = files.folder().join("stockade.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let (before, model) = text.split_once("kind = \"candle\"").unwrap();
    let (_, after) = model.split_once("directory = ").unwrap();
    let (_, after) = after.split_once('\n').unwrap();
    let endpoint =
        format!("kind = \"openai\"\nmodel = \"all-MiniLM-L6-v2\"\nurl = \"http://{}/v1\"", service.address());
    std::fs::write(&file, format!("{before}{endpoint}\n{after}")).unwrap();
    let host = files.start().await;
    let client = host.client("seattle-store");
    let search = async || {
        let question = json!({ "query_description": "paint for walls", "similarity_threshold": -1 });
        client.call("semantic_search_products", question).await
    };
    for (status, body, code) in [
        ("500 Internal Server Error", "boom".to_owned(), "SERVER_BUSY"),
        ("401 Unauthorized", "boom".to_owned(), "SERVER_BUSY"),
        ("200 OK", vectors(3), "MCP_ERROR"),
    ] {
        service.answer(status, &body);
        let reply = search().await;
        let error = reply.error();
        assert!(error.starts_with(code), "{status}: {error}");
        assert!(!error.contains("boom") && !error.contains("127.0.0.1") && !error.contains("dimension"), "{error}");
        // Everything else goes on.
        let count = json!({ "query": "SELECT count(*) AS n FROM retail.orders" });
        let reply = client.call("execute_sales_query", count).await;
        assert!(reply.structured()["rows"][0][0].as_i64().unwrap() > 0, "{status}");
    }
    service.answer("200 OK", &vectors(384));
    let reply = search().await;
    assert_eq!(reply.structured()["products"].as_array().unwrap().len(), 20, "well again with the first right answer");
    host.signal("TERM");
    assert_eq!(host.ended().await, Some(0));
}

/// The configuration that `stockade embed` needs.
fn configuration(folder: &Path, database: &TestDatabase, model: &Path) -> std::path::PathBuf {
    let readers = zava_retail::READER_ROLES.map(|role| format!("\"{role}\"")).join(", ");
    let text = format!(
        "[database]\nurl = \"{}\"\nreader_roles = [{readers}]\nsearch_path = [\"retail\", \"public\"]\n\
         context_key_file = \"{}\"\n[plugins]\ndirectory = \"plugins\"\ngrants_file = \"grants.toml\"\n\
         [embedders.minilm]\nkind = \"candle\"\nmodel = \"all-MiniLM-L6-v2\"\ndirectory = \"{}\"\n\
         [collections.products]\n{PRODUCTS}\n",
        database.login_url,
        database.context_key_file.display(),
        model.display(),
    );
    let file = folder.join("stockade.toml");
    std::fs::write(&file, text).unwrap();
    file
}

/// Products, all of them embedded at first, and those whose embedding the test takes away.
const ALL: i64 = 424;
const TAKEN: i64 = 96;

async fn embedded(database: &TestDatabase) -> i64 {
    database.count("product_description_embeddings").await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn embedding_that_is_killed_half_way_is_gone_on_with() {
    let cluster = Cluster::get().await;
    let database = cluster.database().await;
    sqlx::query(
        "DELETE FROM retail.product_description_embeddings WHERE product_id IN
           (SELECT product_id FROM retail.product_description_embeddings LIMIT $1)",
    )
    .bind(TAKEN)
    .execute(&mut database.admin().await)
    .await
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = configuration(folder.path(), &database, &cluster.environment().model);
    // Beside this test's own folder; `cargo test --workspace` builds it.
    let binary = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("stockade");
    let embed = || {
        let mut command = Command::new(&binary);
        command.args(["embed", "--collection", "products", "--batch-rows", "8", "--admin-url", &database.admin_url]);
        command.arg("--config").arg(&file).stdin(Stdio::null()).kill_on_drop(true);
        command
    };
    let mut killed = embed().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let waiting = async {
        while embedded(&database).await < ALL - TAKEN + 16 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), waiting).await.expect("rows are embedded");
    killed.kill().await.unwrap();
    // What the server had begun for it, it ends; then the lock is free.
    let output = loop {
        let output = embed().output().await.unwrap();
        if !String::from_utf8_lossy(&output.stderr).contains("is at work") {
            break output;
        }
    };
    let (said, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{log}");
    let began = log.lines().find_map(|line| line.strip_prefix("embedded 0 of ")?.strip_suffix(" rows")?.parse().ok());
    let left: i64 = began.unwrap_or_else(|| panic!("{log}"));
    println!("killed after {} of {TAKEN} rows; then: {said}", TAKEN - left);
    assert!(left < TAKEN && (TAKEN - left) % 8 == 0, "whole batches were kept: {left} were left");
    let summary = format!("embedded {left} rows of products with all-MiniLM-L6-v2");
    assert!(said.contains(&summary) && said.contains("424 rows are current"), "{said}");
    assert_eq!(embedded(&database).await, ALL);
}
