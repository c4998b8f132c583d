//! What a host refuses to start on, each with how to mend it.
use sqlx::AssertSqlSafe;
use stockade_db::setup::{self, SetupConfig};
use stockade_db::{ContextKey, Database, DatabaseConfig};

use crate::bed::{Bed, secret_url};

/// What is done to the database, what the refusal must say, and how it is undone.
struct Flaw(&'static str, &'static [&'static str], &'static str);

/// Of the login and the reader themselves: `fit_login` and `fit_reader` are this test's own.
const ROLES: &[Flaw] = &[
    Flaw(
        "ALTER ROLE fit_login SUPERUSER",
        &["role fit_login has SUPERUSER", "NOSUPERUSER"],
        "ALTER ROLE fit_login NOSUPERUSER",
    ),
    Flaw(
        "ALTER ROLE fit_login BYPASSRLS",
        &["role fit_login has SUPERUSER, BYPASSRLS", "NOBYPASSRLS"],
        "ALTER ROLE fit_login NOBYPASSRLS",
    ),
    Flaw(
        "ALTER ROLE fit_reader BYPASSRLS",
        &["role fit_reader has SUPERUSER, BYPASSRLS"],
        "ALTER ROLE fit_reader NOBYPASSRLS",
    ),
    Flaw("ALTER ROLE fit_login CREATEROLE", &["CREATEROLE"], "ALTER ROLE fit_login NOCREATEROLE"),
    Flaw(
        "ALTER ROLE fit_reader LOGIN",
        &["fit_reader must not have LOGIN", "NOLOGIN"],
        "ALTER ROLE fit_reader NOLOGIN",
    ),
    Flaw(
        "REVOKE fit_reader FROM fit_login",
        &["no member of the reader role fit_reader"],
        "GRANT fit_reader TO fit_login",
    ),
    Flaw(
        "ALTER TABLE app.notes OWNER TO fit_login",
        &["role fit_login owns app.notes", "OWNER TO"],
        "ALTER TABLE app.notes OWNER TO postgres",
    ),
    Flaw(
        "ALTER TABLE app.notes OWNER TO fit_reader",
        &["role fit_reader owns app.notes"],
        // What was granted to the owner of a moment went with the ownership.
        "ALTER TABLE app.notes OWNER TO postgres; GRANT SELECT ON app.notes TO fit_reader",
    ),
    Flaw(
        "ALTER TABLE app.notes OWNER TO fit_owner; GRANT fit_owner TO fit_login",
        &["the login is a member of fit_owner", "role fit_owner owns app.notes", "REVOKE fit_owner"],
        "REVOKE fit_owner FROM fit_login; ALTER TABLE app.notes OWNER TO postgres",
    ),
    Flaw("GRANT fit_owner TO fit_reader", &["the login is a member of fit_owner"], "REVOKE fit_owner FROM fit_reader"),
    Flaw(
        "ALTER SCHEMA app OWNER TO fit_login",
        &["role fit_login owns schema app"],
        "ALTER SCHEMA app OWNER TO postgres; GRANT USAGE ON SCHEMA app TO fit_login",
    ),
    Flaw(
        "CREATE FUNCTION app.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION app.mine() OWNER TO fit_login",
        &["role fit_login owns function app.mine()", "ALTER FUNCTION"],
        "DROP FUNCTION app.mine()",
    ),
    Flaw(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I OWNER TO fit_login', current_database()); END $$",
        &["role fit_login owns the database", "ALTER DATABASE"],
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I OWNER TO postgres', current_database());
                     EXECUTE format('GRANT CONNECT ON DATABASE %I TO fit_login', current_database()); END $$",
    ),
    Flaw(
        "GRANT CREATE ON SCHEMA app TO fit_reader",
        &["fit_reader may create objects in schema app", "REVOKE CREATE"],
        "REVOKE CREATE ON SCHEMA app FROM fit_reader",
    ),
    Flaw(
        "DO $$ BEGIN EXECUTE format('GRANT TEMP ON DATABASE %I TO fit_login', current_database()); END $$",
        &["fit_login may create schemas or temporary tables", "REVOKE CREATE, TEMPORARY"],
        "DO $$ BEGIN EXECUTE format('REVOKE TEMP ON DATABASE %I FROM fit_login', current_database()); END $$",
    ),
];

/// Of what they can read.
const TABLES: &[Flaw] = &[
    Flaw(
        "ALTER TABLE app.notes NO FORCE ROW LEVEL SECURITY",
        &[
            "table app.notes, which fit_reader may read, has no forced row security",
            "FORCE ROW LEVEL SECURITY",
            "shared_tables",
        ],
        "ALTER TABLE app.notes FORCE ROW LEVEL SECURITY",
    ),
    Flaw(
        "ALTER TABLE app.notes DISABLE ROW LEVEL SECURITY",
        &["app.notes, which fit_reader may read, has no forced"],
        "ALTER TABLE app.notes ENABLE ROW LEVEL SECURITY",
    ),
    Flaw(
        "ALTER POLICY own ON app.notes RENAME TO gone; DROP POLICY gone ON app.notes",
        &["app.notes has row security and no policy", "CREATE POLICY"],
        "CREATE POLICY own ON app.notes USING (tenant = (SELECT stockade.claims() ->> 'tenant'))",
    ),
    Flaw(
        "CREATE TABLE app.open (id int); GRANT SELECT (id) ON app.open TO PUBLIC",
        &["table app.open, which fit_login, fit_reader may read"],
        "DROP TABLE app.open",
    ),
    Flaw(
        "CREATE VIEW app.v AS SELECT * FROM app.notes; GRANT SELECT ON app.v TO fit_reader",
        &["view app.v", "owner's rights", "security_invoker = true"],
        "DROP VIEW app.v",
    ),
    Flaw(
        "CREATE VIEW app.v WITH (security_invoker = false) AS SELECT * FROM app.notes; GRANT SELECT ON app.v TO fit_reader",
        &["view app.v"],
        "DROP VIEW app.v",
    ),
    Flaw(
        "CREATE MATERIALIZED VIEW app.m AS SELECT * FROM app.notes; GRANT SELECT ON app.m TO fit_reader",
        &["materialised view app.m", "cannot have row security", "REVOKE SELECT"],
        "DROP MATERIALIZED VIEW app.m",
    ),
    Flaw(
        "CREATE FOREIGN DATA WRAPPER far; CREATE SERVER far FOREIGN DATA WRAPPER far;
         CREATE FOREIGN TABLE app.far (id int) SERVER far; GRANT SELECT ON app.far TO fit_reader",
        &["foreign table app.far", "fit_reader may read", "cannot have row security"],
        "DROP FOREIGN DATA WRAPPER far CASCADE",
    ),
    Flaw(
        "CREATE SEQUENCE app.numbers; GRANT SELECT ON app.numbers TO fit_reader",
        &["sequence app.numbers, which fit_reader may read, counts everybody's rows", "REVOKE SELECT", "shared_tables"],
        "DROP SEQUENCE app.numbers",
    ),
    Flaw(
        "CREATE FUNCTION app.all_notes() RETURNS SETOF app.notes LANGUAGE sql SECURITY DEFINER AS 'SELECT * FROM app.notes'",
        &["function app.all_notes(), which", "runs as postgres", "SECURITY INVOKER"],
        "DROP FUNCTION app.all_notes()",
    ),
];

/// Of what the set-up brings: a part that is not there is an older release's.
const PARTS: &[Flaw] = &[
    Flaw(
        "ALTER FUNCTION stockade.row_too_wide(bigint) RENAME TO gone",
        &["of an older release: run the setup"],
        "ALTER FUNCTION stockade.gone(bigint) RENAME TO row_too_wide",
    ),
    Flaw(
        "ALTER VIEW stockade.table_versions RENAME TO gone",
        &["of an older release: run the setup"],
        "ALTER VIEW stockade.gone RENAME TO table_versions",
    ),
    Flaw(
        "ALTER FUNCTION stockade.watch(regclass) RENAME TO gone",
        &["of an older release: run the setup"],
        "ALTER FUNCTION stockade.gone(regclass) RENAME TO watch",
    ),
    Flaw(
        "REVOKE EXECUTE ON FUNCTION stockade.row_too_wide(bigint) FROM fit_reader",
        &["the reader role fit_reader may not execute stockade.row_too_wide(bigint)", "run the setup"],
        "GRANT EXECUTE ON FUNCTION stockade.row_too_wide(bigint) TO fit_reader",
    ),
    Flaw(
        "REVOKE SELECT ON stockade.watched_tables FROM fit_login",
        &["the login may not read stockade.watched_tables: run the setup"],
        "GRANT SELECT ON stockade.watched_tables TO fit_login",
    ),
    // No server here is so old: the login is told that this one is.
    Flaw(
        "CREATE SCHEMA old; GRANT USAGE ON SCHEMA old TO fit_login;
         CREATE FUNCTION old.current_setting(text) RETURNS text LANGUAGE sql AS $$ SELECT CASE $1 WHEN 'server_version' THEN '14.9' ELSE '140009' END $$;
         DO $$ BEGIN EXECUTE format('ALTER ROLE fit_login IN DATABASE %I SET search_path = old, pg_catalog', current_database()); END $$",
        &["PostgreSQL 15 or later is needed, this is 14.9"],
        "DO $$ BEGIN EXECUTE format('ALTER ROLE fit_login IN DATABASE %I RESET search_path', current_database()); END $$;
         DROP SCHEMA old CASCADE",
    ),
];

/// Of what the lock-down takes away, which a setting accepts.
const RIGHTS: &[Flaw] = &[
    Flaw(
        "GRANT EXECUTE ON FUNCTION pg_sleep(float8) TO fit_reader",
        &["fit_reader may execute pg_sleep", "accept_unrevoked"],
        "REVOKE EXECUTE ON FUNCTION pg_sleep(float8) FROM fit_reader",
    ),
    Flaw(
        "GRANT EXECUTE ON FUNCTION set_config(text, text, boolean) TO PUBLIC",
        &["fit_reader may execute set_config", "run the setup as a superuser"],
        "REVOKE EXECUTE ON FUNCTION set_config(text, text, boolean) FROM PUBLIC",
    ),
    Flaw(
        "GRANT USAGE ON LANGUAGE plpgsql TO fit_reader",
        &["fit_reader may use the language plpgsql"],
        "REVOKE USAGE ON LANGUAGE plpgsql FROM fit_reader",
    ),
    Flaw(
        "GRANT SELECT ON pg_class TO fit_reader",
        &["fit_reader may read row estimates"],
        "REVOKE SELECT ON pg_class FROM fit_reader",
    ),
];

async fn fit_bed() -> (Bed, DatabaseConfig) {
    let bed = Bed::new().await;
    let key = ContextKey::read_file(&bed.config.context_key_file).unwrap();
    let names = SetupConfig {
        login_role: "fit_login".to_owned(),
        login_password: None,
        reader_roles: vec!["fit_reader".parse().unwrap()],
    };
    setup::apply(&bed.admin_url, &names, &key).await.unwrap_or_else(|error| panic!("{}", error.for_log()));
    run(
        &bed,
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'fit_owner') THEN CREATE ROLE fit_owner; END IF; END $$;
         GRANT USAGE ON SCHEMA app TO fit_reader, fit_login; GRANT SELECT ON app.notes, app.things TO fit_reader",
    )
    .await;
    let mut config = bed.config.clone();
    config.url = Some(secret_url("fit_login", &bed.name));
    config.reader_roles = names.reader_roles;
    (bed, config)
}

async fn run(bed: &Bed, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&bed.admin).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

async fn starts(config: &DatabaseConfig) {
    let database = Database::connect(config).await.unwrap_or_else(|error| panic!("{}", error.for_log()));
    database.close().await;
}

/// One after the other: they change the cluster's roles.
#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_database_that_does_not_hold_is_refused_with_how_to_mend_it() {
    let (bed, config) = fit_bed().await;
    starts(&config).await;
    for Flaw(flaw, said, undo) in ROLES.iter().chain(TABLES).chain(PARTS).chain(RIGHTS) {
        run(&bed, flaw).await;
        let refused = Database::connect(&config).await;
        run(&bed, undo).await;
        let Err(error) = refused else { panic!("{flaw}: the host started") };
        let text = error.for_log();
        for word in *said {
            assert!(text.contains(word), "{flaw}: expected {word:?} in: {text}");
        }
        assert!(!error.to_string().contains("fit_"), "the caller learns nothing: {error}");
    }
    starts(&config).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn what_an_operator_accepts_in_writing_is_accepted() {
    let bed = Bed::new().await;
    run(
        &bed,
        "CREATE VIEW app.fine WITH (security_invoker) AS SELECT * FROM app.notes; GRANT SELECT ON app.fine TO test_reader;
         CREATE MATERIALIZED VIEW app.totals AS SELECT count(*) FROM app.things; GRANT SELECT ON app.totals TO test_reader;
         GRANT EXECUTE ON FUNCTION pg_sleep(float8) TO PUBLIC; GRANT USAGE ON LANGUAGE sql TO PUBLIC",
    )
    .await;
    let mut config = bed.config.clone();
    assert!(Database::connect(&config).await.is_err());
    config.shared_tables.push("app.totals".to_owned());
    assert!(Database::connect(&config).await.is_err());
    config.accept_unrevoked = true;
    starts(&config).await;
    config.shared_tables.push("totals".to_owned());
    assert!(Database::connect(&config).await.is_err(), "a name without its schema");
}
