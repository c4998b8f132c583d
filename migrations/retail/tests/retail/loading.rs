//! What a load leaves.

use std::sync::Mutex;

use zava_retail::{BoxError, FnEmbedder, LoadOptions, Progress, RetailError, Stage};

use crate::cluster::{connect, count, fingerprints, full, new_database, run};

/// A number that changes when any row of the data does.
const CHECKSUM: &str = "\
    SELECT sum(hashtextextended(t, 0))::text FROM (
      SELECT o::text FROM retail.orders o UNION ALL SELECT i::text FROM retail.order_items i
      UNION ALL SELECT c::text FROM retail.customers c UNION ALL SELECT s::text FROM retail.inventory s
      UNION ALL SELECT p::text FROM retail.products p UNION ALL SELECT e::text FROM retail.product_description_embeddings e
    ) x (t)";

/// Foreign keys and indexes.
const BUILT: &str = "\
    SELECT (SELECT count(*) FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid WHERE c.relnamespace = 'retail'::regnamespace)
      + (SELECT count(*) FROM pg_constraint WHERE connamespace = 'retail'::regnamespace AND contype = 'f')";

const ASIDE: &str = "SELECT count(*) FROM zava_setup.set_aside";

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
fn loading_again_gives_the_same_rows() {
    run(async {
        let url = new_database("zava_twice").await;
        let mut connection = connect(&url).await;
        let built = count(&mut connection, BUILT).await;
        assert_eq!(zava_retail::loaded(&url).await.unwrap(), None);
        let mut sums = Vec::new();
        for _ in 0..2 {
            let info = zava_retail::load(&url, LoadOptions::tests(), &fingerprints(), &|_| {}).await.unwrap();
            assert_eq!(zava_retail::loaded(&url).await.unwrap(), Some(info.clone()));
            assert_eq!((info.customers, info.orders, info.products), (400, 3_000, 424));
            assert_eq!(
                count(&mut connection, "SELECT count(*) FROM retail.order_items").await,
                info.order_items as i64
            );
            assert_eq!(count(&mut connection, BUILT).await, built);
            assert_eq!(count(&mut connection, ASIDE).await, 0);
            sums.push(sqlx::query_scalar::<_, String>(CHECKSUM).fetch_one(&mut connection).await.unwrap());
        }
        assert_eq!(sums[0], sums[1]);
    });
}

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
fn a_load_that_breaks_off_is_made_good_by_the_next() {
    run(async {
        let url = new_database("zava_broken_off").await;
        let mut connection = connect(&url).await;
        let built = count(&mut connection, BUILT).await;
        let failing = FnEmbedder::new("none", |_| async { Err::<Vec<Vec<f32>>, BoxError>("the model is gone".into()) });
        let error = zava_retail::load(&url, LoadOptions::tests(), &failing, &|_| {}).await.unwrap_err();
        assert_eq!(error.to_string(), "the descriptions could not be embedded: the model is gone");
        let short =
            FnEmbedder::new(
                "short",
                |texts: Vec<String>| async move { Ok::<_, BoxError>(vec![vec![1.0; 3]; texts.len()]) },
            );
        let error = zava_retail::load(&url, LoadOptions::tests(), &short, &|_| {}).await.unwrap_err();
        assert!(matches!(error, RetailError::EmbeddingShape { .. }), "{error}");

        assert_eq!(zava_retail::loaded(&url).await.unwrap(), None);
        let lifted = "SELECT count(*) FROM pg_class WHERE relnamespace = 'retail'::regnamespace AND relkind = 'r' AND NOT relforcerowsecurity";
        assert_eq!(count(&mut connection, lifted).await, 0);
        assert!(count(&mut connection, ASIDE).await > 0);

        zava_retail::load(&url, LoadOptions::tests(), &fingerprints(), &|_| {}).await.unwrap();
        assert_eq!(count(&mut connection, BUILT).await, built);
        assert_eq!(count(&mut connection, ASIDE).await, 0);
    });
}

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
fn an_administrator_without_superuser_can_load() {
    run(async {
        let url = new_database("zava_managed_template").await;
        let mut connection = connect(&url).await;
        // What a managed server gives: may make roles and objects, may not bypass row security.
        sqlx::raw_sql(
            "CREATE ROLE managed_administrator LOGIN CREATEROLE CREATEDB;
             GRANT stockade_owner, zava_owner, pg_read_all_settings TO managed_administrator;
             GRANT CONNECT, CREATE, TEMPORARY ON DATABASE zava_managed_template TO managed_administrator;
             GRANT USAGE ON SCHEMA zava_setup TO managed_administrator;
             GRANT EXECUTE ON FUNCTION pg_advisory_lock(bigint) TO managed_administrator",
        )
        .execute(&mut connection)
        .await
        .unwrap();
        let url = url.replace("postgres://postgres@", "postgres://managed_administrator@");
        let info = zava_retail::load(&url, LoadOptions::tests(), &fingerprints(), &|_| {}).await.unwrap();
        assert_eq!(info.orders, 3_000);
        assert_eq!(zava_retail::loaded(&url).await.unwrap(), Some(info));
    });
}

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
fn progress_ends_complete_and_never_goes_back() {
    run(async {
        let url = new_database("zava_progress").await;
        let seen: Mutex<Vec<Progress>> = Mutex::new(Vec::new());
        zava_retail::load(&url, LoadOptions::tests(), &fingerprints(), &|progress| seen.lock().unwrap().push(progress))
            .await
            .unwrap();
        let seen = seen.into_inner().unwrap();
        for stage in
            [Stage::Customers, Stage::Orders, Stage::Inventory, Stage::Embeddings, Stage::Indexes, Stage::Statistics]
        {
            let of_stage: Vec<_> = seen.iter().filter(|progress| progress.stage == stage).collect();
            assert!(of_stage.iter().map(|progress| progress.done).is_sorted(), "{stage:?}");
            let last = of_stage.last().unwrap();
            assert_eq!(last.done, last.total, "{stage:?}");
        }
    });
}

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
fn the_full_data_is_whole() {
    run(async {
        let mut connection = connect(full().await).await;
        for (sql, expected) in [
            ("SELECT count(*) FROM retail.stores", 8),
            ("SELECT count(*) FROM retail.customers", 50_000),
            ("SELECT count(*) FROM retail.orders", 200_000),
            ("SELECT count(*) FROM retail.inventory", 8 * 424),
            ("SELECT count(*) FROM retail.product_description_embeddings", 424),
            // Nothing that contradicts itself.
            (
                "SELECT count(*) FROM retail.order_items WHERE total_amount <> quantity * unit_price - discount_amount",
                0,
            ),
            (
                "SELECT count(*) FROM (SELECT o.total_amount - sum(i.total_amount) AS rest FROM retail.orders o JOIN retail.order_items i USING (order_id) GROUP BY o.order_id) t WHERE rest <> 0",
                0,
            ),
            (
                "SELECT count(*) FROM retail.orders o WHERE NOT EXISTS (SELECT FROM retail.order_items i WHERE i.order_id = o.order_id)",
                0,
            ),
            (
                "SELECT count(*) FROM retail.orders o JOIN retail.customers c USING (customer_id) WHERE o.order_date < c.created_at",
                0,
            ),
            ("SELECT count(*) FROM retail.orders WHERE order_date >= '2026-11-03' OR order_date < '2020-01-01'", 0),
        ] {
            assert_eq!(count(&mut connection, sql).await, expected, "{sql}");
        }
        let items = count(&mut connection, "SELECT count(*) FROM retail.order_items").await;
        assert!((400_000..600_000).contains(&items), "{items}");
    });
}
