//! Standbys that serve reads while they are close enough behind the primary.
//!
//! Lag is measured by this host, on its own clock. Every so often it notes where the primary's log ends
//! and asks each replica how far it has replayed: a replica is as far behind as the youngest note that it has
//! reached is old. So a primary without writes makes no lag, a replica that lost its primary or does not
//! answer grows old by itself, and whose lag is not known is not used.
//!
//! After a fail-over another server answers as the primary, and writes a log of its own from where it was: another
//! timeline. A replica that still follows the old one may have what the new primary never had, and be farther in
//! bytes; so only places in the same log are compared, and such a replica grows old.
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::Row;
use sqlx::postgres::{PgConnectOptions, PgPool};
use tokio::task::JoinSet;
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
    /// Ends with it.
    watch: Mutex<JoinSet<()>>,
}

pub(crate) struct Replica {
    pub(crate) node: Arc<Node>,
    /// The log of the server that has passed the same checks as the primary: a URL may name another login, and
    /// another server at any time.
    fit: Mutex<Option<String>>,
    /// It was said that it is not used.
    reported: AtomicBool,
    /// It has all that the primary had written by then.
    current_at: Mutex<Option<Instant>>,
}

/// Places in the primary's log, and from when on it had written as far; the youngest first.
type Notes = Mutex<VecDeque<(Instant, Place)>>;

/// A place in a server's log.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    /// The cluster, and the timeline in it.
    log: String,
    /// Bytes from the beginning.
    bytes: i64,
}

/// Where a primary writes.
const WRITTEN: &str = "SELECT system_identifier || ' ' || left(pg_walfile_name(pg_current_wal_lsn()), 8),
    pg_current_wal_lsn() - '0/0' FROM pg_control_system()";
/// How far a standby is; no row of a server that is none. Its timeline is that of the last checkpoint that it has
/// replayed and kept: after a fail-over, known late and never too early.
const REPLAYED: &str = "SELECT system_identifier || ' ' || lpad(upper(to_hex(timeline_id)), 8, '0'),
    pg_last_wal_replay_lsn() - '0/0' FROM pg_control_system(), pg_control_checkpoint() WHERE pg_is_in_recovery()";

impl Replicas {
    /// Opens nothing yet.
    pub(crate) fn new(options: Vec<PgConnectOptions>, config: &DatabaseConfig) -> Self {
        let replica = |options| {
            Arc::new(Replica {
                node: Arc::new(Node::new(options, config)),
                fit: Mutex::default(),
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
        let mut in_turn = self.all.iter().cycle().skip(first % self.all.len().max(1)).take(self.all.len());
        in_turn.find(|replica| self.may_serve(replica)).cloned()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Replica> {
        self.all.iter().map(AsRef::as_ref)
    }

    pub(crate) fn is_close(&self, replica: &Replica) -> bool {
        replica.lag().is_some_and(|lag| lag <= self.lag_max)
    }

    /// Whether it is close enough, and its breaker lets a call through.
    pub(crate) fn may_serve(&self, replica: &Replica) -> bool {
        self.is_close(replica) && replica.node.breaker.check().is_ok()
    }

    /// Begins to measure; nothing is used before. Each replica by itself: one that hangs makes no other old.
    pub(crate) fn watch(&self, primary: PgPool, config: &DatabaseConfig) {
        if self.all.is_empty() {
            return;
        }
        let every = (self.lag_max / 4).clamp(Duration::from_millis(20), Duration::from_secs(1));
        let notes = Arc::new(Notes::default());
        let mut watch = lock(&self.watch);
        watch.spawn(note(primary, Arc::clone(&notes), every));
        for replica in &self.all {
            let (replica, notes, config) = (Arc::clone(replica), Arc::clone(&notes), config.clone());
            watch.spawn(async move {
                loop {
                    replica.measure(&notes, &config).await;
                    tokio::time::sleep(every).await;
                }
            });
        }
    }

    pub(crate) async fn close(&self) {
        lock(&self.watch).abort_all();
        for replica in &self.all {
            replica.node.close().await;
        }
    }
}

/// Notes where the primary's log ends, again and again.
async fn note(primary: PgPool, notes: Arc<Notes>, every: Duration) {
    loop {
        // From before it is asked: what is written meanwhile may or may not be in it.
        let at = Instant::now();
        if let Ok(end) = place(&primary, WRITTEN).await {
            let mut notes = lock(&notes);
            notes.push_front((at, end));
            notes.truncate(NOTES_MAX);
        }
        tokio::time::sleep(every).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Replica {
    /// How far behind it is, at most; none where nobody knows.
    pub(crate) fn lag(&self) -> Option<Duration> {
        lock(&self.current_at).map(|at| at.elapsed())
    }

    /// Compares what it has replayed with the notes, the youngest first.
    async fn measure(&self, notes: &Notes, config: &DatabaseConfig) {
        let replayed = match self.replayed(config).await {
            Ok(replayed) => replayed,
            Err(error) => {
                if !self.reported.swap(true, Ordering::Relaxed) {
                    tracing::error!(error = error.for_log(), "a replica is not used: it is not fit, or not there");
                }
                return;
            }
        };
        self.reported.store(false, Ordering::Relaxed);
        let reached = |end: &Place| end.log == replayed.log && end.bytes <= replayed.bytes;
        let found = lock(notes).iter().find(|(_, end)| reached(end)).map(|(at, _)| *at);
        if found.is_some() {
            *lock(&self.current_at) = found;
        }
    }

    async fn replayed(&self, config: &DatabaseConfig) -> Result<Place, DbError> {
        let replayed = place(&self.node.control, REPLAYED).await?;
        let fit = |fit: &Option<String>| fit.as_ref() == Some(&replayed.log);
        if !fit(&lock(&self.fit)) {
            within_control_time(checks::fitness(&self.node.control, config)).await?;
            *lock(&self.fit) = Some(replayed.log.clone());
        }
        Ok(replayed)
    }
}

async fn place(control: &PgPool, sql: &'static str) -> Result<Place, DbError> {
    within_control_time(async {
        let row = sqlx::raw_sql(sql).fetch_optional(control).await?;
        let row = row.ok_or_else(|| DbError::unavailable("expected a standby, found a server that follows nobody"))?;
        // The simple protocol answers in text.
        let text = |index: usize| -> Result<String, DbError> {
            let value = row.try_get_raw(index)?;
            value.as_str().map(str::to_owned).map_err(|error| DbError::internal(error.to_string()))
        };
        let bytes = text(1)?.parse().map_err(|_| DbError::internal("a position in the log: expected a number"))?;
        Ok(Place { log: text(0)?, bytes })
    })
    .await
}
