//! One private PostgreSQL for all tests of this binary, with the full data in one database.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use sqlx::{Connection, PgConnection};
use stockade_db::embedded::{EmbeddedConfig, EmbeddedPostgres};
use stockade_db::{ContextKey, setup};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;
use zava_retail::{
    BoxError, DemoCaller, EMBEDDING_DIMENSION, Embedder, FnEmbedder, LoadOptions, READER_ROLES, Size, TENANT,
};

/// A folder with the programs of a PostgreSQL, where `cargo xtask test` has found or fetched one.
const POSTGRES_BIN: &str = "STOCKADE_POSTGRES_BIN";

/// Runs a test on the one runtime that outlives them all, as the cluster's supervisor needs it.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().unwrap()).block_on(test)
}

struct Cluster {
    postgres: EmbeddedPostgres,
    key: ContextKey,
    _sweeper: Child,
}

async fn cluster() -> &'static Cluster {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    CLUSTER
        .get_or_init(|| async {
            // Not under the target directory: as root, PostgreSQL runs as a user who may not look into it.
            let folder = tempfile::Builder::new().prefix("zava-retail-").tempdir_in("/var/tmp").unwrap().keep();
            let sweeper = sweep_at_the_end(&folder);
            std::fs::set_permissions(&folder, Permissions::from_mode(0o711)).unwrap();
            let bin_dir = std::env::var_os(POSTGRES_BIN).filter(|value| !value.is_empty()).map(Into::into);
            let config = EmbeddedConfig { bin_dir, data_dir: folder.join("cluster") };
            let started = EmbeddedPostgres::start(&config).await;
            let postgres = started.unwrap_or_else(|error| panic!("{}", error.for_log()));
            Cluster { postgres, key: ContextKey::generate(), _sweeper: sweeper }
        })
        .await
}

/// Nothing of this process runs after its last test, so a shell waits for its end, then for the
/// server's, and removes the folder.
fn sweep_at_the_end(folder: &Path) -> Child {
    const SWEEP: &str = r#"
        trap '' INT TERM HUP
        cat >/dev/null
        while [ -n "$(find "$1" -name postmaster.pid 2>/dev/null)" ]; do sleep 0.2; done
        rm -rf "$1""#;
    Command::new("sh")
        .args(["-c", SWEEP, "sweep"])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// A new database with the host's migration and this application's, without data. Gives the
/// administrator's URL.
pub(crate) async fn new_database(name: &str) -> String {
    static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _guard = ONE_AT_A_TIME.lock().await;
    let cluster = cluster().await;
    let mut connection = connect(&cluster.postgres.url("postgres", "postgres")).await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await.unwrap();
    let url = cluster.postgres.url("postgres", name);
    let config = setup::SetupConfig {
        login_role: "stockade_login".to_owned(),
        login_password: None,
        reader_roles: READER_ROLES.iter().map(|role| role.parse().unwrap()).collect(),
    };
    setup::apply(&url, &config, &cluster.key).await.unwrap_or_else(|error| panic!("{}", error.for_log()));
    zava_retail::migrate(&url).await.unwrap();
    url
}

/// The database with the full data.
pub(crate) async fn full() -> &'static str {
    static FULL: OnceCell<String> = OnceCell::const_new();
    FULL.get_or_init(|| async {
        let url = new_database("zava_full").await;
        let options = LoadOptions { size: Size::Full, ..LoadOptions::tests() };
        let started = std::time::Instant::now();
        zava_retail::load(&url, options, &fingerprints(), &|_| {}).await.unwrap();
        say(&format!("full load in {:.1} s, embeddings apart", started.elapsed().as_secs_f64()));
        url
    })
    .await
}

pub(crate) async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

/// Vectors without a meaning: three letters in a row set an element.
pub(crate) fn fingerprints() -> impl Embedder {
    FnEmbedder::new("fingerprint", |texts: Vec<String>| async move {
        Ok::<_, BoxError>(texts.iter().map(|text| fingerprint(text)).collect())
    })
}

pub(crate) fn fingerprint(text: &str) -> Vec<f32> {
    let mut vector = vec![0.0_f32; EMBEDDING_DIMENSION];
    for letters in text.as_bytes().windows(3) {
        let hash =
            letters.iter().fold(2_166_136_261_u32, |hash, letter| (hash ^ u32::from(*letter)).wrapping_mul(16_777_619));
        vector[hash as usize % EMBEDDING_DIMENSION] += 1.0;
    }
    vector
}

/// What the signed context says.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) tenant: String,
    pub(crate) principal: String,
    pub(crate) roles: Vec<String>,
}

impl From<&DemoCaller> for Context {
    fn from(caller: &DemoCaller) -> Self {
        Self {
            tenant: TENANT.to_owned(),
            principal: caller.principal.to_string(),
            roles: caller.roles.iter().map(ToString::to_string).collect(),
        }
    }
}

/// Signs as the host does, with the key that the database keeps.
const SIGN: &str = "\
    WITH payload AS (
      SELECT jsonb_build_object('tenant', $1::text, 'principal', $2::text, 'roles', $3::text[], 'pid', pg_backend_pid(),
        'began_us', (extract(epoch FROM transaction_timestamp()) * 1000000)::bigint,
        'expires_us', (extract(epoch FROM clock_timestamp() + interval '1 minute') * 1000000)::bigint)::text AS text
    ), head AS (
      SELECT 'v1.' || k.key_id || '.' || rtrim(translate(encode(convert_to(p.text, 'UTF8'), 'base64'), E'+/\\n', '-_'), '=') AS text,
        k.inner_pad, k.outer_pad
      FROM payload p, stockade.context_keys k WHERE k.retired_at IS NULL
    )
    SELECT set_config('stockade.context',
      h.text || '.' || encode(sha256(h.outer_pad || sha256(h.inner_pad || convert_to(h.text, 'UTF8'))), 'hex'), true)
    FROM head h";

/// A transaction under a reader role, with a context or without.
pub(crate) async fn reader<'a>(
    connection: &'a mut PgConnection,
    role: &str,
    context: Option<&Context>,
) -> sqlx::Transaction<'a, sqlx::Postgres> {
    let mut transaction = connection.begin().await.unwrap();
    if let Some(context) = context {
        sqlx::query(SIGN)
            .bind(&context.tenant)
            .bind(&context.principal)
            .bind(&context.roles)
            .execute(&mut *transaction)
            .await
            .unwrap();
    }
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("SET LOCAL ROLE {role}"))).execute(&mut *transaction).await.unwrap();
    transaction
}

/// A line past the harness, which keeps what a test that passes prints.
pub(crate) fn say(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// One number.
pub(crate) async fn count(connection: &mut PgConnection, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(connection).await.unwrap()
}

/// One measure.
pub(crate) async fn measure(connection: &mut PgConnection, sql: &str) -> f64 {
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned())).fetch_one(connection).await.unwrap()
}
