//! Thirty questions, none of which names what it needs.

use serde_json::json;
use stockade_tests::TestApp;

/// Of thirty, in the first five products. Measured: see the test's output.
const HITS_MIN: usize = 24;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn questions_find_what_they_mean() {
    let app = TestApp::start().await;
    let client = app.client("seattle-store");
    let mut admin = app.database.admin().await;
    let mut hits = 0;
    let questions = zava_retail::questions();
    assert_eq!(questions.len(), 30);
    for question in &questions {
        let arguments = json!({"query_description": question.question, "max_rows": 5, "similarity_threshold": -1.0});
        let reply = client.call("semantic_search_products", arguments).await;
        let products = reply.structured()["products"].as_array().unwrap();
        let skus: Vec<String> = products.iter().map(|p| p["sku"].as_str().unwrap().to_owned()).collect();
        let hit: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM retail.products JOIN retail.product_types USING (type_id)
             WHERE sku = ANY ($1) AND type_name = $2)",
        )
        .bind(&skus)
        .bind(question.type_name)
        .fetch_one(&mut admin)
        .await
        .unwrap();
        hits += usize::from(hit);
        println!("{} {} -> {}", if hit { "hit " } else { "miss" }, question.question, question.type_name);
    }
    println!("semantic search: {hits} of {} questions found their product type in the first five", questions.len());
    assert!(hits >= HITS_MIN, "{hits} hits");
    app.stop().await;
}
