//! Search by embedding. Whether it finds what people mean is a matter of the model, tested elsewhere.

use sqlx::Row;
use zava_retail::demo_callers;

use crate::cluster::{Context, connect, count, fingerprint, full, reader, run};

const SEARCH: &str = "SELECT * FROM retail.search_products_by_description($1::float4[]::public.vector, $2, $3)";

const PLUNGER: &str = "Flange Plunger. A fold-out cup that seals any bowl.";

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
fn it_gives_the_nearest_first_down_to_the_threshold() {
    run(async {
        let mut connection = connect(full().await).await;
        let caller = demo_callers().into_iter().find(|caller| caller.key == "tacoma-store").unwrap();
        let mut transaction = reader(&mut connection, caller.reader_role, Some(&Context::from(&caller))).await;
        let rows = sqlx::query(SEARCH)
            .bind(fingerprint(PLUNGER))
            .bind(0.3)
            .bind(10)
            .fetch_all(&mut *transaction)
            .await
            .unwrap();
        assert_eq!(rows[0].get::<&str, _>("product_name"), "Flange Plunger");
        assert_eq!(rows[0].get::<&str, _>("category_name"), "PLUMBING");
        let similarities: Vec<f64> = rows.iter().map(|row| row.get("similarity")).collect();
        assert!(similarities.is_sorted_by(|a, b| a >= b), "{similarities:?}");
        assert!(similarities.iter().all(|similarity| (0.3..=1.0001).contains(similarity)), "{similarities:?}");
        let none = sqlx::query(SEARCH)
            .bind(fingerprint(PLUNGER))
            .bind(1.01)
            .bind(10)
            .fetch_all(&mut *transaction)
            .await
            .unwrap();
        assert!(none.is_empty());
    });
}

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
fn the_index_serves_it_and_a_hundred_are_a_hundred() {
    run(async {
        let mut connection = connect(full().await).await;
        let caller = demo_callers().into_iter().find(|caller| caller.key == "tacoma-store").unwrap();
        let scans = "SELECT coalesce(pg_stat_get_numscans('retail.product_description_embeddings_hnsw'::regclass), 0)";
        let before = count(&mut connection, scans).await;
        let mut transaction = reader(&mut connection, caller.reader_role, Some(&Context::from(&caller))).await;
        // 424 rows are as quickly sorted as looked up: what is tested is that the index can serve.
        sqlx::raw_sql("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
            .execute(&mut *transaction)
            .await
            .unwrap();
        let rows = sqlx::query(SEARCH)
            .bind(fingerprint(PLUNGER))
            .bind(-1.0)
            .bind(100)
            .fetch_all(&mut *transaction)
            .await
            .unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(rows.len(), 100);
        assert_eq!(rows[0].get::<&str, _>("product_name"), "Flange Plunger");
        sqlx::raw_sql("SELECT pg_stat_force_next_flush()").execute(&mut connection).await.unwrap();
        let after = count(&mut connection, scans).await;
        assert_eq!(after, before + 1);
    });
}

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
fn without_a_context_it_finds_nothing() {
    run(async {
        let mut connection = connect(full().await).await;
        let mut transaction = reader(&mut connection, "zava_store_reader", None).await;
        let rows = sqlx::query(SEARCH)
            .bind(fingerprint(PLUNGER))
            .bind(-1.0)
            .bind(10)
            .fetch_all(&mut *transaction)
            .await
            .unwrap();
        assert!(rows.is_empty());
    });
}
