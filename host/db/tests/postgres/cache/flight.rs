//! Many who ask the same at the same time.
use sqlx::Connection;
use tokio::task::JoinSet;

use super::{COUNT, TTL_S, bed, number, stats, until};
use crate::bed::{Bed, sql};

/// Statements on `app.notes` wait until the transaction is rolled back.
async fn locked(bed: &Bed) -> sqlx::PgConnection {
    let mut connection = sqlx::PgConnection::connect(&bed.admin_url).await.unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE app.notes").execute(&mut connection).await.unwrap();
    connection
}

async fn release(mut lock: sqlx::PgConnection) {
    sqlx::raw_sql("ROLLBACK").execute(&mut lock).await.unwrap();
}

/// How often a statement has read `app.notes`. The server counts when its sessions end.
async fn scans(bed: &Bed) -> i64 {
    bed.database.close().await;
    let left = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'test_login'";
    while sqlx::query_scalar::<_, i64>(left).fetch_one(&bed.admin).await.unwrap() > 0 {
        tokio::task::yield_now().await;
    }
    let scans = "SELECT seq_scan + coalesce(idx_scan, 0) FROM pg_stat_user_tables WHERE relid = 'app.notes'::regclass";
    sqlx::query_scalar(scans).fetch_one(&bed.admin).await.unwrap()
}

fn ask(bed: &Bed, tasks: &mut JoinSet<i64>) -> tokio::task::AbortHandle {
    let session = bed.session("a");
    tasks.spawn(async move {
        let answer = session.query_cached(sql(COUNT), 10, TTL_S).await;
        number(&answer.unwrap_or_else(|error| panic!("{}", error.for_log())))
    })
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_hundred_identical_calls_run_one_statement() {
    let bed = bed().await;
    let lock = locked(&bed).await;
    let before = stats(&bed.database);
    let mut tasks = JoinSet::new();
    for _ in 0..100 {
        ask(&bed, &mut tasks);
    }
    until(&bed.database, |now| now.joins - before.joins == 99).await;
    release(lock).await;
    assert_eq!(tasks.join_all().await, [100; 100]);
    let after = stats(&bed.database);
    assert_eq!((after.misses - before.misses, after.stores - before.stores), (1, 1));
    // Each of the bed's own looks was one statement too.
    let of_the_bed = before.misses + before.bypasses;
    assert_eq!(scans(&bed).await, i64::try_from(of_the_bed).unwrap() + 1);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn where_the_first_is_cancelled_another_takes_over() {
    let bed = bed().await;
    let lock = locked(&bed).await;
    let before = stats(&bed.database);
    let mut tasks = JoinSet::new();
    let first = ask(&bed, &mut tasks);
    until(&bed.database, |now| now.misses - before.misses == 1).await;
    for _ in 0..3 {
        ask(&bed, &mut tasks);
    }
    until(&bed.database, |now| now.joins - before.joins == 3).await;
    first.abort();
    until(&bed.database, |now| now.misses - before.misses == 2).await;
    release(lock).await;
    let mut answers = Vec::new();
    while let Some(answer) = tasks.join_next().await {
        answers.extend(answer.ok());
    }
    assert_eq!(answers, [100; 3]);
    assert_eq!(stats(&bed.database).stores - before.stores, 1);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn where_the_first_fails_each_asks_for_itself() {
    let bed = bed().await;
    let lock = locked(&bed).await;
    let before = stats(&bed.database);
    let mut tasks = JoinSet::new();
    for _ in 0..5 {
        let session = bed.session("a");
        tasks.spawn(async move {
            session.query_cached(sql("SELECT 1 / (id - id) FROM app.notes"), 1, TTL_S).await.is_err()
        });
    }
    until(&bed.database, |now| now.joins - before.joins == 4).await;
    release(lock).await;
    assert_eq!(tasks.join_all().await, [true; 5]);
    assert_eq!(stats(&bed.database).stores, before.stores, "an error is not kept");
}
