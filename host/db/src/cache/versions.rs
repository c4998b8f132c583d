//! The versions of watched tables, as the database tells of them (`migrations/host/006_versions.sql`).
//!
//! Whoever asks a question takes the versions before its statement begins. What commits later shows under a
//! later version, so a result is never kept for a state that it has not seen. While the host does not hear
//! (no connection, no echo, a re-read under way) there are no versions, and nothing kept is given out.
use std::collections::{BTreeSet, HashMap, HashSet};
use std::convert::Infallible;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard, Weak};
use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgConnectOptions, PgListener, PgNotification, PgPoolOptions};
use tokio::time::Instant;

use super::QueryCache;
use crate::database::{Database, Shared};
use crate::error::DbError;
use crate::node::{CONTROL_TIMEOUT, within_control_time};

/// A relation's id and its version.
pub(crate) type Version = (i64, String);
/// A relation's schema and name.
pub(crate) type Relation = (String, String);

/// Where `stockade.bump()` tells of a changed relation.
const CHANGES: &str = "stockade_changes";
/// The definitions of everything.
const DEFINITIONS: i64 = 0;
/// How often the host sends itself a notification through the pool, to see that it hears.
const ECHO_EVERY: Duration = Duration::from_secs(1);
/// How long after the last echo was sent the host believes that nothing has changed but what it heard of.
const ECHO_TRUSTED: Duration = Duration::from_secs(3);
/// Between two attempts to listen.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// A watched table, and all tables that a query on it reads.
type Tables = HashMap<Relation, Vec<i64>>;

pub(crate) struct Versions {
    began: Instant,
    heard: RwLock<Heard>,
}

#[derive(Default)]
struct Heard {
    trusted_until: Option<Instant>,
    versions: HashMap<i64, String>,
    /// Heard to have changed; their new versions are being read.
    changing: HashSet<i64>,
    tables: Tables,
}

impl Versions {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), heard: RwLock::default() }
    }

    /// The versions of everything that a statement on these relations reads, that of the definitions first.
    /// `None` while they are not known, or where a relation is not watched.
    pub(crate) fn of(&self, relations: &[Relation]) -> Option<Vec<Version>> {
        let heard = self.heard.read().unwrap_or_else(PoisonError::into_inner);
        if heard.trusted_until.is_none_or(|until| until <= Instant::now()) {
            return None;
        }
        let mut reached = BTreeSet::from([DEFINITIONS]);
        for relation in relations {
            reached.extend(heard.tables.get(relation)?);
        }
        let version = |id: i64| {
            // A table that nobody has changed yet has none.
            let version = heard.versions.get(&id).cloned().unwrap_or_default();
            (!heard.changing.contains(&id)).then_some((id, version))
        };
        reached.into_iter().map(version).collect()
    }

    pub(crate) fn hearing(&self) -> bool {
        self.of(&[]).is_some()
    }

    /// Whether the notification tells of a change: from now on its relation has no version that is known.
    fn take(&self, heard: &mut Heard, echoes: &str, notification: &PgNotification) -> bool {
        if notification.channel() == echoes {
            let sent = notification.payload().parse().ok().map(Duration::from_micros);
            heard.trusted_until = sent.and_then(|sent| self.began.checked_add(sent + ECHO_TRUSTED));
            return false;
        }
        // A payload that is none of ours could stand for anything.
        heard.changing.insert(notification.payload().parse().unwrap_or(DEFINITIONS));
        true
    }

    fn heard(&self) -> RwLockWriteGuard<'_, Heard> {
        self.heard.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Listens until it is stopped, or the database is gone.
pub(crate) async fn follow(database: Weak<Shared>, options: PgConnectOptions) {
    let mut told = None;
    loop {
        let Err(error) = hear(&database, &options).await;
        let Ok((shared, cache)) = open(&database) else { return };
        *cache.versions.heard() = Heard::default();
        let reason = error.for_log();
        if told.as_ref() != Some(&reason) {
            tracing::warn!(reason, "changes of tables are not heard of: the cache gives out nothing until they are");
            told = Some(reason);
        }
        drop((shared, cache));
        tokio::time::sleep(RETRY_AFTER).await;
    }
}

fn open(database: &Weak<Shared>) -> Result<(Arc<Shared>, Arc<QueryCache>), DbError> {
    let shared = database.upgrade();
    let cache = shared.as_ref().and_then(|shared| shared.cache.clone());
    shared.zip(cache).ok_or_else(|| DbError::unavailable("the database was closed"))
}

/// Ends with the reason why it hears no more.
async fn hear(database: &Weak<Shared>, options: &PgConnectOptions) -> Result<Infallible, DbError> {
    let echoes = format!("stockade_echo_{}", uuid::Uuid::new_v4().simple());
    let pool = PgPoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
    let pool = pool.acquire_timeout(CONTROL_TIMEOUT).connect_lazy_with(options.clone());
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.eager_reconnect(false);
    within_control_time(async { Ok(listener.listen_all([CHANGES, &echoes]).await?) }).await?;
    // What commits from here on is heard of. Nothing is trusted before the first echo.
    catch_up(database, &mut listener, &echoes, true).await?;
    tokio::select! {
        failed = send_echoes(database, &echoes) => failed,
        failed = receive(database, &mut listener, &echoes) => failed,
    }
}

/// Through the pool and not through the listening connection: a pooler hands a client's own back to it.
async fn send_echoes(database: &Weak<Shared>, echoes: &str) -> Result<Infallible, DbError> {
    loop {
        let (shared, cache) = open(database)?;
        let notify = format!("NOTIFY {echoes}, '{}'", cache.versions.began.elapsed().as_micros());
        let notify = async { Ok(sqlx::raw_sql(AssertSqlSafe(notify)).execute(&shared.primary.control).await?) };
        within_control_time(notify).await?;
        drop((shared, cache));
        tokio::time::sleep(ECHO_EVERY).await;
    }
}

async fn receive(database: &Weak<Shared>, listener: &mut PgListener, echoes: &str) -> Result<Infallible, DbError> {
    loop {
        let Ok(received) = tokio::time::timeout(ECHO_TRUSTED, listener.try_recv()).await else {
            return Err(DbError::unavailable(
                "no echo came back: expected a direct connection in [cache] listen_url, not one through a pooler",
            ));
        };
        let Some(notification) = received? else {
            return Err(DbError::unavailable("the listening connection was lost"));
        };
        let (_, cache) = open(database)?;
        if cache.versions.take(&mut cache.versions.heard(), echoes, &notification) {
            catch_up(database, listener, echoes, false).await?;
        }
    }
}

/// Reads the versions, and the definitions where they have changed, until nothing was heard meanwhile. It
/// reads through the listening connection: what is heard meanwhile waits in its buffer, a thousand changes
/// as one.
async fn catch_up(
    database: &Weak<Shared>,
    listener: &mut PgListener,
    echoes: &str,
    mut definitions: bool,
) -> Result<(), DbError> {
    loop {
        let (shared, cache) = open(database)?;
        definitions |= cache.versions.heard().changing.contains(&DEFINITIONS);
        let tables = if definitions { Some(read_tables(&shared, listener).await?) } else { None };
        let query = sqlx::query_as("SELECT relation, version FROM stockade.table_versions").persistent(false);
        let read: Vec<Version> = within_control_time(async { Ok(query.fetch_all(&mut *listener).await?) }).await?;
        let buffered: Vec<PgNotification> = std::iter::from_fn(|| listener.next_buffered()).collect();
        let mut heard = cache.versions.heard();
        heard.versions = read.into_iter().collect();
        heard.changing.clear();
        heard.tables = tables.unwrap_or_else(|| std::mem::take(&mut heard.tables));
        // Each of them may have come before or after what was read.
        let changes = buffered.iter().filter(|one| cache.versions.take(&mut heard, echoes, one)).count();
        if changes == 0 {
            return Ok(());
        }
        definitions = false;
    }
}

/// The watched tables whose results can be kept. Says in the log which cannot, and why.
async fn read_tables(shared: &Arc<Shared>, listener: &mut PgListener) -> Result<Tables, DbError> {
    // What a name means may have changed with the definitions.
    Database { inner: Arc::clone(shared) }.read_catalogue().await?;
    let query = "SELECT schema, name, tables, unfit FROM stockade.watched_tables ORDER BY 1, 2";
    let query = sqlx::query_as(query).persistent(false);
    let rows: Vec<(String, String, Vec<i64>, Vec<String>)> =
        within_control_time(async { Ok(query.fetch_all(&mut *listener).await?) }).await?;
    let mut tables = Tables::new();
    for (schema, name, reached, unfit) in rows {
        if unfit.is_empty() {
            tables.insert((schema, name), reached);
        } else {
            let table = format!("{schema}.{name}");
            tracing::warn!(table, reasons = unfit.join("; "), "results of queries on this table are not kept");
        }
    }
    Ok(tables)
}
