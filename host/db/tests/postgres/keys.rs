//! The signing keys: changed while hosts serve, readable by nobody, and a verifier that nothing shadows.
use sqlx::{Connection, PgConnection};
use stockade_db::{ColumnValues, ContextKey, Database, DatabaseConfig, SqlScope, setup};

use crate::bed::{Bed, identity, setup_config, sql, url};

async fn notes(database: &Database) -> i64 {
    let limits = stockade_db::SessionLimits {
        rows_max: 1,
        bytes_max: 1_000,
        deadline: tokio::time::Instant::now() + std::time::Duration::from_secs(10),
        sql: std::sync::Arc::new(SqlScope { schemas: ["app".to_owned()].into(), ..SqlScope::default() }),
        collections: Default::default(),
        cache: Default::default(),
    };
    let counted =
        database.session(identity("a"), limits).query(sql("SELECT count(*) FROM app.notes"), 1).await.unwrap();
    let ColumnValues::Integers(values) = &counted.columns[0].values else { panic!("{counted:?}") };
    values[0]
}

async fn connect(config: &DatabaseConfig) -> Database {
    Database::connect(config).await.unwrap_or_else(|error| panic!("{}", error.for_log()))
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn keys_rotate_while_both_hosts_serve() {
    let bed = Bed::new().await;
    // 1. A new key file and the setup with it: the database knows both keys.
    let new_file = bed.config.context_key_file.with_file_name("new-key");
    let new_key = ContextKey::generate();
    new_key.write_file(&new_file).unwrap();
    setup::apply(&bed.admin_url, &setup_config(), &new_key).await.unwrap_or_else(|error| panic!("{}", error.for_log()));
    assert_eq!(notes(&bed.database).await, 100, "the host with the old key");
    // 2. Hosts are restarted with the new file, one after the other.
    let mut config = bed.config.clone();
    config.context_key_file = new_file;
    let restarted = connect(&config).await;
    assert_eq!((notes(&restarted).await, notes(&bed.database).await), (100, 100));
    // 3. The old key is retired.
    let old_id = ContextKey::read_file(&bed.config.context_key_file).unwrap().id().to_owned();
    sqlx::query("UPDATE stockade.context_keys SET retired_at = now() WHERE key_id = $1")
        .bind(&old_id)
        .execute(&bed.admin)
        .await
        .unwrap();
    assert_eq!((notes(&restarted).await, notes(&bed.database).await), (100, 0));
    assert!(Database::connect(&bed.config).await.is_err(), "a host with a retired key does not start");
    // Whatever an administrator does to a key is on record.
    for change in [
        "UPDATE stockade.context_keys SET retired_at = NULL WHERE key_id = $1",
        "UPDATE stockade.context_keys SET inner_pad = outer_pad WHERE key_id = $1",
        "DELETE FROM stockade.context_keys WHERE key_id = $1",
    ] {
        sqlx::query(change).bind(&old_id).execute(&bed.admin).await.unwrap();
    }
    let acts: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT outcome, principal, detail FROM stockade.audit_log WHERE kind = 'act' AND outcome LIKE 'KEY_%' ORDER BY recorded_at",
    )
    .fetch_all(&bed.admin)
    .await
    .unwrap();
    let expected = ["KEY_RETIRED", "KEY_REINSTATED", "KEY_CHANGED", "KEY_DELETED"];
    let expected = expected.map(|act| (act.to_owned(), "postgres".to_owned(), format!("signing key {old_id}")));
    assert_eq!(acts, expected);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn nobody_but_its_owner_reads_a_key() {
    let bed = Bed::new().await;
    let others: Vec<String> = sqlx::query_scalar(
        "SELECT rolname::text FROM pg_roles WHERE NOT rolsuper AND rolname <> 'stockade_owner'
           AND (has_any_column_privilege(oid, 'stockade.context_keys', 'SELECT, INSERT, UPDATE, REFERENCES')
                OR has_table_privilege(oid, 'stockade.context_keys', 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER'))
           -- The system's own roles for operators, which none of ours is a member of
           AND rolname !~ '^pg_'",
    )
    .fetch_all(&bed.admin)
    .await
    .unwrap();
    assert_eq!(others, Vec::<String>::new());
    let verifier: (bool, String, String, String) = sqlx::query_as(
        "SELECT prosecdef, proowner::regrole::text, proconfig::text, provolatile::text FROM pg_proc WHERE oid = 'stockade.claims()'::regprocedure",
    )
    .fetch_one(&bed.admin)
    .await
    .unwrap();
    assert_eq!(
        verifier,
        (true, "stockade_owner".to_owned(), "{\"search_path=pg_catalog, pg_temp\"}".to_owned(), "s".to_owned())
    );
    // And nobody who serves may put another in its place.
    for statement in [
        "CREATE OR REPLACE FUNCTION stockade.claims() RETURNS jsonb LANGUAGE sql AS 'SELECT NULL::jsonb'",
        "ALTER FUNCTION stockade.claims() SET search_path = public",
        "DROP FUNCTION stockade.claims()",
        "ALTER TABLE stockade.context_keys OWNER TO test_reader",
        "CREATE TRIGGER t BEFORE INSERT ON stockade.context_keys EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    ] {
        for role in ["SET ROLE test_reader", "RESET ROLE"] {
            let mut raw = PgConnection::connect(&url("test_login", &bed.name)).await.unwrap();
            sqlx::raw_sql("SET default_transaction_read_only = off").execute(&mut raw).await.unwrap();
            sqlx::raw_sql(role).execute(&mut raw).await.unwrap();
            let error = sqlx::raw_sql(statement).execute(&mut raw).await.unwrap_err();
            let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned();
            assert_eq!(code, "42501", "{role}; {statement}: {error}");
        }
    }
}

/// An attacker's best: everything that the verifier calls, under the same name, in front of it, and a table
/// with a key of the attacker's own.
const SHADOWS: &str = "
    CREATE TEMP TABLE context_keys (key_id text, inner_pad bytea, outer_pad bytea, retired_at timestamptz);
    INSERT INTO context_keys VALUES ('mine', decode(repeat('36', 64), 'hex'), decode(repeat('5c', 64), 'hex'), NULL);
    CREATE FUNCTION public.sha256(bytea) RETURNS bytea LANGUAGE sql AS $$ SELECT '\\x00'::bytea $$;
    CREATE FUNCTION pg_temp.sha256(bytea) RETURNS bytea LANGUAGE sql AS $$ SELECT '\\x00'::bytea $$;
    CREATE FUNCTION public.encode(bytea, text) RETURNS text LANGUAGE sql AS $$ SELECT repeat('0', 64) $$;
    CREATE FUNCTION pg_temp.encode(bytea, text) RETURNS text LANGUAGE sql AS $$ SELECT repeat('0', 64) $$;
    CREATE FUNCTION public.pg_backend_pid() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;
    CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT '-infinity'::timestamptz $$;
    CREATE FUNCTION public.split_part(text, text, int) RETURNS text LANGUAGE sql AS $$ SELECT 'mine'::text $$;
    CREATE FUNCTION public.differs(text, text) RETURNS boolean LANGUAGE sql AS $$ SELECT false $$;
    CREATE OPERATOR public.<> (LEFTARG = text, RIGHTARG = text, FUNCTION = public.differs);
    CREATE OPERATOR public.!~ (LEFTARG = text, RIGHTARG = text, FUNCTION = public.differs);
    CREATE TYPE public.jsonb AS (mine int);
    SET search_path = pg_temp, public, pg_catalog";

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn nothing_in_public_or_pg_temp_shadows_the_verifier() {
    let bed = Bed::new().await;
    // What the set-up takes away, given back for the attempt.
    sqlx::raw_sql(
        "DO $$ BEGIN EXECUTE format('GRANT TEMP ON DATABASE %I TO test_login', current_database()); END $$;
         GRANT CREATE, USAGE ON SCHEMA public TO test_login; GRANT USAGE ON LANGUAGE sql TO test_login;
         GRANT USAGE ON SCHEMA stockade TO test_login; GRANT EXECUTE ON FUNCTION stockade.claims() TO test_login",
    )
    .execute(&bed.admin)
    .await
    .unwrap();
    let mut raw = PgConnection::connect(&url("test_login", &bed.name)).await.unwrap();
    sqlx::raw_sql("SET default_transaction_read_only = off").execute(&mut raw).await.unwrap();
    sqlx::raw_sql(SHADOWS).execute(&mut raw).await.unwrap();
    let forged = format!("v1.mine.e30.{}", "0".repeat(64));
    for set in [
        format!("SET stockade.context = '{forged}'"),
        // As the hash of the attacker's own empty key would have it
        "SELECT pg_catalog.set_config('stockade.context', h || '.' || pg_catalog.encode(pg_catalog.sha256(pg_catalog.decode(repeat('5c', 64), 'hex') || pg_catalog.sha256(pg_catalog.decode(repeat('36', 64), 'hex') || pg_catalog.convert_to(h, 'UTF8'))), 'hex'), false) FROM (VALUES ('v1.mine.e30')) v (h)".to_owned(),
    ] {
        // The second door is the administrator's to open here: no login may call set_config.
        sqlx::raw_sql("GRANT EXECUTE ON FUNCTION set_config(text, text, boolean) TO test_login").execute(&bed.admin).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(set.clone())).execute(&mut raw).await.unwrap();
        let believed: bool = sqlx::query_scalar("SELECT stockade.claims() IS NOT NULL").persistent(false).fetch_one(&mut raw).await.unwrap();
        assert!(!believed, "{set}");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_statement_verifies_its_caller_once_in_an_init_plan() {
    let bed = Bed::new().await;
    sqlx::raw_sql("GRANT USAGE ON SCHEMA app TO test_reader").execute(&bed.admin).await.unwrap();
    let mut raw = PgConnection::connect(&url("test_login", &bed.name)).await.unwrap();
    sqlx::raw_sql("BEGIN READ ONLY; SET LOCAL ROLE test_reader").execute(&mut raw).await.unwrap();
    let plan: Vec<String> = sqlx::query_scalar(
        "EXPLAIN (COSTS off, VERBOSE) SELECT count(*) FROM app.notes AS a JOIN app.notes AS b USING (id) WHERE a.body <> ''",
    )
    .persistent(false)
    .fetch_all(&mut raw)
    .await
    .unwrap();
    let verified: Vec<&str> = plan.iter().map(|line| line.trim()).filter(|line| line.contains("claims()")).collect();
    // One for each use of the table, none of them in a filter, where it would run for every row.
    assert_eq!(verified, ["Output: (stockade.claims() ->> 'tenant'::text)"; 2], "{plan:#?}");
    let plans = plan.iter().filter(|line| line.trim_start().starts_with("InitPlan")).count();
    assert_eq!(plans, 2, "{plan:#?}");
    let filters: Vec<&str> = plan.iter().map(|line| line.trim()).filter(|line| line.starts_with("Filter:")).collect();
    // Before PostgreSQL 17 an InitPlan's value is written `$0`.
    assert!(filters.iter().all(|filter| filter.contains("(InitPlan") || filter.contains('$')), "{filters:?}");
}
