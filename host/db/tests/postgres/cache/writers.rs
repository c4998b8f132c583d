//! What watching costs those who write.
use sqlx::{Connection, PgConnection};

use super::bed;
use crate::bed::Bed;

async fn writer(bed: &Bed, begin: &'static str) -> PgConnection {
    let mut connection = PgConnection::connect(&bed.admin_url).await.unwrap();
    // Whoever had to wait for another's commit would fail.
    sqlx::raw_sql("SET lock_timeout = '3s'").execute(&mut connection).await.unwrap();
    run(&mut connection, begin).await;
    connection
}

async fn run(connection: &mut PgConnection, sql: &'static str) {
    sqlx::raw_sql(sql).execute(connection).await.unwrap();
}

const TWO_TABLES: &str = "CREATE TABLE app.more (id int); SELECT stockade.watch('app.more')";

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn writers_of_one_table_never_wait_for_each_other() {
    let bed = bed().await;
    super::change(&bed, TWO_TABLES).await;
    let (notes, more) = (
        "INSERT INTO app.notes SELECT max(id) + 1000 + pg_backend_pid(), 'a' FROM app.notes",
        "INSERT INTO app.more VALUES (1)",
    );
    for begin in ["BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ", "BEGIN ISOLATION LEVEL SERIALIZABLE"] {
        let mut one = writer(&bed, begin).await;
        let mut two = writer(&bed, begin).await;
        // Crosswise: one row a table would be a deadlock.
        run(&mut one, more).await;
        run(&mut two, "UPDATE app.notes SET body = 'y' WHERE id = 150").await;
        run(&mut one, "UPDATE app.notes SET body = 'x' WHERE id = 1").await;
        run(&mut two, more).await;
        run(&mut one, "COMMIT").await;
        run(&mut two, "COMMIT").await;
    }
    let mut one = writer(&bed, "BEGIN").await;
    for _ in 0..3 {
        run(&mut one, notes).await;
    }
    run(&mut one, "COMMIT").await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_version_never_returns_and_its_table_stays_small() {
    let bed = bed().await;
    let version = async || -> String {
        let version = "SELECT version FROM stockade.table_versions WHERE relation = 'app.notes'::regclass::oid::int8";
        sqlx::query_scalar(version).fetch_optional(&bed.admin).await.unwrap().unwrap_or_default()
    };
    let mut seen = std::collections::HashSet::from([version().await]);
    for number in 0..50 {
        super::change(&bed, &format!("UPDATE app.notes SET body = '{number}' WHERE id = 1")).await;
        assert!(seen.insert(version().await), "a version came twice");
        super::change(&bed, "BEGIN; DELETE FROM app.notes; ROLLBACK").await;
        assert!(!seen.insert(version().await), "what was rolled back changed nothing");
        // The statement's own savepoint, taken back, leaves the outer change standing.
        super::change(&bed, "BEGIN; SAVEPOINT s; DELETE FROM app.notes; ROLLBACK TO s; UPDATE app.notes SET body = 'z' WHERE id = 2; COMMIT").await;
        assert!(seen.insert(version().await), "a change behind a rolled back savepoint");
    }
    let rows: i64 =
        sqlx::query_scalar("SELECT count(*) FROM stockade.table_changes WHERE relation = 'app.notes'::regclass")
            .fetch_one(&bed.admin)
            .await
            .unwrap();
    assert!(rows <= 2, "{rows} rows");
}
