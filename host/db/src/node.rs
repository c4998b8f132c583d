//! One server with the data, and the connections to it.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, Postgres};

use crate::breaker::Breaker;
use crate::config::DatabaseConfig;
use crate::error::DbError;
use crate::share::Shares;

/// Connections of the control pool: cancelling, looking up types and names, pings, the audit log.
const CONTROL_CONNECTIONS_MAX: u32 = 2;
/// How long a control statement may take, waiting for its connection included.
pub(crate) const CONTROL_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection that takes longer to open is not waited for where one of the others comes free.
const OPENING_PATIENCE: Duration = Duration::from_millis(100);
/// Between two looks for a connection that has come free: the pool tells nobody. What a call gave back
/// comes free after a round trip.
const FREED_POLL: Duration = Duration::from_millis(5);
/// What the system says where this process has as many descriptors open as it may, on every Unix.
const EMFILE: i32 = 24;
/// The same, where all processes together have.
const ENFILE: i32 = 23;

pub(crate) struct Node {
    pub(crate) pool: PgPool,
    /// Same login, few connections, no statement cache, no plugin's SQL, and no seat needed: however many
    /// calls wait, the host can cancel, ask and record.
    pub(crate) control: PgPool,
    /// Who may take which of the pool's connections.
    pub(crate) shares: Arc<Shares>,
    pub(crate) breaker: Breaker,
    pub(crate) acquire_timeout: Duration,
    pub(crate) discarded: AtomicU64,
    pub(crate) cancelled: AtomicU64,
}

impl Node {
    /// Opens nothing yet.
    pub(crate) fn new(options: PgConnectOptions, config: &DatabaseConfig) -> Self {
        let name = &config.application_name;
        let acquire_timeout = Duration::from_millis(config.acquire_timeout_ms);
        let pool = PgPoolOptions::new()
            // Seats bound what calls hold. Whoever keeps the minimum open takes a place of the pool for as long as
            // the server refuses, up to minutes: those places must not be calls'.
            .max_connections(config.connections_max.saturating_add(config.connections_min))
            .min_connections(config.connections_min)
            .idle_timeout(Duration::from_secs(config.idle_timeout_s))
            .acquire_timeout(acquire_timeout)
            // A ping before each query would be a round trip; a dead connection shows at BEGIN instead.
            .test_before_acquire(false)
            .connect_lazy_with(
                options.clone().application_name(name).statement_cache_capacity(config.statement_cache_capacity),
            );
        let control = PgPoolOptions::new()
            .max_connections(CONTROL_CONNECTIONS_MAX)
            .acquire_timeout(CONTROL_TIMEOUT)
            .connect_lazy_with(options.application_name(&format!("{name} control")).statement_cache_capacity(0));
        Self {
            pool,
            control,
            shares: Shares::new(config),
            breaker: Breaker::new(config.breaker_failures_max, Duration::from_millis(config.breaker_open_ms)),
            acquire_timeout,
            discarded: AtomicU64::new(0),
            cancelled: AtomicU64::new(0),
        }
    }

    /// A connection, for whoever holds a seat: the pool has one, or opens one. Where none can be opened, because
    /// the server or this process has no more to give, those that are open serve all, one after the other.
    pub(crate) async fn connection(&self) -> Result<PoolConnection<Postgres>, DbError> {
        let opened = tokio::select! {
            biased;
            opened = self.pool.acquire() => opened,
            // A server that is out of connections is asked again until the time is up.
            Some(freed) = self.freed(OPENING_PATIENCE) => return Ok(freed),
        };
        match opened {
            Ok(connection) => Ok(connection),
            // The pool has tried again all the time, where the server refused; whoever tried again would hang as long.
            Err(sqlx::Error::PoolTimedOut) => Err(DbError::outage("no connection could be opened in time")),
            Err(error) if is_out_of_descriptors() => {
                match tokio::time::timeout(self.acquire_timeout, self.freed(FREED_POLL)).await {
                    Ok(Some(freed)) => Ok(freed),
                    Ok(None) => Err(DbError::unavailable(error.to_string())),
                    Err(_) => Err(DbError::Timeout { code: "POOL_TIMEOUT" }),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The first open connection that comes free, looked for from `after` on; none where none is open.
    async fn freed(&self, after: Duration) -> Option<PoolConnection<Postgres>> {
        tokio::time::sleep(after).await;
        loop {
            if let Some(freed) = self.pool.try_acquire() {
                return Some(freed);
            }
            if self.pool.size() == 0 {
                return None;
            }
            tokio::time::sleep(FREED_POLL).await;
        }
    }

    /// The pool's connections that are open and lie idle.
    pub(crate) fn idle(&self) -> u32 {
        idle(&self.pool)
    }

    /// The same of the connections for control.
    pub(crate) fn control_idle(&self) -> u32 {
        idle(&self.control)
    }

    /// Asks the server to give up what the backend is doing.
    pub(crate) async fn cancel(&self, pid: i32) -> Result<(), DbError> {
        let cancel = AssertSqlSafe(format!("SELECT pg_cancel_backend({pid})"));
        within_control_time(async { Ok(sqlx::raw_sql(cancel).execute(&self.control).await.map(drop)?) }).await?;
        self.cancelled.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
        self.control.close().await;
    }
}

/// A connection can be taken again before the pool has counted it: for that instant the count is below zero, and wraps.
fn idle(pool: &PgPool) -> u32 {
    u32::try_from(pool.num_idle()).unwrap_or(0)
}

/// Whether this process can open nothing. The system is asked: what fails first may be a look-up of a name, or the
/// reading of certificates, and they do not say why.
fn is_out_of_descriptors() -> bool {
    let failed = std::fs::File::open("/dev/null").err();
    matches!(failed.and_then(|error| error.raw_os_error()), Some(EMFILE | ENFILE))
}

pub(crate) async fn within_control_time<T>(work: impl Future<Output = Result<T, DbError>>) -> Result<T, DbError> {
    tokio::time::timeout(CONTROL_TIMEOUT, work)
        .await
        .unwrap_or_else(|_| Err(DbError::unavailable("the database did not answer a control statement in time")))
}
