//! The database as the rest of the host sees it.
use std::collections::HashMap;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Row};

use crate::audit::{self, AuditKey, AuditLine};
use crate::config::{CollectionConfig, DatabaseConfig};
use crate::context::ContextKey;
use crate::decode::{self, Kind, TypeOf};
use crate::embedded::EmbeddedPostgres;
use crate::embedder::Embedders;
use crate::error::DbError;
use crate::guard::{self, Analysis, Catalogue};
use crate::identity::{Identity, ReaderRole, is_plain_identifier};
use crate::session::{DescriptionKey, Session, SessionLimits};
use crate::share::Shares;
use crate::value::ResultSet;

mod catalogue;
mod checks;

/// Analyses and descriptions of statements that are kept; each cache starts anew when it is full.
const STATEMENTS_KEPT_MAX: usize = 512;
/// A description of an empty result is believed for this long.
const DESCRIPTION_AGE_MAX: Duration = Duration::from_secs(60);
/// Connections of the control pool: cancelling, looking up types and names, pings.
const CONTROL_CONNECTIONS_MAX: u32 = 2;
/// How long a control statement may take, waiting for its connection included.
const CONTROL_TIMEOUT: Duration = Duration::from_secs(5);
/// A new name in the database is seen after at most this time; in a granted schema at once.
const CATALOGUE_AGE_MAX: Duration = Duration::from_secs(60);
/// An unknown name makes the catalogue be read again, but not more often than this.
const CATALOGUE_AGE_MIN: Duration = Duration::from_secs(1);

/// A pool of connections, the signing key and the collections. Cloning is cheap.
#[derive(Clone)]
pub struct Database {
    pub(crate) inner: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) config: DatabaseConfig,
    pub(crate) key: ContextKey,
    pub(crate) pool: PgPool,
    /// Who may take how many of the pool's connections.
    pub(crate) shares: Shares,
    /// Same login, few connections, no statement cache, no plugin's SQL.
    pub(crate) control: PgPool,
    embedders: Embedders,
    embedded: tokio::sync::Mutex<Option<EmbeddedPostgres>>,
    analyses: Mutex<HashMap<String, Arc<Analysis>>>,
    types: RwLock<HashMap<u32, TypeOf>>,
    descriptions: Mutex<HashMap<DescriptionKey, (tokio::time::Instant, ResultSet)>>,
    catalogue: RwLock<(tokio::time::Instant, Arc<Catalogue>)>,
}

impl Database {
    /// Opens the pools (and starts the embedded cluster, where one is configured) and checks that the
    /// database is fit to serve from: version 15 or later, a login and reader roles that are no superusers,
    /// have no BYPASSRLS, own nothing and may create nothing; forced row security with a policy on every
    /// table they can read; no view or materialised view around it; the lock-down in place; and a signing
    /// key that the database knows.
    pub async fn connect(config: &DatabaseConfig) -> Result<Self, DbError> {
        check_config(config)?;
        let key = ContextKey::read_file(&config.context_key_file)?;
        let embedders = Embedders::new(config)?;
        let (embedded, url) = match (&config.url, &config.embedded) {
            (Some(url), None) => (None, url.expose().to_owned()),
            (None, Some(embedded)) => {
                let cluster = EmbeddedPostgres::start(embedded).await?;
                let url = cluster.url(&config.login_role, &config.database);
                (Some(cluster), url)
            }
            _ => {
                return Err(DbError::rejected(
                    "CONFIG_DATABASE",
                    "[database]: expected exactly one of url and embedded",
                ));
            }
        };
        let options = PgConnectOptions::from_str(&url)
            .map_err(|_| {
                DbError::rejected("CONFIG_DATABASE", "[database] url: expected postgres://login:password@host/database")
            })?
            .application_name("stockade")
            // PgBouncer refuses start-up parameters that it does not track; results are binary anyway.
            .extra_float_digits(None)
            .disable_statement_logging();
        let pool = PgPoolOptions::new()
            .max_connections(config.connections_max)
            .min_connections(config.connections_min)
            .idle_timeout(Duration::from_secs(config.idle_timeout_s))
            .acquire_timeout(Duration::from_millis(config.acquire_timeout_ms))
            // A ping before each query would be a round trip; a dead connection shows at BEGIN instead.
            .test_before_acquire(false)
            .connect_lazy_with(options.clone().statement_cache_capacity(config.statement_cache_capacity));
        let control = PgPoolOptions::new()
            .max_connections(CONTROL_CONNECTIONS_MAX)
            .acquire_timeout(CONTROL_TIMEOUT)
            .connect_lazy_with(options.application_name("stockade control").statement_cache_capacity(0));
        let shared = Shared {
            config: config.clone(),
            key,
            pool,
            shares: Shares::new(config),
            control,
            embedders,
            embedded: tokio::sync::Mutex::new(embedded),
            analyses: Mutex::default(),
            types: RwLock::default(),
            descriptions: Mutex::default(),
            catalogue: RwLock::new((tokio::time::Instant::now(), Arc::default())),
        };
        let database = Self { inner: Arc::new(shared) };
        if let Err(error) = database.prepare().await {
            database.close().await;
            return Err(error);
        }
        Ok(database)
    }

    async fn prepare(&self) -> Result<(), DbError> {
        checks::fitness(&self.inner.control, &self.inner.config).await?;
        checks::signing_key(self).await?;
        audit::check(&self.inner.control, &self.inner.config.reader_roles).await?;
        self.read_catalogue().await.map(drop)
    }

    /// What one tool call may do. Opens nothing.
    pub fn session(&self, identity: Identity, limits: SessionLimits) -> Session {
        Session::new(self.clone(), identity, limits)
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), DbError> {
        match tokio::time::timeout(CONTROL_TIMEOUT, sqlx::raw_sql("SELECT 1").execute(&self.inner.control)).await {
            Ok(outcome) => Ok(outcome.map(drop)?),
            Err(_) => Err(DbError::unavailable("the database did not answer a ping in time")),
        }
    }

    /// Embeds texts with the collection's model, in order. At most 64 texts of at most 8,192 bytes.
    pub async fn embed(&self, collection: &str, texts: &[String]) -> Result<Vec<Vec<f32>>, DbError> {
        self.inner.embedders.embed(self.collection(collection)?, texts).await
    }

    /// Closes the pools, and stops the embedded cluster where there is one.
    pub async fn close(&self) {
        self.inner.pool.close().await;
        self.inner.control.close().await;
        if let Some(cluster) = self.inner.embedded.lock().await.take()
            && let Err(error) = cluster.stop().await
        {
            tracing::warn!(error = error.for_log(), "the embedded PostgreSQL did not stop as it should");
        }
    }

    pub(crate) fn collection(&self, name: &str) -> Result<&CollectionConfig, DbError> {
        self.inner
            .config
            .collections
            .get(name)
            .ok_or_else(|| DbError::forbidden("COLLECTION_NOT_GRANTED", format!("there is no collection {name}")))
    }

    /// The guard's verdict on a plugin's statement, and where its text ends, in bytes.
    pub(crate) async fn admit(&self, sql: &str, parameters: usize, limits: &SessionLimits) -> Result<usize, DbError> {
        let analysis = self.analysis(sql)?;
        if analysis.parameters != parameters {
            return Err(DbError::rejected(
                "ARGUMENT_PARAMETER_COUNT",
                format!("the statement names {} parameters, found {parameters} values", analysis.parameters),
            ));
        }
        let (read, catalogue) = self.catalogue();
        let age = read.elapsed();
        let verdict = guard::check(&analysis, &limits.sql, &catalogue);
        let unknown = matches!(verdict, Err(DbError::Statement { .. } | DbError::Rejected { .. }));
        if age > CATALOGUE_AGE_MAX || (unknown && age > CATALOGUE_AGE_MIN) {
            let catalogue = self.read_catalogue().await?;
            guard::check(&analysis, &limits.sql, &catalogue)?;
        } else {
            verdict?;
        }
        Ok(analysis.end)
    }

    fn analysis(&self, sql: &str) -> Result<Arc<Analysis>, DbError> {
        if let Some(known) = lock(&self.inner.analyses).get(sql) {
            return Ok(Arc::clone(known));
        }
        let analysis = Arc::new(guard::analyse(sql)?);
        let mut analyses = lock(&self.inner.analyses);
        if analyses.len() >= STATEMENTS_KEPT_MAX {
            analyses.clear();
        }
        analyses.insert(sql.to_owned(), Arc::clone(&analysis));
        Ok(analysis)
    }

    fn catalogue(&self) -> (tokio::time::Instant, Arc<Catalogue>) {
        self.inner.catalogue.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn read_catalogue(&self) -> Result<Arc<Catalogue>, DbError> {
        let read = catalogue::read(&self.inner.control, &self.inner.config.search_path);
        let catalogue = within_control_time(read).await?;
        let catalogue = Arc::new(catalogue);
        *self.inner.catalogue.write().unwrap_or_else(PoisonError::into_inner) =
            (tokio::time::Instant::now(), Arc::clone(&catalogue));
        Ok(catalogue)
    }

    /// What a type is called and how it is held; looked up once for each that is not built in.
    pub(crate) async fn type_of(&self, oid: u32) -> Result<TypeOf, DbError> {
        if let Some((name, kind)) = decode::built_in(oid) {
            return Ok(TypeOf { name: name.to_owned(), kind });
        }
        if let Some(known) = self.inner.types.read().unwrap_or_else(PoisonError::into_inner).get(&oid) {
            return Ok(known.clone());
        }
        let lookup = async {
            let row = sqlx::query(
                "SELECT t.typname::text, t.typtype::text = 'e',
                        EXISTS (SELECT FROM pg_extension AS e WHERE e.extname = 'vector' AND e.extnamespace = t.typnamespace)
                 FROM pg_type AS t WHERE t.oid = $1::int8::oid",
            )
            .persistent(false)
            .bind(i64::from(oid))
            .fetch_one(&self.inner.control)
            .await?;
            let (name, is_enum, beside_vector): (String, bool, bool) =
                (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            let kind = match name.as_str() {
                _ if is_enum => Kind::Text,
                "vector" if beside_vector => Kind::Vector,
                _ => Kind::Unsupported,
            };
            Ok(TypeOf { name, kind })
        };
        let found = within_control_time(lookup).await?;
        self.inner.types.write().unwrap_or_else(PoisonError::into_inner).insert(oid, found.clone());
        Ok(found)
    }

    pub(crate) fn description(&self, key: &DescriptionKey) -> Option<ResultSet> {
        let descriptions = lock(&self.inner.descriptions);
        descriptions
            .get(key)
            .filter(|(at, _)| at.elapsed() < DESCRIPTION_AGE_MAX)
            .map(|(_, described)| described.clone())
    }

    pub(crate) fn remember_description(&self, key: DescriptionKey, described: ResultSet) {
        let mut descriptions = lock(&self.inner.descriptions);
        if descriptions.len() >= STATEMENTS_KEPT_MAX {
            descriptions.clear();
        }
        descriptions.insert(key, (tokio::time::Instant::now(), described));
    }

    /// The key under which arguments are known in the audit log.
    pub fn audit_key(&self) -> Result<AuditKey, DbError> {
        AuditKey::of(&self.inner.key)
    }

    /// Adds records to the audit log, all or none; one that is there already is left as it is.
    pub async fn append_audit(&self, lines: &[AuditLine]) -> Result<(), DbError> {
        within_control_time(audit::append(&self.inner.control, lines)).await
    }

    /// Asks the server to give up what the backend is doing.
    pub(crate) async fn cancel(&self, pid: i32) -> Result<(), DbError> {
        let cancel = async {
            sqlx::query("SELECT pg_cancel_backend($1)")
                .persistent(false)
                .bind(pid)
                .execute(&self.inner.control)
                .await?;
            Ok(())
        };
        within_control_time(cancel).await
    }

    pub(crate) fn reader_is_known(&self, role: &ReaderRole) -> bool {
        self.inner.config.reader_roles.contains(role)
    }
}

async fn within_control_time<T>(work: impl Future<Output = Result<T, DbError>>) -> Result<T, DbError> {
    tokio::time::timeout(CONTROL_TIMEOUT, work)
        .await
        .unwrap_or_else(|_| Err(DbError::unavailable("the database did not answer a control statement in time")))
}

fn check_config(config: &DatabaseConfig) -> Result<(), DbError> {
    let wrong = |message: &str| Err(DbError::rejected("CONFIG_DATABASE", format!("[database] {message}")));
    if config.reader_roles.is_empty() {
        return wrong("reader_roles: expected at least one role");
    }
    if config.search_path.is_empty() || !config.search_path.iter().all(|schema| is_plain_identifier(schema)) {
        return wrong("search_path: expected schemas, each an identifier of a-z, 0-9 and _");
    }
    if let Some(table) = config.shared_tables.iter().find(|table| table.split('.').count() != 2) {
        return wrong(&format!("shared_tables: expected schema.name, found {table}"));
    }
    if config.connections_max == 0 || config.connections_min > config.connections_max {
        return wrong("connections_max: expected at least 1 and not less than connections_min");
    }
    if config.connections_per_tenant_max.is_some_and(|max| max == 0 || max > config.connections_max) {
        return wrong("connections_per_tenant_max: expected 1 to connections_max");
    }
    let times = [
        config.acquire_timeout_ms,
        config.statement_timeout_ms,
        config.lock_timeout_ms,
        config.idle_in_transaction_timeout_ms,
    ];
    // PostgreSQL's timeouts are 32-bit milliseconds, and 0 would switch them off.
    if times.iter().any(|ms| *ms == 0 || i32::try_from(*ms).is_err()) {
        return wrong("…_timeout_ms: expected 1 to 2147483647");
    }
    for (name, collection) in &config.collections {
        let parts: Vec<&str> = collection.function.split('.').collect();
        if parts.len() != 2 || !parts.iter().all(|part| is_plain_identifier(part)) {
            return Err(DbError::rejected(
                "CONFIG_COLLECTION",
                format!("[collections.{name}] function: expected schema.function"),
            ));
        }
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What is behind these locks is whole at every moment: a panic elsewhere does not make it wrong.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
