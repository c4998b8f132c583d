//! What tests stand on: one cluster a process, one database a test.
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection};
use stockade_db::embedded::{EmbeddedConfig, EmbeddedPostgres};
use stockade_db::setup::{self, SetupConfig};
use stockade_db::{
    CollectionConfig, ContextKey, Database, DatabaseConfig, EmbedderConfig, Identity, Secret, Session, SessionLimits,
    SqlScope, Statement, Value,
};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Roles are the cluster's, so set-ups of several databases go one after the other.
static SETUP: Mutex<()> = Mutex::const_new(());
static NEXT: AtomicU32 = AtomicU32::new(0);

/// `app.notes` holds 100 rows of tenant `a` (ids 1 to 100) and 100 of `b` (101 to 200), under forced
/// row security. `other.secrets` may be read by the role and is not granted to plugins.
const SCHEMA: &str = "
    CREATE SCHEMA app; CREATE SCHEMA other;
    GRANT USAGE ON SCHEMA app, other TO test_reader, test_reader_two;
    CREATE TYPE app.mood AS ENUM ('calm', 'curious');
    CREATE TABLE app.notes (id int PRIMARY KEY, tenant text NOT NULL, body text);
    INSERT INTO app.notes SELECT i, CASE WHEN i <= 100 THEN 'a' ELSE 'b' END, 'note ' || i FROM generate_series(1, 200) AS i;
    ALTER TABLE app.notes ENABLE ROW LEVEL SECURITY; ALTER TABLE app.notes FORCE ROW LEVEL SECURITY;
    CREATE POLICY own ON app.notes USING (tenant = (SELECT stockade.claims() ->> 'tenant'));
    CREATE TABLE app.things (id int PRIMARY KEY, name text, embedding vector(3));
    INSERT INTO app.things VALUES (1, 'near', '[1,0,0]'), (2, 'far', '[0,1,0]'), (3, 'between', '[1,1,0]');
    INSERT INTO stockade.collections VALUES ('app.things', 'embedding', 'three', 3, true);
    CREATE FUNCTION app.nearest(query_embedding vector, similarity_threshold float8, max_results int)
      RETURNS TABLE (id int, name text, similarity float8) LANGUAGE sql STABLE AS
      $$ SELECT t.id, t.name, 1 - (t.embedding <=> query_embedding) FROM app.things AS t
         WHERE 1 - (t.embedding <=> query_embedding) >= similarity_threshold
         ORDER BY t.embedding <=> query_embedding LIMIT max_results $$;
    CREATE TABLE other.secrets (id int); INSERT INTO other.secrets VALUES (42);
    CREATE TABLE public.shadow (id int); INSERT INTO public.shadow VALUES (7);
    GRANT SELECT ON ALL TABLES IN SCHEMA app, other, public TO test_reader, test_reader_two;";

pub(crate) struct Bed {
    pub(crate) admin: PgPool,
    pub(crate) config: DatabaseConfig,
    pub(crate) database: Database,
    pub(crate) admin_url: String,
    pub(crate) name: String,
    _key: tempfile::TempDir,
}

impl Bed {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut DatabaseConfig)) -> Self {
        Self::at(url, change).await
    }

    /// In another cluster than this process's.
    pub(crate) async fn at(url: impl Fn(&str, &str) -> String, change: impl FnOnce(&mut DatabaseConfig)) -> Self {
        let name = format!("t{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut root = PgConnection::connect(&url("postgres", "postgres")).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let key_file = directory.path().join("key");
        let key = ContextKey::generate();
        key.write_file(&key_file).unwrap();
        let admin_url = url("postgres", &name);
        {
            let _one_at_a_time = SETUP.lock().await;
            sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut root).await.unwrap();
            setup::apply(&admin_url, &setup_config(), &key).await.unwrap_or_else(|error| panic!("{}", error.for_log()));
        }
        let admin = PgPoolOptions::new().max_connections(2).connect(&admin_url).await.unwrap();
        sqlx::raw_sql(SCHEMA).execute(&admin).await.unwrap();
        let mut config = config(&url("test_login", &name), key_file);
        change(&mut config);
        let database = Database::connect(&config).await.unwrap_or_else(|error| panic!("{}", error.for_log()));
        Self { admin, config, database, admin_url, name, _key: directory }
    }

    /// The host again, with another configuration: for what a test has put into the database.
    pub(crate) async fn reconnect(&mut self, change: impl FnOnce(&mut DatabaseConfig)) {
        change(&mut self.config);
        self.database.close().await;
        self.database = Database::connect(&self.config).await.unwrap_or_else(|error| panic!("{}", error.for_log()));
    }

    pub(crate) fn session(&self, tenant: &str) -> Session {
        self.session_with(tenant, |_| {})
    }

    pub(crate) fn session_with(&self, tenant: &str, change: impl FnOnce(&mut SessionLimits)) -> Session {
        let mut limits = SessionLimits {
            rows_max: 10_000,
            bytes_max: 32 * 1024 * 1024,
            deadline: Instant::now() + Duration::from_secs(20),
            sql: Arc::new(SqlScope { schemas: ["app".to_owned()].into(), ..SqlScope::default() }),
            collections: Arc::new(BTreeSet::from(["things".to_owned()])),
            cache: Default::default(),
        };
        change(&mut limits);
        self.database.session(identity(tenant), limits)
    }
}

pub(crate) fn setup_config() -> SetupConfig {
    SetupConfig {
        login_role: "test_login".to_owned(),
        login_password: None,
        reader_roles: vec!["test_reader".parse().unwrap(), "test_reader_two".parse().unwrap()],
    }
}

pub(crate) fn config(url: &str, key_file: PathBuf) -> DatabaseConfig {
    #[derive(serde::Deserialize)]
    struct File {
        database: DatabaseConfig,
    }
    let text = format!(
        "[database]\nurl = {url:?}\nreader_roles = [\"test_reader\", \"test_reader_two\"]\nsearch_path = [\"app\", \"public\"]\n\
         shared_tables = [\"app.things\", \"other.secrets\", \"public.shadow\"]\n\
         context_key_file = {key_file:?}\nconnections_max = 2\nconnections_min = 0\n"
    );
    let mut config = toml::from_str::<File>(&text).unwrap().database;
    assert!(!format!("{config:?}").contains("test_login"), "the url is a secret");
    let model = std::env::var_os("STOCKADE_MODEL_DIR").map_or_else(|| PathBuf::from("/nonexistent"), PathBuf::from);
    let embedder = |name: &str| EmbedderConfig::Candle {
        model: name.to_owned(),
        directory: model.clone(),
        concurrency_max: 1,
        cache_bytes_max: 1 << 20,
    };
    config.embedders = BTreeMap::from([("three".to_owned(), embedder("three"))]);
    config.collections = BTreeMap::from([("things".to_owned(), collection(THINGS))]);
    config
}

/// The collection `things`, of three rows and three dimensions.
const THINGS: &str = "table = 'app.things'\nkey = 'id'\nembedding = 'embedding'\ncolumns = ['id', 'name']
    embedder = 'three'\ndimension = 3";

/// From its table in a configuration.
pub(crate) fn collection(table: &str) -> CollectionConfig {
    toml::from_str(table).unwrap()
}

pub(crate) fn identity(tenant: &str) -> Identity {
    Identity {
        tenant: tenant.parse().unwrap(),
        principal: "someone".parse().unwrap(),
        roles: vec!["reader".to_owned()],
        reader_role: "test_reader".parse().unwrap(),
    }
}

pub(crate) fn sql(text: &str) -> Statement {
    Statement { text: text.to_owned(), parameters: Vec::new() }
}

pub(crate) fn sql_with(text: &str, parameters: Vec<Value>) -> Statement {
    Statement { text: text.to_owned(), parameters }
}

/// A URL into this process's cluster.
pub(crate) fn url(user: &str, database: &str) -> String {
    static CLUSTER: OnceLock<EmbeddedPostgres> = OnceLock::new();
    CLUSTER.get_or_init(start).url(user, database)
}

pub(crate) fn secret_url(user: &str, database: &str) -> Secret {
    Secret::new(url(user, database))
}

/// The cluster lives on a thread of its own, for tests' runtimes end one by one. When the process
/// ends, so does the cluster.
fn start() -> EmbeddedPostgres {
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            send.send(start_somewhere().await).unwrap();
            std::future::pending::<()>().await;
        });
    });
    receive.recv().unwrap()
}

async fn start_somewhere() -> EmbeddedPostgres {
    let mut last = String::new();
    for number in 0..8 {
        let config = EmbeddedConfig {
            bin_dir: std::env::var_os("STOCKADE_POSTGRES_BIN").map(PathBuf::from),
            data_dir: PathBuf::from(format!("/var/tmp/stockade-db-test-{number}")),
        };
        match EmbeddedPostgres::start(&config).await {
            Ok(cluster) => {
                drop_old_databases(&cluster).await;
                return cluster;
            }
            // Another test process is there.
            Err(error) => last = error.for_log(),
        }
    }
    panic!("{last}");
}

async fn drop_old_databases(cluster: &EmbeddedPostgres) {
    let mut root = PgConnection::connect(&cluster.url("postgres", "postgres")).await.unwrap();
    let names: Vec<String> = sqlx::query_scalar("SELECT datname::text FROM pg_database WHERE datname ~ '^t[0-9]'")
        .fetch_all(&mut root)
        .await
        .unwrap();
    for name in names {
        sqlx::raw_sql(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).execute(&mut root).await.unwrap();
    }
    // Roles of tests that failed before they took them back: they are the cluster's, and outlive their database.
    let roles: Vec<String> = sqlx::query_scalar("SELECT rolname::text FROM pg_roles WHERE rolname ~ '^blind_t[0-9]'")
        .fetch_all(&mut root)
        .await
        .unwrap();
    for role in roles {
        sqlx::raw_sql(AssertSqlSafe(format!("DROP ROLE {role}"))).execute(&mut root).await.unwrap();
    }
}
