//! What is kept, what is not, and that it costs the same.
use stockade_db::{DbError, Value};

use super::{COUNT, TTL_S, bed, change, count, stats};
use crate::bed::{Bed, sql, sql_with};

const IDS: &str = "SELECT id, body FROM app.notes WHERE id > $1 ORDER BY id";

/// Stores and bypasses of one statement, asked twice.
async fn twice(bed: &Bed, text: &str, parameters: Vec<Value>, rows_max: u32) -> (u64, u64) {
    let before = stats(&bed.database);
    for _ in 0..2 {
        bed.session("a").query_cached(sql_with(text, parameters.clone()), rows_max, TTL_S).await.unwrap();
    }
    let after = stats(&bed.database);
    (after.stores - before.stores, after.bypasses - before.bypasses)
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_result_from_the_cache_is_the_same_and_costs_the_same() {
    let bed = bed().await;
    let asks = [(IDS, vec![Value::Integer(90)], 10), (IDS, vec![Value::Integer(100)], 0)];
    for (text, parameters, rows) in asks {
        let before = stats(&bed.database);
        let ask = async || {
            let session = bed.session("a");
            let result = session.query_cached(sql_with(text, parameters.clone()), 100, TTL_S).await.unwrap();
            (result, session.usage())
        };
        let (fresh, kept) = (ask().await, ask().await);
        assert_eq!(fresh, kept);
        assert_eq!((fresh.0.row_count, fresh.1.statements, fresh.1.rows), (rows, 1, u64::from(rows)));
        let after = stats(&bed.database);
        assert_eq!((after.stores - before.stores, after.hits - before.hits), (1, 1), "an empty result is kept too");
    }
    // What is left of the budget decides as it does without a cache.
    let cut = async |text: &str| {
        let session = bed.session_with("a", |limits| limits.bytes_max = 60);
        let first = session.query_cached(sql_with(text, vec![Value::Integer(97)]), 100, TTL_S).await.unwrap();
        let second = session.query_cached(sql_with(text, vec![Value::Integer(97)]), 100, TTL_S).await.unwrap();
        (first.row_count, first.truncated, second.row_count, second.truncated, session.usage().rows)
    };
    let uncached = cut("SELECT id, body FROM app.notes WHERE id > $1 AND now() IS NOT NULL ORDER BY id").await;
    assert_eq!(cut(IDS).await, uncached);
    assert!(uncached.3, "{uncached:?}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn several_statements_are_kept_as_one_answer() {
    let bed = bed().await;
    let ask = async || {
        let session = bed.session_with("a", |limits| limits.cache.ttl_s = Some(TTL_S));
        session.query_all(vec![sql(COUNT), sql("SELECT max(id) FROM app.notes")], 10).await.unwrap()
    };
    let before = stats(&bed.database);
    assert_eq!(ask().await, ask().await);
    let after = stats(&bed.database);
    assert_eq!((after.stores - before.stores, after.hits - before.hits), (1, 1));
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn only_what_tables_alone_decide_is_kept() {
    let bed = bed().await;
    change(&bed, "CREATE VIEW app.seen WITH (security_invoker = true) AS SELECT * FROM app.notes; GRANT SELECT ON app.seen TO test_reader").await;
    super::until_count(&bed, "a", 100).await;
    for (text, parameters, rows_max) in [
        ("SELECT now(), id FROM app.notes", vec![], 100),
        ("SELECT id FROM app.notes WHERE random() < 2", vec![], 100),
        ("SELECT id FROM app.notes WHERE body < 'today'", vec![], 100),
        ("SELECT id FROM app.notes WHERE now() > $1::text::timestamptz", vec![Value::Text("yesterday".into())], 100),
        ("SELECT id FROM app.notes WHERE body <> $1", vec![Value::Text("as of now".into())], 100),
        ("SELECT id FROM app.things", vec![], 100),
        ("SELECT n.id FROM app.notes AS n, app.things AS t", vec![], 1_000),
        ("SELECT id FROM app.nearest('[1,0,0]', 0.1, 5)", vec![], 100),
        ("SELECT id FROM app.seen", vec![], 100),
    ] {
        assert_eq!(twice(&bed, text, parameters, rows_max).await, (0, 2), "{text}");
    }
    // Nor what hit a limit, or is large.
    assert_eq!(twice(&bed, "SELECT id FROM app.notes", vec![], 99).await, (0, 0));
    assert_eq!(twice(&bed, "SELECT repeat('x', 70000) FROM app.notes LIMIT 1", vec![], 10).await, (0, 0));
    assert_eq!(twice(&bed, "SELECT id FROM app.notes", vec![], 100).await, (1, 0));
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn nothing_is_kept_unasked_or_for_a_wrong_time() {
    let bed = bed().await;
    let before = stats(&bed.database);
    bed.session("a").query(sql(COUNT), 10).await.unwrap();
    assert_eq!(stats(&bed.database), before, "no policy, no cache");
    for ttl_s in [0, 86_401] {
        let refused = bed.session("a").query_cached(sql(COUNT), 10, ttl_s).await;
        assert!(matches!(refused, Err(DbError::Rejected { code: "ARGUMENT_OUT_OF_RANGE", .. })), "{ttl_s}");
    }
    // Who asks for a fresher one does not get one that is kept for longer.
    count(&bed.session("a")).await;
    let kept = stats(&bed.database);
    bed.session("a").query_cached(sql(COUNT), 10, 1).await.unwrap();
    assert_eq!(stats(&bed.database).misses - kept.misses, 1);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn memory_is_bounded() {
    let bed = bed().await;
    for wide in 0..60 {
        let text = format!("SELECT repeat('x', 30000), {wide} FROM app.notes LIMIT 1");
        bed.session("a").query_cached(sql(&text), 10, TTL_S).await.unwrap();
    }
    let now = stats(&bed.database);
    assert!(now.bytes <= 1 << 20 && now.stores >= 60, "{now:?}");
}
