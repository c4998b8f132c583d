//! Time, and what happens when it runs out.
use std::time::Duration;

use stockade_db::{ColumnValues, DbError};
use tokio::time::Instant;

use crate::bed::{Bed, sql};

/// Runs for minutes when nobody stops it.
pub(crate) const ENDLESS: &str =
    "SELECT count(*) FROM generate_series(1, 100000) AS a, generate_series(1, 1000000) AS b";

async fn active(bed: &Bed) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM pg_stat_activity WHERE usename = 'test_login' AND datname = current_database() AND application_name = 'stockade' AND state <> 'idle'")
        .fetch_one(&bed.admin).await.unwrap()
}

pub(crate) async fn until_active_is(bed: &Bed, wanted: i64) {
    let waiting = async {
        while active(bed).await != wanted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting)
        .await
        .unwrap_or_else(|_| panic!("expected {wanted} active statements"));
}

/// Callers' statements whose rows are being fetched.
pub(crate) async fn fetching(bed: &Bed) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM pg_stat_activity WHERE usename = 'test_login' AND datname = current_database() AND state = 'active' AND query LIKE 'FETCH%'")
        .fetch_one(&bed.admin).await.unwrap()
}

pub(crate) async fn until_fetching(bed: &Bed) {
    let waiting = async {
        while fetching(bed).await == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("a fetch");
}

async fn backend(bed: &Bed) -> i64 {
    // The process that serves the pool's one connection.
    sqlx::query_scalar::<_, i32>("SELECT pid FROM pg_stat_activity WHERE usename = 'test_login' AND datname = current_database() AND application_name = 'stockade' ORDER BY backend_start DESC LIMIT 1")
        .fetch_one(&bed.admin).await.unwrap().into()
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_dropped_future_cancels_its_statement_and_its_connection_never_comes_back() {
    let bed = Bed::with(|config| config.connections_max = 1).await;
    let session = bed.session("a");
    session.query(sql("SELECT 1"), 1).await.unwrap();
    let before = backend(&bed).await;
    {
        let query = session.query(sql(ENDLESS), 1);
        tokio::pin!(query);
        tokio::select! {
            result = &mut query => panic!("ended by itself: {result:?}"),
            () = until_active_is(&bed, 1) => {}
        }
    }
    until_active_is(&bed, 0).await;
    // The one place in the pool is free again, and another connection sits in it.
    let result = bed.session("b").query(sql("SELECT count(*) FROM app.notes"), 1).await.unwrap();
    assert_eq!(result.columns[0].values, ColumnValues::Integers(vec![100]));
    assert_ne!(backend(&bed).await, before, "a dirty connection was used again");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_dropped_cursor_leaves_nothing_behind() {
    let bed = Bed::with(|config| config.connections_max = 1).await;
    let session = bed.session("a");
    let mut cursor = session.open(sql("SELECT id FROM app.notes")).await.unwrap();
    cursor.fetch(1).await.unwrap();
    assert_eq!(active(&bed).await, 1, "idle in transaction");
    drop(cursor);
    until_active_is(&bed, 0).await;
    let mut cursor = session.open(sql(ENDLESS)).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(200), cursor.fetch(1)).await.is_err());
    until_active_is(&bed, 0).await;
    assert!(matches!(cursor.fetch(1).await, Err(DbError::Rejected { code: "CURSOR_CLOSED", .. })));
    assert_eq!(session.query(sql("SELECT 1"), 1).await.unwrap().row_count, 1);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_statement_has_its_time_and_no_more() {
    let bed = Bed::with(|config| config.statement_timeout_ms = 200).await;
    let error = bed.session("a").query(sql(ENDLESS), 1).await.unwrap_err();
    assert!(matches!(error, DbError::Timeout { code: "STATEMENT_TIMEOUT" }), "{error:?}");
    assert_eq!(bed.session("a").query(sql("SELECT 1"), 1).await.unwrap().row_count, 1);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn the_calls_deadline_ends_its_statement() {
    let bed = Bed::new().await;
    let deadline = Instant::now() + Duration::from_millis(300);
    let session = bed.session_with("a", |limits| limits.deadline = deadline);
    let error = session.query(sql(ENDLESS), 1).await.unwrap_err();
    assert!(matches!(error, DbError::Timeout { code: "CALL_DEADLINE" }), "whoever ends it: {error:?}");
    until_active_is(&bed, 0).await;
    tokio::time::sleep_until(deadline).await;
    let error = session.query(sql("SELECT 1"), 1).await.unwrap_err();
    assert!(matches!(error, DbError::Timeout { code: "CALL_DEADLINE" }), "{error:?}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_connection_that_the_server_closed_is_replaced() {
    let bed = Bed::with(|config| config.connections_max = 1).await;
    let session = bed.session("a");
    session.query(sql("SELECT 1"), 1).await.unwrap();
    sqlx::raw_sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'test_login' AND datname = current_database()")
        .execute(&bed.admin).await.unwrap();
    assert_eq!(session.query(sql("SELECT 1"), 1).await.unwrap().row_count, 1);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_full_pool_says_so() {
    let bed = Bed::with(|config| {
        config.connections_max = 1;
        config.acquire_timeout_ms = 1_000;
    })
    .await;
    let session = bed.session("a");
    let _held = session.open(sql("SELECT id FROM app.notes")).await.unwrap();
    for (tenant, code) in [("a", "TENANT_BUSY"), ("b", "POOL_TIMEOUT")] {
        let error = bed.session(tenant).query(sql("SELECT 1"), 1).await.unwrap_err();
        assert!(matches!(error, DbError::Timeout { code: found } if found == code), "{tenant}: {error:?}");
    }
}
