//! A managed server: who prepares the database is an administrator, and no superuser.
use std::path::PathBuf;

use sqlx::{Connection, PgConnection};
use stockade_db::setup::{self, SetupConfig};
use stockade_db::{ColumnValues, ContextKey, Database, DatabaseConfig, Secret};

use crate::bed::{config, identity, setup_config, sql};
use crate::embedded::{data_dir, started};

/// What a provider gives: a role that makes roles, and a database of its own.
const PROVIDER: [&str; 2] =
    ["CREATE ROLE administrator LOGIN CREATEROLE CREATEDB", "CREATE DATABASE managed OWNER administrator"];
/// Extensions that a provider allows are made with its rights.
const EXTENSION: &str = "CREATE EXTENSION vector";

/// What an application brings.
const APPLICATION: &str = "
    CREATE SCHEMA app; GRANT USAGE ON SCHEMA app TO test_reader;
    CREATE TABLE app.notes (id int PRIMARY KEY, tenant text NOT NULL);
    INSERT INTO app.notes SELECT i, CASE WHEN i <= 100 THEN 'a' ELSE 'b' END FROM generate_series(1, 200) AS i;
    ALTER TABLE app.notes ENABLE ROW LEVEL SECURITY; ALTER TABLE app.notes FORCE ROW LEVEL SECURITY;
    CREATE POLICY own ON app.notes USING (tenant = (SELECT stockade.claims() ->> 'tenant'));
    GRANT SELECT ON app.notes TO test_reader";

async fn notes(database: &Database, tenant: &str) -> ColumnValues {
    let limits = stockade_db::SessionLimits {
        rows_max: 1,
        bytes_max: 1_000,
        deadline: tokio::time::Instant::now() + std::time::Duration::from_secs(10),
        sql: std::sync::Arc::new(stockade_db::SqlScope { schemas: ["app".to_owned()].into(), ..Default::default() }),
        collections: Default::default(),
        cache: Default::default(),
    };
    let session = database.session(identity(tenant), limits);
    let mut result = session.query(sql("SELECT count(*) FROM app.notes"), 1).await.unwrap();
    result.columns.remove(0).values
}

fn host(login: String, key_file: PathBuf) -> DatabaseConfig {
    let mut config = config(&login, key_file);
    config.shared_tables.clear();
    config.collections.clear();
    config
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn an_administrator_who_is_no_superuser_sets_up_and_the_host_says_what_is_left() {
    let directory = data_dir();
    let cluster = started(&directory.path().join("data")).await;
    let mut provider = PgConnection::connect(&cluster.url("postgres", "postgres")).await.unwrap();
    for statement in PROVIDER {
        sqlx::raw_sql(statement).execute(&mut provider).await.unwrap();
    }
    let mut provider = PgConnection::connect(&cluster.url("postgres", "managed")).await.unwrap();
    sqlx::raw_sql(EXTENSION).execute(&mut provider).await.unwrap();
    let administrator_url = cluster.url("administrator", "managed");
    let key_file = directory.path().join("key");
    let key = ContextKey::generate();
    key.write_file(&key_file).unwrap();
    let names = SetupConfig { login_password: Some(Secret::new("a password".to_owned())), ..setup_config() };
    // And again, as after a new release.
    for _ in 0..2 {
        setup::apply(&administrator_url, &names, &key).await.unwrap_or_else(|error| panic!("{}", error.for_log()));
    }
    let mut administrator = PgConnection::connect(&administrator_url).await.unwrap();
    let is_superuser: String = sqlx::query_scalar("SHOW is_superuser").fetch_one(&mut administrator).await.unwrap();
    assert_eq!(is_superuser, "off");
    sqlx::raw_sql(APPLICATION).execute(&mut administrator).await.unwrap();

    let mut config = host(cluster.url("test_login", "managed"), key_file);
    let Err(error) = Database::connect(&config).await else { panic!("the host started") };
    let text = error.for_log();
    for left in
        ["test_reader, test_reader_two may execute", " more; run the setup as a superuser", "accept_unrevoked = true"]
    {
        assert!(text.contains(left), "expected {left:?} in: {text}");
    }
    // All of them, in the words of the check: those that a message has no room for too.
    let unrevoked = include_str!("../../src/database/checks/unrevoked.sql");
    let mut login = PgConnection::connect(&cluster.url("test_login", "managed")).await.unwrap();
    let left: Vec<String> =
        sqlx::query_scalar(unrevoked).bind(vec!["test_reader"]).fetch_all(&mut login).await.unwrap();
    for kept in [
        "set_config(text,text,boolean)",
        "ts_stat(text)",
        "query_to_xml(text,boolean,boolean,text)",
        "pg_sleep(double precision)",
    ] {
        assert!(left.contains(&format!("test_reader may execute {kept}")), "{kept}: {left:#?}");
    }
    for kept in ["use the language plpgsql", "use the language sql", "read row estimates in pg_class"] {
        assert!(left.contains(&format!("test_reader may {kept}")), "{kept}: {left:#?}");
    }
    config.accept_unrevoked = true;
    let database = Database::connect(&config).await.unwrap_or_else(|error| panic!("{}", error.for_log()));
    for (tenant, count) in [("a", 100), ("b", 100), ("nobody", 0)] {
        assert_eq!(notes(&database, tenant).await, ColumnValues::Integers(vec![count]), "{tenant}");
    }
    // Only a superuser may have definitions watched: the login reads why nothing is kept.
    let why: Vec<String> = sqlx::query_scalar("SELECT DISTINCT unnest(unfit) FROM stockade.watched_tables")
        .fetch_all(&mut login)
        .await
        .unwrap();
    let [why] = &why[..] else { panic!("{why:?}") };
    assert!(why.contains("run the setup as a superuser"), "{why}");
    database.close().await;
    cluster.stop().await.unwrap();
}
