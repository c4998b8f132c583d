//! One PostgreSQL for a test process; a database for each test, cloned from one that is loaded once.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use stockade_db::{
    ContextKey, EmbedderConfig, ReaderRole,
    embedded::{EmbeddedConfig, EmbeddedPostgres},
    setup::{self, SetupConfig},
};
use tokio::sync::{Mutex, OnceCell};
use zava_retail::LoadOptions;

use crate::environment::Environment;

const TEMPLATE: &str = "zava_template";

/// The keys of `[collections.products]`.
pub const PRODUCTS: &str = "table = 'retail.product_search'
key = 'product_id'
embedding = 'description_embedding'
columns = ['product_id', 'sku', 'product_name', 'product_description', 'category_name', 'base_price']
embedder = 'minilm'
dimension = 384
words = 'search_words'
filters = ['category_name', 'base_price', 'sku']
text = 'search_text'
model = 'embedding_model'";

/// A running cluster, with the Zava data loaded into a template.
pub struct Cluster {
    /// None while it is stopped.
    postgres: std::sync::Mutex<Option<EmbeddedPostgres>>,
    environment: Environment,
    folder: PathBuf,
    /// `CREATE DATABASE` takes its template for itself.
    cloning: Mutex<()>,
}

/// A database of one test.
#[derive(Clone, Debug)]
pub struct TestDatabase {
    /// An administrator's URL.
    pub admin_url: String,
    /// The host's login.
    pub login_url: String,
    /// The key that signs callers' claims.
    pub context_key_file: PathBuf,
}

impl Cluster {
    /// The process's cluster, with the small data. Its supervisor stops it when the process ends,
    /// however it ends.
    pub async fn get() -> &'static Self {
        Self::get_sized(LoadOptions::tests()).await
    }

    /// The same, with data of this size where nobody asked for the cluster before.
    pub async fn get_sized(options: LoadOptions) -> &'static Self {
        static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
        CLUSTER
            .get_or_init(|| async {
                // On a thread of its own with a runtime of its own: a test's runtime ends with the test.
                let (started, cluster) = tokio::sync::oneshot::channel();
                std::thread::spawn(move || {
                    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
                    let cluster = runtime.block_on(Self::start(options));
                    started.send(cluster).unwrap_or_else(|_| panic!("nobody waits for the cluster"));
                    runtime.block_on(std::future::pending::<()>());
                });
                cluster.await.expect("the cluster starts")
            })
            .await
    }

    async fn start(options: LoadOptions) -> Self {
        let environment = Environment::read();
        // Not in the target directory: as root, PostgreSQL runs as another user, who may not look into it.
        let folder = tempfile::Builder::new().prefix("stockade-e2e-").tempdir_in("/var/tmp").expect("a folder").keep();
        remove_at_the_end(&folder);
        open_to_traverse(&folder);
        let cluster = Self { postgres: std::sync::Mutex::default(), environment, folder, cloning: Mutex::default() };
        cluster.start_postgres().await;
        cluster.load_template(options).await;
        cluster
    }

    /// Starts the server, which was stopped.
    pub async fn start_postgres(&self) {
        let config =
            EmbeddedConfig { bin_dir: self.environment.postgres_bin.clone(), data_dir: self.folder.join("postgres") };
        let postgres = EmbeddedPostgres::start(&config).await.expect("PostgreSQL starts");
        *self.postgres.lock().expect("a lock") = Some(postgres);
    }

    /// Stops the server, whoever is connected.
    pub async fn stop_postgres(&self) {
        let postgres = self.postgres.lock().expect("a lock").take().expect("a running server");
        postgres.stop().await.expect("PostgreSQL stops");
    }

    fn url(&self, user: &str, database: &str) -> String {
        self.postgres.lock().expect("a lock").as_ref().expect("a running server").url(user, database)
    }

    /// What `cargo xtask test` found.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// A new database with the Zava data.
    pub async fn database(&self) -> TestDatabase {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let _alone = self.cloning.lock().await;
        self.administer(format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}")).await;
        self.prepare(&name).await
    }

    async fn load_template(&self, options: LoadOptions) {
        self.administer(format!("CREATE DATABASE {TEMPLATE}")).await;
        let database = self.prepare(TEMPLATE).await;
        zava_retail::migrate(&database.admin_url).await.expect("the schema");
        let model = stockade_db::embedder(&self.embedder()).expect("the model");
        let embed = zava_retail::FnEmbedder::new("all-MiniLM-L6-v2", |texts: Vec<String>| {
            let model = std::sync::Arc::clone(&model);
            async move { model.embed(&texts).await.map_err(|e| zava_retail::BoxError::from(e.for_log())) }
        });
        zava_retail::load(&database.admin_url, options, &embed, &|_| {}).await.expect("the data");
        let collection = toml::from_str(PRODUCTS).expect("a collection");
        stockade_db::rebuild(
            &database.admin_url,
            "products",
            &collection,
            &self.embedder(),
            Default::default(),
            &|_| {},
        )
        .await
        .unwrap_or_else(|e| panic!("the collection: {}", e.for_log()));
    }

    /// The configuration of the embedding model.
    pub fn embedder(&self) -> EmbedderConfig {
        let model = self.environment.model.display();
        let table = format!("kind = 'candle'\nmodel = 'all-MiniLM-L6-v2'\ndirectory = '{model}'");
        toml::from_str(&table).expect("a configuration")
    }

    /// Rights on a database are not cloned with it, so each is set up.
    async fn prepare(&self, name: &str) -> TestDatabase {
        let admin_url = self.url("postgres", name);
        let context_key_file = self.folder.join("context.key");
        let key = match ContextKey::read_file(&context_key_file) {
            Ok(key) => key,
            Err(_) => {
                let key = ContextKey::generate();
                key.write_file(&context_key_file).expect("a key file");
                key
            }
        };
        setup::apply(&admin_url, &setup_config(), &key).await.unwrap_or_else(|e| panic!("set up: {}", e.for_log()));
        TestDatabase { admin_url, login_url: self.url("stockade_login", name), context_key_file }
    }

    async fn administer(&self, statement: String) {
        let mut connection = PgConnection::connect(&self.url("postgres", "postgres")).await.expect("a connection");
        connection.execute(AssertSqlSafe(statement)).await.expect("an administrator's statement");
        connection.close().await.expect("a connection closes");
    }
}

impl TestDatabase {
    /// A connection as the administrator, to look behind the scenes.
    pub async fn admin(&self) -> PgConnection {
        PgConnection::connect(&self.admin_url).await.expect("an administrator's connection")
    }

    /// Rows of each tenant table, as the administrator counts them.
    pub async fn count(&self, table: &'static str) -> i64 {
        let statement = AssertSqlSafe(format!("SELECT count(*) FROM retail.{table}"));
        sqlx::query_scalar(statement).fetch_one(&mut self.admin().await).await.expect("a count")
    }
}

/// A database with the schema and no data, and the key that it knows.
pub(crate) async fn empty_database(postgres: &EmbeddedPostgres, name: &str, key_file: &Path) {
    let mut connection = PgConnection::connect(&postgres.url("postgres", "postgres")).await.expect("a connection");
    connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.expect("a database");
    connection.close().await.expect("a connection closes");
    let key = ContextKey::generate();
    key.write_file(key_file).expect("a key file");
    let admin_url = postgres.url("postgres", name);
    setup::apply(&admin_url, &setup_config(), &key).await.unwrap_or_else(|e| panic!("set up: {}", e.for_log()));
    zava_retail::migrate(&admin_url).await.expect("the schema");
}

fn setup_config() -> SetupConfig {
    SetupConfig {
        login_role: "stockade_login".into(),
        login_password: None,
        reader_roles: zava_retail::READER_ROLES.map(|role| role.parse::<ReaderRole>().expect("a role")).to_vec(),
    }
}

/// The cluster lives in a static, which nothing drops: a shell that holds a pipe from this process
/// learns of its end, waits for the server's, and removes what is left.
fn remove_at_the_end(folder: &Path) {
    const REMOVE: &str = r#"trap '' INT TERM HUP; cat >/dev/null
        while [ -n "$(find "$1" -name postmaster.pid 2>/dev/null)" ]; do sleep 0.2; done
        rm -rf "$1""#;
    let shell = Command::new("sh").args(["-c", REMOVE, "sh"]).arg(folder).stdin(Stdio::piped()).spawn();
    // The pipe closes with the process, so it must not close before.
    std::mem::forget(shell.expect("a shell"));
}

pub(crate) fn open_to_traverse(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).expect("permissions");
}
