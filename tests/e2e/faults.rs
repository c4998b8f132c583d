//! What callers see of a database in trouble, and how long until all is well: a row a fault, printed as the
//! table of `host/README.md`. Every answer that comes is checked. A test binary for itself: the faults
//! are the whole cluster's, so they come one after the other.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what went wrong by panicking"
)]

#[path = "faults/disk.rs"]
mod disk;
#[path = "faults/load.rs"]
mod load;

use std::time::Duration;

use load::Load;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use stockade_tests::{Cluster, TestApp, left_out};

/// How long each fault lasts under load.
const LASTS: Duration = Duration::from_millis(1_500);
const BUSY: &[&str] = &["SERVER_BUSY"];

async fn run(connection: &mut PgConnection, sql: impl Into<String>) {
    sqlx::raw_sql(AssertSqlSafe(sql.into())).execute(connection).await.unwrap();
}

/// Ends every connection of the host to this database.
async fn terminate(admin: &mut PgConnection) {
    run(
        admin,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'stockade_login' AND datname = current_database()",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_database_in_trouble_gives_no_wrong_answer_and_all_is_well_again() {
    let app = TestApp::builder()
        .plugins(&["execute-sales-query", "noop"])
        .database("acquire_timeout_ms = 500\nbreaker_open_ms = 200")
        .start()
        .await;
    let mut admin = app.database.admin().await;
    let name: String = sqlx::query_scalar("SELECT current_database()::text").fetch_one(&mut admin).await.unwrap();

    let load = Load::start(&app).await;
    load.row("none", &[], async { tokio::time::sleep(LASTS).await }).await;

    let row = load.row("a connection is killed every 20 ms", BUSY, async {
        let mut hit = 0;
        for _ in 0..LASTS.as_millis() / 20 {
            hit += terminate_one(&mut admin).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(hit > 0, "no statement was hit");
    });
    row.await;

    let row = load.row("all connections are killed at once", BUSY, async {
        terminate(&mut admin).await;
        tokio::time::sleep(LASTS).await;
    });
    row.await;

    let row = load.row("the server is out of connections", BUSY, async {
        run(&mut admin, format!("ALTER DATABASE {name} CONNECTION LIMIT 0")).await;
        terminate(&mut admin).await;
        tokio::time::sleep(LASTS).await;
        run(&mut admin, format!("ALTER DATABASE {name} CONNECTION LIMIT -1")).await;
    });
    row.await;

    let row = load.row("somebody holds a lock on the table", &["QUERY_TIMEOUT", "SERVER_BUSY"], async {
        let mut transaction = admin.begin().await.unwrap();
        sqlx::raw_sql("LOCK TABLE retail.orders IN ACCESS EXCLUSIVE MODE").execute(&mut *transaction).await.unwrap();
        // The host's statements wait for a lock for a second.
        tokio::time::sleep(LASTS + Duration::from_secs(1)).await;
        transaction.rollback().await.unwrap();
    });
    row.await;

    let cluster = Cluster::get().await;
    if disk::can_be_mounted() {
        disk::of_temporary_files(&app, &load, &mut admin).await;
        disk::of_the_data(&load, &mut admin).await;
        drop(admin);
        disk::of_the_log(&app, &load, cluster).await;
    } else {
        left_out("full disks: no file system may be mounted here");
    }

    let row = load.row("the server is stopped and started", BUSY, async {
        cluster.stop_postgres().await;
        tokio::time::sleep(LASTS).await;
        cluster.start_postgres().await;
    });
    row.await;
    load.stop().await;
    app.stop().await;
}

/// Ends a connection on which a statement runs, where there is one, and says how many.
async fn terminate_one(admin: &mut PgConnection) -> i64 {
    let terminate = "SELECT count(pg_terminate_backend(pid)) FROM
           (SELECT pid FROM pg_stat_activity WHERE usename = 'stockade_login' AND datname = current_database()
            AND state = 'active' ORDER BY random() LIMIT 1) AS one";
    sqlx::query_scalar(terminate).fetch_one(admin).await.unwrap()
}
