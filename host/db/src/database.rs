//! The database as the rest of the host sees it.
use std::collections::HashMap;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};
use tokio::task::AbortHandle;

use crate::audit::{self, AuditKey, AuditLine};
use crate::cache::{self, CacheConfig, CacheStats, QueryCache};
use crate::collection::{Collections, VectorType};
use crate::config::{Adjustable, CollectionConfig, DatabaseConfig};
use crate::context::ContextKey;
use crate::decode::{self, Kind, TypeOf};
use crate::embedded::EmbeddedPostgres;
use crate::embedder::Embedders;
use crate::error::DbError;
use crate::guard::{self, Analysis, Catalogue, Fingerprint};
use crate::identity::{Identity, ReaderRole, TenantId, is_plain_identifier};
use crate::node::{Node, within_control_time};
use crate::replica::Replicas;
use crate::retry::Retries;
use crate::session::{DescriptionKey, Session, SessionLimits};
use crate::statistics::{StatementStatistics, Statistics};
use crate::value::ResultSet;

mod catalogue;
pub(crate) mod checks;
mod health;

pub use health::Migrations;

/// Analyses and descriptions of statements that are kept; each cache starts anew when it is full.
const STATEMENTS_KEPT_MAX: usize = 512;
/// A description of an empty result is believed for this long.
const DESCRIPTION_AGE_MAX: Duration = Duration::from_secs(60);
/// PostgreSQL keeps 63 bytes, and ` control` goes behind.
const APPLICATION_NAME_BYTES_MAX: usize = 55;
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
    /// What of `config` has changed since.
    adjustable: RwLock<Adjustable>,
    pub(crate) key: ContextKey,
    pub(crate) primary: Arc<Node>,
    pub(crate) replicas: Replicas,
    pub(crate) retries: Retries,
    pub(crate) cache: Option<Arc<QueryCache>>,
    /// Listens to what changes, for the cache.
    listening: Mutex<Option<AbortHandle>>,
    embedders: Embedders,
    collections: Collections,
    embedded: tokio::sync::Mutex<Option<EmbeddedPostgres>>,
    analyses: Mutex<HashMap<String, Arc<Analysis>>>,
    types: RwLock<HashMap<u32, TypeOf>>,
    descriptions: Mutex<HashMap<DescriptionKey, (tokio::time::Instant, ResultSet)>>,
    catalogue: RwLock<(tokio::time::Instant, Arc<Catalogue>)>,
    pub(crate) statistics: Statistics,
    /// One plan of a slow statement at a time.
    pub(crate) planning: Arc<tokio::sync::Semaphore>,
    /// Held by whoever reads the catalogue; the others wait for what is read.
    reading: tokio::sync::Mutex<()>,
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
        let replicas =
            config.replicas.iter().map(|url| options("[database] replicas", url.expose())).collect::<Result<_, _>>()?;
        let options_of_primary = options("[database] url", &url)?;
        let listen_url = config.cache.as_ref().and_then(|cache| cache.listen_url.as_ref());
        let listen_options = match listen_url {
            Some(url) => options("[cache] listen_url", url.expose())?,
            None => options_of_primary.clone(),
        };
        let cache = config.cache.as_ref().map(|cache| QueryCache::new(cache, &key).map(Arc::new)).transpose()?;
        let shared = Shared {
            config: config.clone(),
            adjustable: RwLock::new(config.into()),
            key,
            primary: Arc::new(Node::new(options_of_primary, config)),
            replicas: Replicas::new(replicas, config),
            retries: Retries::new(config),
            cache,
            listening: Mutex::default(),
            embedders,
            collections: Collections::new(),
            embedded: tokio::sync::Mutex::new(embedded),
            analyses: Mutex::default(),
            types: RwLock::default(),
            descriptions: Mutex::default(),
            catalogue: RwLock::new((tokio::time::Instant::now(), Arc::default())),
            statistics: Statistics::default(),
            planning: Arc::new(tokio::sync::Semaphore::new(1)),
            reading: tokio::sync::Mutex::default(),
        };
        let database = Self { inner: Arc::new(shared) };
        if let Err(error) = database.prepare().await {
            database.close().await;
            return Err(error);
        }
        database.inner.replicas.watch(database.control().clone(), config);
        if database.inner.cache.is_some() {
            let name = format!("{} cache", config.application_name);
            let options = listen_options.application_name(&name).statement_cache_capacity(0);
            let listening = tokio::spawn(cache::follow(Arc::downgrade(&database.inner), options));
            *lock(&database.inner.listening) = Some(listening.abort_handle());
        }
        Ok(database)
    }

    async fn prepare(&self) -> Result<(), DbError> {
        checks::fitness(self.control(), &self.inner.config).await?;
        checks::signing_key(self).await?;
        audit::check(self.control(), &self.inner.config.reader_roles).await?;
        for (name, collection) in &self.inner.config.collections {
            self.collection_ready(name, collection).await?;
        }
        self.read_catalogue().await.map(drop)
    }

    /// What one tool call may do. Opens nothing.
    pub fn session(&self, identity: Identity, limits: SessionLimits) -> Session {
        Session::new(self.clone(), identity, limits)
    }

    /// Checks what can be checked of a configuration without its database.
    ///
    /// # Errors
    /// Names the key.
    pub fn check_config(config: &DatabaseConfig) -> Result<(), DbError> {
        check_config(config)
    }

    /// Takes what of a checked configuration may change while the host runs: times and memory of a transaction,
    /// from the next one on, what is slow, and which results are kept, for how long.
    pub fn adjust(&self, config: &DatabaseConfig) {
        *self.inner.adjustable.write().unwrap_or_else(PoisonError::into_inner) = config.into();
        if let (Some(cache), Some(config)) = (&self.inner.cache, &config.cache) {
            cache.adjust(config);
        }
    }

    pub(crate) fn adjustable(&self) -> Adjustable {
        *self.inner.adjustable.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), DbError> {
        let ping = sqlx::raw_sql("SELECT 1").execute(self.control());
        within_control_time(async { Ok(ping.await.map(drop)?) }).await
    }

    /// Embeds texts with the collection's model, in order. At most 64 texts of at most 8,192 bytes. Tenants take turns
    /// at a local model.
    #[tracing::instrument(
        target = "stockade::trace",
        name = "embed",
        level = "trace",
        skip_all,
        fields(stockade.collection = collection, stockade.texts = texts.len())
    )]
    pub async fn embed(&self, tenant: &TenantId, collection: &str, texts: &[String]) -> Result<Vec<Vec<f32>>, DbError> {
        self.inner.embedders.embed(tenant, self.collection(collection)?, texts).await
    }

    /// Closes the pools, and stops the embedded cluster where there is one.
    pub async fn close(&self) {
        if let Some(listening) = lock(&self.inner.listening).take() {
            listening.abort();
        }
        self.inner.replicas.close().await;
        self.inner.primary.close().await;
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

    /// How the collection's vectors are held; an error where its embeddings are not the configured model's.
    pub(crate) async fn collection_ready(
        &self,
        name: &str,
        collection: &CollectionConfig,
    ) -> Result<VectorType, DbError> {
        let ready = self.inner.collections.ready(self.control(), &self.inner.config, name, collection);
        within_control_time(ready).await
    }

    pub(crate) fn collections(&self) -> &Collections {
        &self.inner.collections
    }

    /// The guard's verdict on a plugin's statement, and the text that goes to the server in its place.
    pub(crate) async fn admit(
        &self,
        sql: &str,
        parameters: usize,
        limits: &SessionLimits,
    ) -> Result<Arc<str>, DbError> {
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
            // On the heap: few statements come to it, and each would keep room for it.
            let catalogue = Box::pin(self.newer_catalogue(read)).await?;
            guard::check(&analysis, &limits.sql, &catalogue)?;
        } else {
            verdict?;
        }
        Ok(Arc::clone(&analysis.text))
    }

    /// The relations that decide the statement's result, or none where something else does too.
    pub(crate) fn reads(&self, sql: &str) -> Option<Vec<(String, String)>> {
        let (_, catalogue) = self.catalogue();
        guard::reads(&*self.analysis(sql).ok()?, &catalogue)
    }

    /// What the cache of queries does, and holds. `None` where there is none.
    pub fn cache_stats(&self) -> Option<CacheStats> {
        self.inner.cache.as_ref().map(|cache| cache.stats())
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
        // From here on it is known by the text that goes to the server.
        analyses.insert(analysis.text.to_string(), Arc::clone(&analysis));
        Ok(analysis)
    }

    /// What statistics know a statement by. Those that were admitted are looked up.
    pub(crate) fn fingerprint(&self, sql: &str) -> Arc<Fingerprint> {
        self.analysis(sql).map(|analysis| Arc::clone(&analysis.fingerprint)).unwrap_or_default()
    }

    /// How long statements took, by tool, tenant and statement.
    pub fn statistics(&self) -> StatementStatistics {
        self.inner.statistics.snapshot(self.adjustable().slow_statement_ms)
    }

    fn catalogue(&self) -> (tokio::time::Instant, Arc<Catalogue>) {
        self.inner.catalogue.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A catalogue that was read after that moment. However many calls want it, one reads it: the control
    /// connections are few.
    async fn newer_catalogue(&self, than: tokio::time::Instant) -> Result<Arc<Catalogue>, DbError> {
        self.inner.primary.breaker.check()?;
        let _reading = self.inner.reading.lock().await;
        let (read, catalogue) = self.catalogue();
        if read > than { Ok(catalogue) } else { self.read_catalogue().await }
    }

    pub(crate) async fn read_catalogue(&self) -> Result<Arc<Catalogue>, DbError> {
        let read = catalogue::read(self.control(), &self.inner.config.search_path);
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
            let lookup = format!(
                "SELECT t.typname, t.typtype = 'e',
                        EXISTS (SELECT FROM pg_extension AS e WHERE e.extname = 'vector' AND e.extnamespace = t.typnamespace)
                 FROM pg_type AS t WHERE t.oid = {oid}",
            );
            let row = sqlx::raw_sql(AssertSqlSafe(lookup)).fetch_one(self.control()).await?;
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
        within_control_time(audit::append(self.control(), lines)).await
    }

    fn control(&self) -> &PgPool {
        &self.inner.primary.control
    }

    pub(crate) fn reader_is_known(&self, role: &ReaderRole) -> bool {
        self.inner.config.reader_roles.contains(role)
    }
}

fn options(key: &str, url: &str) -> Result<PgConnectOptions, DbError> {
    let options = PgConnectOptions::from_str(url).map_err(|_| {
        DbError::rejected("CONFIG_DATABASE", format!("{key}: expected postgres://login:password@host/database"))
    })?;
    // PgBouncer refuses start-up parameters that it does not track; results are binary anyway.
    Ok(options.extra_float_digits(None).disable_statement_logging())
}

fn check_config(config: &DatabaseConfig) -> Result<(), DbError> {
    config.cache.as_ref().map_or(Ok(()), CacheConfig::check)?;
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
    if config.embedded.is_some() && !config.replicas.is_empty() {
        return wrong("replicas: an embedded cluster has none");
    }
    if config.connections_max == 0 || config.connections_min > config.connections_max {
        return wrong("connections_max: expected at least 1 and not less than connections_min");
    }
    if config.connections_per_tenant_max.is_some_and(|max| max == 0 || max > config.connections_max) {
        return wrong("connections_per_tenant_max: expected 1 to connections_max");
    }
    if config.application_name.is_empty()
        || config.application_name.len() > APPLICATION_NAME_BYTES_MAX
        || !config.application_name.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
    {
        return wrong("application_name: expected 1 to 55 printable ASCII characters");
    }
    if !(64..=2_097_152).contains(&config.work_mem_kib) {
        return wrong("work_mem_kib: expected 64 to 2097152");
    }
    if config.attempts_max == 0 || config.breaker_failures_max == 0 {
        return wrong("attempts_max, breaker_failures_max: expected at least 1");
    }
    if config.retry_budget_percent > 100 {
        return wrong("retry_budget_percent: expected 0 to 100");
    }
    let times = [
        config.acquire_timeout_ms,
        config.statement_timeout_ms,
        config.lock_timeout_ms,
        config.idle_in_transaction_timeout_ms,
        config.replica_lag_ms_max,
    ];
    // PostgreSQL's timeouts are 32-bit milliseconds, and 0 would switch them off.
    if times.iter().any(|ms| *ms == 0 || i32::try_from(*ms).is_err()) {
        return wrong("…_timeout_ms, replica_lag_ms_max: expected 1 to 2147483647");
    }
    for (name, collection) in &config.collections {
        collection.check(name)?;
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What is behind these locks is whole at every moment: a panic elsewhere does not make it wrong.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
