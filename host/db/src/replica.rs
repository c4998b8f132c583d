//! Standbys that serve reads while they are close enough behind the primary.
//!
//! Lag is measured by this host, on its own clock. Every so often it notes where the primary's log ends
//! and asks each replica how far it has replayed: a replica is as far behind as the youngest note that it has
//! reached is old. So a primary without writes makes no lag, a replica that lost its primary or does not
//! answer grows old by itself, and whose lag is not known is not used.
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::Row;
use sqlx::postgres::{PgConnectOptions, PgPool};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::config::DatabaseConfig;
use crate::database::checks;
use crate::error::DbError;
use crate::node::{Node, within_control_time};

/// Notes of the primary's log that are kept.
const NOTES_MAX: usize = 64;

pub(crate) struct Replicas {
    lag_max: Duration,
    all: Vec<Arc<Replica>>,
    next: AtomicU64,
    watch: Mutex<Option<AbortHandle>>,
}

pub(crate) struct Replica {
    pub(crate) node: Arc<Node>,
    /// The same checks as on the primary have been passed: a URL may name another login, or another server.
    fit: AtomicBool,
    /// It was said that it is not used yet.
    reported: AtomicBool,
    /// It has all that the primary had written by then.
    current_at: Mutex<Option<Instant>>,
}

impl Replicas {
    /// Opens nothing yet.
    pub(crate) fn new(options: Vec<PgConnectOptions>, config: &DatabaseConfig) -> Self {
        let replica = |options| {
            Arc::new(Replica {
                node: Arc::new(Node::new(options, config)),
                fit: AtomicBool::new(false),
                reported: AtomicBool::new(false),
                current_at: Mutex::default(),
            })
        };
        Self {
            lag_max: Duration::from_millis(config.replica_lag_ms_max),
            all: options.into_iter().map(replica).collect(),
            next: AtomicU64::new(0),
            watch: Mutex::default(),
        }
    }

    /// The next replica that is close enough behind and answers, by turns.
    pub(crate) fn pick(&self) -> Option<Arc<Replica>> {
        let first = self.next.fetch_add(1, Ordering::Relaxed) as usize;
        let in_turn = self.all.iter().cycle().skip(first % self.all.len().max(1)).take(self.all.len());
        in_turn.filter(|replica| self.is_close(replica)).find(|replica| replica.node.breaker.check().is_ok()).cloned()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Replica> {
        self.all.iter().map(AsRef::as_ref)
    }

    pub(crate) fn is_close(&self, replica: &Replica) -> bool {
        replica.lag().is_some_and(|lag| lag <= self.lag_max)
    }

    /// Begins to measure; nothing is used before.
    pub(crate) fn watch(&self, primary: PgPool, config: &DatabaseConfig) {
        if self.all.is_empty() {
            return;
        }
        let (replicas, config) = (self.all.clone(), config.clone());
        let every = (self.lag_max / 4).clamp(Duration::from_millis(20), Duration::from_secs(1));
        let watch = tokio::spawn(async move {
            let mut notes = VecDeque::new();
            loop {
                if let Ok(end) = position(&primary, "SELECT pg_current_wal_lsn() - '0/0'").await {
                    notes.push_front((Instant::now(), end));
                    notes.truncate(NOTES_MAX);
                }
                futures::future::join_all(replicas.iter().map(|replica| replica.measure(&notes, &config))).await;
                tokio::time::sleep(every).await;
            }
        });
        *self.watch.lock().unwrap_or_else(PoisonError::into_inner) = Some(watch.abort_handle());
    }

    pub(crate) async fn close(&self) {
        if let Some(watch) = self.watch.lock().unwrap_or_else(PoisonError::into_inner).take() {
            watch.abort();
        }
        for replica in &self.all {
            replica.node.close().await;
        }
    }
}

impl Drop for Replicas {
    fn drop(&mut self) {
        if let Some(watch) = self.watch.lock().unwrap_or_else(PoisonError::into_inner).take() {
            watch.abort();
        }
    }
}

impl Replica {
    /// How far behind it is, at most; none where nobody knows.
    pub(crate) fn lag(&self) -> Option<Duration> {
        self.current_at.lock().unwrap_or_else(PoisonError::into_inner).map(|at| at.elapsed())
    }

    /// Compares what it has replayed with the notes, the youngest first.
    async fn measure(&self, notes: &VecDeque<(Instant, i64)>, config: &DatabaseConfig) {
        if !self.fit.load(Ordering::Relaxed) {
            if let Err(error) = within_control_time(checks::fitness(&self.node.control, config)).await {
                if !self.reported.swap(true, Ordering::Relaxed) {
                    tracing::error!(error = error.for_log(), "a replica is not used: it is not fit, or not there");
                }
                return;
            }
            self.fit.store(true, Ordering::Relaxed);
        }
        // A server that is no standby answers NULL, and is not used.
        let replayed =
            position(&self.node.control, "SELECT pg_last_wal_replay_lsn() - '0/0' WHERE pg_is_in_recovery()").await;
        if let Ok(replayed) = replayed
            && let Some((at, _)) = notes.iter().find(|(_, end)| *end <= replayed)
        {
            *self.current_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(*at);
        }
    }
}

/// Bytes of the log, from its beginning.
async fn position(control: &PgPool, sql: &'static str) -> Result<i64, DbError> {
    within_control_time(async {
        let row = sqlx::raw_sql(sql).fetch_one(control).await?;
        let text = row.try_get_raw(0)?;
        let text = text.as_str().map_err(|error| DbError::internal(error.to_string()))?;
        text.parse().map_err(|_| DbError::internal("a position in the log: expected a number"))
    })
    .await
}
