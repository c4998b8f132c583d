//! Connections are shared between tenants, and between cursors and queries.
use sqlx::AssertSqlSafe;
use stockade_db::DbError;

use crate::bed::{Bed, sql};

const NOTES: &str = "SELECT id FROM app.notes";

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn one_tenants_cursors_leave_connections_to_their_own_queries_and_to_others() {
    // Two of a tenant's three are for cursors.
    let bed = Bed::with(|config| {
        config.connections_max = 4;
        config.connections_per_tenant_max = Some(3);
        config.acquire_timeout_ms = 1_000;
    })
    .await;
    let sessions = [bed.session("a"), bed.session("a"), bed.session("a")];
    let mut first = sessions[0].open(sql(NOTES)).await.unwrap();
    let _second = sessions[1].open(sql(NOTES)).await.unwrap();
    let refused = sessions[2].open(sql(NOTES)).await;
    assert!(matches!(refused, Err(DbError::Timeout { code: "TENANT_BUSY" })), "a third cursor");
    // Calls with an open cursor go on querying, all at once, and do not wait for each other's cursors.
    let (one, two) = tokio::join!(sessions[0].query(sql(NOTES), 1), sessions[1].query(sql(NOTES), 1));
    assert_eq!((one.unwrap().row_count, two.unwrap().row_count), (1, 1));
    let other = bed.session("b");
    let _others = other.open(sql(NOTES)).await.unwrap();
    assert_eq!(other.query(sql(NOTES), 1).await.unwrap().row_count, 1);
    // All cursors together leave one connection: another tenant's waits.
    assert!(matches!(bed.session("c").open(sql(NOTES)).await, Err(DbError::Timeout { code: "TENANT_BUSY" })));
    assert_eq!(bed.session("c").query(sql("SELECT 1"), 1).await.unwrap().row_count, 1);
    // A place that came free is taken.
    while first.fetch(1_000).await.unwrap().truncated {}
    sessions[2].open(sql(NOTES)).await.unwrap();
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn an_empty_result_costs_its_own_callers_connections_only() {
    let bed = Bed::with(|config| config.connections_max = 1).await;
    let session = bed.session("a");
    session.query(sql("SELECT 1"), 1).await.unwrap();
    // No connection can be opened any more, and those for control are gone: only the pool's is left.
    let name = &bed.name;
    sqlx::raw_sql(AssertSqlSafe(format!(
        "ALTER DATABASE {name} CONNECTION LIMIT 0;
         SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND application_name = 'stockade control'"
    )))
    .execute(&bed.admin)
    .await
    .unwrap();
    let empty = session.query(sql("SELECT id, body FROM app.notes WHERE id < 0;"), 10).await.unwrap();
    let names: Vec<&str> = empty.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!((names, empty.row_count, empty.truncated), (vec!["id", "body"], 0, false));
}
