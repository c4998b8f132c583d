//! Hostile SQL: first as a plugin sends it, then with the guard taken away, as the reader role alone.
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use stockade_db::{ColumnValues, DbError, SqlScope};

use crate::bed::{Bed, sql, url};

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn the_guard_keeps_to_the_granted_schemas() {
    let bed = Bed::new().await;
    let session = bed.session("a");
    for text in [
        "SELECT * FROM other.secrets",
        "SELECT * FROM shadow",
        "SELECT * FROM public.shadow",
        "TABLE other.secrets",
        "SELECT (SELECT id FROM other.secrets)",
        "SELECT * FROM pg_class",
        "SELECT * FROM pg_catalog.pg_authid",
        "SELECT * FROM information_schema.tables",
        "WITH shadow AS (SELECT * FROM shadow) SELECT * FROM shadow",
        "WITH x AS (SELECT 1) SELECT * FROM x UNION ALL SELECT id FROM other.secrets",
        "SELECT * FROM stockade.context_keys",
        "SELECT 'other.secrets'::regclass",
    ] {
        let error = session.query(sql(text), 1).await.unwrap_err();
        assert!(matches!(error, DbError::Forbidden { .. }), "{text}: {}", error.for_log());
        assert!(!error.to_string().contains("secrets"), "{error}");
    }
    for text in [
        "SELECT stockade.claims()",
        "SELECT pg_sleep(1)",
        "SELECT set_config('a.b', 'c', false)",
        "SELECT * FROM ts_stat('SELECT 1')",
    ] {
        let error = session.query(sql(text), 1).await.unwrap_err();
        assert!(
            matches!(error, DbError::Rejected { code: "SQL_FUNCTION_NOT_ALLOWED", .. }),
            "{text}: {}",
            error.for_log()
        );
    }
    for text in [
        "SELECT * FROM notes LIMIT 1",
        "WITH shadow AS (SELECT 1 AS id) SELECT * FROM shadow",
        "TABLE notes",
        "SELECT lower(body), count(*) OVER (PARTITION BY tenant) FROM app.notes LIMIT 1",
        "SELECT embedding <=> '[1,0,0]' AS d FROM things ORDER BY 1",
        "SELECT * FROM app.nearest('[1,0,0]', 0, 5)",
        "SELECT * FROM nearest('[1,0,0]'::vector, 0, 5)",
    ] {
        session.query(sql(text), 10).await.unwrap_or_else(|error| panic!("{text}: {}", error.for_log()));
    }
    let catalogue = bed.session_with("a", |limits| {
        let schemas = ["app", "pg_catalog"].map(str::to_owned).into();
        limits.sql = std::sync::Arc::new(SqlScope { schemas, ..SqlScope::default() });
    });
    catalogue
        .query(
            sql("SELECT relname, obj_description(oid, 'pg_class') FROM pg_class WHERE oid = 'app.notes'::regclass"),
            10,
        )
        .await
        .unwrap_or_else(|error| panic!("{}", error.for_log()));
    // A table alone: nothing else of its schema.
    let session = bed.session_with("a", |limits| {
        let tables = ["app.notes".to_owned().try_into().unwrap()].into();
        limits.sql = std::sync::Arc::new(SqlScope { tables, ..SqlScope::default() });
    });
    for text in ["SELECT id FROM notes", "SELECT id FROM app.notes"] {
        session.query(sql(text), 1).await.unwrap_or_else(|error| panic!("{text}: {}", error.for_log()));
    }
    for text in ["SELECT id FROM things", "SELECT id FROM notes UNION SELECT id FROM app.things"] {
        let error = session.query(sql(text), 1).await.unwrap_err();
        assert!(matches!(error, DbError::Forbidden { code: "TABLE_NOT_GRANTED", .. }), "{text}: {}", error.for_log());
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_table_made_later_in_an_ungranted_schema_is_not_reached() {
    let bed = Bed::new().await;
    sqlx::raw_sql("CREATE TABLE public.late (id int); GRANT SELECT ON public.late TO test_reader")
        .execute(&bed.admin)
        .await
        .unwrap();
    let error = bed.session("a").query(sql("SELECT * FROM late"), 1).await.unwrap_err();
    assert!(
        matches!(&error, DbError::Statement { sqlstate, .. } if sqlstate == "42P01")
            || matches!(error, DbError::Forbidden { .. }),
        "{}",
        error.for_log()
    );
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn the_role_and_the_protocol_hold_without_the_guard() {
    let bed = Bed::new().await;
    for text in [
        "SELECT set_config('stockade.context', 'x', false)",
        "SELECT set_config('role', 'postgres', false)",
        "SELECT * FROM stockade.context_keys",
        "SELECT pg_sleep(1)",
        "SELECT pg_advisory_lock(1)",
        "SELECT pg_notify('a', 'b')",
        "SELECT * FROM ts_stat('SELECT to_tsvector(body) FROM app.notes')",
        "SELECT query_to_xml('SELECT 1', true, true, '')",
        "SELECT lo_from_bytea(0, 'x')",
        "SELECT * FROM pg_stat_activity",
        "SELECT pg_cancel_backend(1)",
        "SELECT pg_terminate_backend(1)",
        "SELECT reltuples FROM pg_class",
        "SELECT pg_relation_size('app.notes')",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT rolpassword FROM pg_authid",
        "SELECT * FROM pg_settings",
        "SELECT pg_current_xact_id()",
        // What DECLARE does not take, and what READ ONLY does not let through
        "INSERT INTO app.notes VALUES (5000, 'a', '')",
        "WITH x AS (DELETE FROM app.notes RETURNING *) SELECT * FROM x",
        "SELECT * FROM app.notes FOR UPDATE",
        "SELECT 1; SELECT 2",
        "SELECT 1 INTO TEMP t",
        "CREATE TEMP TABLE t (a int)",
        "COMMIT",
        "SET ROLE postgres",
        "EXPLAIN SELECT 1",
        "DO $$ BEGIN END $$",
    ] {
        let mut raw = PgConnection::connect(&url("test_login", &bed.name)).await.unwrap();
        sqlx::raw_sql("BEGIN READ ONLY; SET LOCAL ROLE test_reader").execute(&mut raw).await.unwrap();
        let declare = format!("DECLARE c BINARY NO SCROLL CURSOR FOR {text}");
        let declared = sqlx::query(AssertSqlSafe(declare)).persistent(false).execute(&mut raw).await;
        let outcome = match declared {
            Ok(_) => sqlx::raw_sql("FETCH 10 FROM c").fetch_all(&mut raw).await.map(|rows| rows.len()),
            Err(error) => Err(error),
        };
        assert!(matches!(outcome, Err(sqlx::Error::Database(_))), "{text} got through: {outcome:?}");
    }
    // And without a context there is nothing to see.
    let mut raw = PgConnection::connect(&url("test_login", &bed.name)).await.unwrap();
    sqlx::raw_sql("BEGIN READ ONLY; SET LOCAL ROLE test_reader").execute(&mut raw).await.unwrap();
    let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM app.notes").fetch_one(&mut raw).await.unwrap();
    assert_eq!(seen, 0);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn what_the_login_sets_for_itself_does_not_part_the_guards_reading_from_the_servers() {
    let mut bed = Bed::new().await;
    // A role may always change its own settings: here so that a backslash escapes the quote behind it.
    let mut raw = PgConnection::connect(&url("test_login", &bed.name)).await.unwrap();
    let set = format!("ALTER ROLE test_login IN DATABASE {} SET standard_conforming_strings = off", bed.name);
    sqlx::raw_sql("SET default_transaction_read_only = off").execute(&mut raw).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(set)).execute(&mut raw).await.unwrap();
    sqlx::raw_sql(
        "CREATE FUNCTION app.strings() RETURNS text LANGUAGE sql STABLE AS $$ SELECT current_setting('standard_conforming_strings') $$",
    )
    .execute(&bed.admin)
    .await
    .unwrap();
    bed.reconnect(|_| {}).await;
    // Two texts, for the guard; for a server that takes the login's word for it, one, and a table that is not granted.
    let text = r"SELECT app.strings(), '\' AS a, ' || (SELECT id::text FROM other.secrets) --' AS b";
    let result = bed.session("a").query(sql(text), 1).await.unwrap_or_else(|error| panic!("{}", error.for_log()));
    let texts: Vec<&[u8]> = result
        .columns
        .iter()
        .map(|column| match &column.values {
            ColumnValues::Texts(packed) => &packed.data[..],
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(texts, [&b"on"[..], b"\\", b" || (SELECT id::text FROM other.secrets) --"]);
}
