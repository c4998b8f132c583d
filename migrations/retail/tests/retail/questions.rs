//! Whether search finds what people mean, with the demo's model.

use std::path::PathBuf;
use std::sync::Arc;

use sqlx::{PgConnection, Row};
use stockade_db::EmbedderConfig;
use zava_retail::{BoxError, FnEmbedder, LoadOptions, demo_callers, questions};

use crate::cluster::{Context, connect, new_database, reader, run, say};

/// The folder with the model, which `cargo xtask test` has found or fetched.
const MODEL_DIR: &str = "STOCKADE_MODEL_DIR";

/// Products looked at.
const TOP: i32 = 5;

/// Questions of the thirty that must be answered: one less than are. It guards what there is; the rate
/// itself is what the test prints.
const HITS_MIN: usize = 26;

fn model() -> Arc<dyn stockade_db::Embedder> {
    let directory = std::env::var_os(MODEL_DIR).filter(|value| !value.is_empty()).map(PathBuf::from);
    let directory = directory.expect("STOCKADE_MODEL_DIR names the folder of the model; cargo xtask test sets it");
    stockade_db::embedder(&EmbedderConfig::Candle {
        model: "all-MiniLM-L6-v2".to_owned(),
        directory,
        concurrency_max: 2,
        cache_bytes_max: 0,
    })
    .unwrap()
}

/// Types and categories of the first products, nearest first.
async fn nearest(connection: &mut PgConnection, embedding: &[f32]) -> Vec<(String, String, String)> {
    sqlx::query(
        "SELECT s.product_name, t.type_name, s.category_name
         FROM retail.search_products_by_description($1::float4[]::public.vector, 0, $2) s
         JOIN retail.products p USING (product_id) JOIN retail.product_types t USING (type_id) ORDER BY s.similarity DESC",
    )
    .bind(embedding)
    .bind(TOP)
    .fetch_all(connection)
    .await
    .unwrap()
    .into_iter()
    .map(|row| (row.get(0), row.get(1), row.get(2)))
    .collect()
}

#[test]
#[ignore = "needs PostgreSQL and the model: cargo xtask test"]
fn questions_find_what_they_mean() {
    run(async {
        let url = new_database("zava_questions").await;
        let model = model();
        let embedder = FnEmbedder::new("all-MiniLM-L6-v2", |texts: Vec<String>| {
            let model = Arc::clone(&model);
            async move { model.embed(&texts).await.map_err(|error| BoxError::from(error.for_log())) }
        });
        zava_retail::load(&url, LoadOptions::tests(), &embedder, &|_| {}).await.unwrap();
        let mut connection = connect(&url).await;
        let caller = demo_callers().into_iter().find(|caller| caller.key == "spokane-store").unwrap();
        let mut transaction = reader(&mut connection, caller.reader_role, Some(&Context::from(&caller))).await;

        let asked = questions();
        let texts: Vec<String> = asked.iter().map(|question| question.question.to_owned()).collect();
        let embeddings = model.embed(&texts).await.unwrap();
        let mut hits = 0;
        for (question, embedding) in asked.iter().zip(&embeddings) {
            let found = nearest(&mut transaction, embedding).await;
            let hit = found.iter().any(|(_, type_name, _)| type_name == question.type_name);
            hits += usize::from(hit);
            if !hit {
                say(&format!("missed: {:?} wants {}, found {found:?}", question.question, question.type_name));
            }
        }
        say(&format!("{hits} of {} questions are answered among the first {TOP} products", asked.len()));
        assert!(hits >= HITS_MIN, "{hits} of {}", asked.len());

        let leak = model.embed(&["stop water leaking under the sink".to_owned()]).await.unwrap();
        let found = nearest(&mut transaction, &leak[0]).await;
        assert!(found.iter().all(|(_, _, category)| category == "PLUMBING"), "{found:?}");
    });
}
