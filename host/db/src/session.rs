//! One tool call's way to the database.
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::{self, Either};
use sqlx::postgres::{PgArguments, PgRow};
use tokio::time::Instant;

use crate::cache::Entry;
use crate::cursor::Cursor;
use crate::database::Database;
use crate::encode;
use crate::error::DbError;
use crate::identity::Identity;
use crate::lease::{Isolation, Lease, TakeRow};
use crate::replica::Replica;
use crate::retry::Attempts;
use crate::scope::SqlScope;
use crate::share::Purpose;
use crate::value::{ResultSet, Statement, Value};

mod clock;
mod describe;
mod gather;
mod keep;
mod meter;
mod plan;
mod search;

pub(crate) use clock::{Clock, Origin};
pub(crate) use describe::{Key as DescriptionKey, describe};
pub(crate) use gather::Gather;
pub(crate) use meter::Meter;
pub use meter::Usage;
pub use search::{Comparison, Condition};

/// The most statements of one [`Session::query_all`].
const STATEMENTS_MAX: usize = 32;
/// The longest that a result may be asked to be kept, in seconds.
const TTL_S_MAX: u32 = 86_400;
/// The server's measure of a row is not the budget's: headers and padding count there. In bytes.
const ROW_BYTES_SLACK: u64 = 65_536;
/// A cursor's name holds at most this many letters of its parameters' types; then their hash.
const SIGNATURE_LETTERS_MAX: usize = 32;

/// What one call may take from the database.
#[derive(Debug, Clone)]
pub struct SessionLimits {
    /// Rows of one result at most, whatever a query asks for.
    pub rows_max: u32,
    /// Bytes of all results of the session together.
    pub bytes_max: u64,
    /// No statement runs past this moment.
    pub deadline: Instant,
    /// What the plugin's statements may name.
    pub sql: Arc<SqlScope>,
    /// The collections that the plugin may search.
    pub collections: Arc<BTreeSet<String>>,
    /// What may be kept of results.
    pub cache: CacheScope,
}

/// Whose results are kept, and for how long.
#[derive(Debug, Clone, Default)]
pub struct CacheScope {
    /// The exact plugin: another version's statements have results of their own.
    pub plugin_digest: [u8; 32],
    /// Results of all its statements are kept for this many seconds, or until a table that they read
    /// changes. `None`: only where [`Session::query_cached`] asks for it.
    pub ttl_s: Option<u32>,
}

/// One tool call's way to the database. It holds no connection between two calls of its methods.
///
/// Dropping the future of a method cancels its statement on the server.
pub struct Session {
    database: Database,
    origin: Arc<Origin>,
    limits: SessionLimits,
    meter: Arc<Meter>,
    /// Where the call reads, until it fails there; then, and without one, from the primary.
    replica: Arc<Mutex<Option<Arc<Replica>>>>,
}

/// A statement that may go to the server.
pub(crate) struct Admitted {
    pub(crate) cursor: String,
    pub(crate) statement: Statement,
}

impl Session {
    pub(crate) fn new(database: Database, identity: Identity, limits: SessionLimits) -> Self {
        let meter = Arc::new(Meter::new(limits.bytes_max));
        let tenant = Arc::from(identity.tenant.as_str());
        let origin = Arc::new(Origin { identity, tenant, tool: Arc::from("none"), request_id: Arc::from("") });
        let replica = Arc::new(Mutex::new(database.inner.replicas.pick()));
        Self { database, origin, limits, meter, replica }
    }

    /// The same, for a call of `tool`: what statistics and the log of slow statements say.
    pub fn for_call(self, tool: &str, request_id: &str) -> Self {
        let origin = Arc::unwrap_or_clone(self.origin);
        let origin = Origin { tool: Arc::from(tool), request_id: Arc::from(request_id), ..origin };
        Self { origin: Arc::new(origin), ..self }
    }

    /// Runs one query in a transaction of its own. At most `rows_max` rows come back, and never more
    /// than the limits allow; `truncated` says exactly whether there were more.
    pub async fn query(&self, statement: Statement, rows_max: u32) -> Result<ResultSet, DbError> {
        self.query_for(statement, rows_max, self.limits.cache.ttl_s).await
    }

    /// As [`Session::query`], and the result may be one that was kept for up to `ttl_s` seconds, 1 to 86,400:
    /// never one from before a change that the host has heard of.
    pub async fn query_cached(&self, statement: Statement, rows_max: u32, ttl_s: u32) -> Result<ResultSet, DbError> {
        if !(1..=TTL_S_MAX).contains(&ttl_s) {
            let message = format!("ttl-s is {ttl_s}; expected 1 to {TTL_S_MAX}");
            return Err(DbError::rejected("ARGUMENT_OUT_OF_RANGE", message));
        }
        self.query_for(statement, rows_max, Some(ttl_s)).await
    }

    async fn query_for(&self, statement: Statement, rows_max: u32, ttl_s: Option<u32>) -> Result<ResultSet, DbError> {
        let admitted = self.admit(statement, 0).await?;
        let mut results = self.run_kept(vec![admitted], rows_max, Isolation::ReadCommitted, ttl_s).await?;
        results.pop().ok_or_else(|| DbError::internal("a query without a result"))
    }

    /// Runs several queries (at most 32) on one snapshot, in one transaction; `rows_max` holds for each.
    pub async fn query_all(&self, statements: Vec<Statement>, rows_max: u32) -> Result<Vec<ResultSet>, DbError> {
        if statements.is_empty() {
            return Ok(Vec::new());
        }
        if statements.len() > STATEMENTS_MAX {
            return Err(DbError::rejected(
                "ARGUMENT_STATEMENTS",
                format!("found {} statements, expected at most {STATEMENTS_MAX}", statements.len()),
            ));
        }
        let mut admitted = Vec::with_capacity(statements.len());
        for (index, statement) in statements.into_iter().enumerate() {
            admitted.push(self.admit(statement, index).await?);
        }
        self.run_kept(admitted, rows_max, Isolation::RepeatableRead, self.limits.cache.ttl_s).await
    }

    /// Starts a query whose rows come in batches. It holds a connection until the cursor is dropped.
    pub async fn open(&self, statement: Statement) -> Result<Cursor, DbError> {
        let admitted = self.admit(statement, 0).await?;
        let arguments = encode::arguments(&admitted.statement.parameters)?;
        self.meter.statement();
        let (lease, clock) = self.in_time(self.declared(&admitted, arguments)).await?;
        let session = Self {
            database: self.database.clone(),
            origin: Arc::clone(&self.origin),
            limits: self.limits.clone(),
            meter: Arc::clone(&self.meter),
            replica: Arc::clone(&self.replica),
        };
        Ok(Cursor::new(session, lease, admitted, clock))
    }

    /// What the session has taken so far.
    pub fn usage(&self) -> Usage {
        self.meter.usage()
    }

    async fn admit(&self, mut statement: Statement, index: usize) -> Result<Admitted, DbError> {
        let admitted = self.database.admit(&statement.text, statement.parameters.len(), &self.limits);
        statement.text = self.in_time(admitted).await?.to_string();
        Ok(Admitted { cursor: cursor_name(index, &statement.parameters), statement })
    }

    async fn run(&self, admitted: &[Admitted], rows_max: u32, isolation: Isolation) -> Result<Entry, DbError> {
        self.run_under(&[], admitted, rows_max, isolation).await
    }

    /// Four round trips for one statement that the connection has seen before: begin, context,
    /// DECLARE, and FETCH with COMMIT. `settings`, each a `SET LOCAL` of the host's own, hold for the FETCH.
    async fn run_under(
        &self,
        settings: &[String],
        admitted: &[Admitted],
        rows_max: u32,
        isolation: Isolation,
    ) -> Result<Entry, DbError> {
        let rows_max = rows_max.min(self.limits.rows_max);
        let mut prepared = Some(prepare(admitted)?);
        for _ in admitted {
            self.meter.statement();
        }
        self.in_time(async {
            let mut gathers: Vec<Gather> = admitted.iter().map(|_| Gather::new(rows_max, &self.meter)).collect();
            let mut attempts = self.attempts();
            loop {
                let arguments = prepared.take().map_or_else(|| prepare(admitted), Ok)?;
                let Err(error) = self.attempt(settings, admitted, arguments, rows_max, isolation, &mut gathers).await
                else {
                    break;
                };
                if !attempts.again(&error).await {
                    return Err(error);
                }
                self.leave_replica();
                gathers.iter_mut().for_each(Gather::restart);
            }
            let mut results = Vec::with_capacity(gathers.len());
            let bytes = gathers.iter().map(Gather::bytes).sum();
            for (gather, one) in gathers.into_iter().zip(admitted) {
                results.push(match gather.finish() {
                    Some(result) => result,
                    None => describe(self, one).await?,
                });
            }
            Ok(Entry::new(results, bytes))
        })
        .await
    }

    /// The statements once, in one transaction.
    async fn attempt(
        &self,
        settings: &[String],
        admitted: &[Admitted],
        arguments: Vec<PgArguments>,
        rows_max: u32,
        isolation: Isolation,
        gathers: &mut [Gather],
    ) -> Result<(), DbError> {
        let mut lease = self.begin(isolation, Purpose::Statements).await?;
        let row_bytes_max = self.row_bytes_max();
        let mut clocks: Vec<Clock> = admitted.iter().map(|one| self.clock(one)).collect();
        for ((one, arguments), clock) in admitted.iter().zip(arguments).zip(&mut clocks) {
            clock.go();
            if let Err(error) = lease.declare(&one.cursor, &one.statement.text, arguments, row_bytes_max).await {
                return Err(give_up(lease, error).await);
            }
            clock.pause(0);
        }
        match self.fetch(&mut lease, settings, admitted, rows_max, gathers, &mut clocks).await {
            Ok(()) => Ok(()),
            Err(error) => Err(give_up(lease, error).await),
        }
    }

    /// A transaction with the cursor in it, of which nothing has been fetched.
    async fn declared(&self, admitted: &Admitted, arguments: PgArguments) -> Result<(Lease, Clock), DbError> {
        let mut arguments = Some(arguments);
        let mut attempts = self.attempts();
        loop {
            let arguments = match arguments.take() {
                Some(arguments) => arguments,
                None => encode::arguments(&admitted.statement.parameters)?,
            };
            let attempt = async {
                let mut lease = self.begin(Isolation::ReadCommitted, Purpose::Cursor).await?;
                let (text, mut clock) = (&admitted.statement.text, self.clock(admitted));
                clock.go();
                match lease.declare(&admitted.cursor, text, arguments, self.row_bytes_max()).await {
                    Ok(()) => {
                        clock.pause(0);
                        Ok((lease, clock))
                    }
                    Err(error) => Err(give_up(lease, error).await),
                }
            };
            let error = match attempt.await {
                Ok(begun) => return Ok(begun),
                Err(error) => error,
            };
            if !attempts.again(&error).await {
                return Err(error);
            }
            self.leave_replica();
        }
    }

    async fn fetch(
        &self,
        lease: &mut Lease,
        settings: &[String],
        admitted: &[Admitted],
        rows_max: u32,
        gathers: &mut [Gather],
        clocks: &mut [Clock],
    ) -> Result<(), DbError> {
        let count = u64::from(rows_max) + 1;
        let fetches = admitted.iter().map(|one| format!("FETCH FORWARD {count} FROM {}", one.cursor));
        let sql = settings.iter().cloned().chain(fetches).chain(["COMMIT".to_owned()]).collect::<Vec<_>>().join("; ");
        if let Some(first) = clocks.first_mut() {
            first.go();
        }
        let mut gather = GatherAll { database: &self.database, before: settings.len(), gathers, clocks };
        lease.fetch(sql, true, &mut gather).await
    }

    /// A transaction as the caller.
    pub(crate) async fn begin(&self, isolation: Isolation, purpose: Purpose) -> Result<Lease, DbError> {
        if let Some(replica) = self.replica() {
            let node = &replica.node;
            let begun =
                Lease::begin(&self.database, node, &self.origin.identity, isolation, purpose, self.limits.deadline)
                    .await;
            match begun {
                Err(error) if error.is_unavailable() || matches!(error, DbError::Timeout { .. }) => {}
                begun => return begun,
            }
            self.leave_replica();
        }
        let node = &self.database.inner.primary;
        Lease::begin(&self.database, node, &self.origin.identity, isolation, purpose, self.limits.deadline).await
    }

    /// The call's replica, while it is close enough behind.
    fn replica(&self) -> Option<Arc<Replica>> {
        let mut replica = self.replica.lock().unwrap_or_else(PoisonError::into_inner);
        if replica.as_ref().is_some_and(|replica| !self.database.inner.replicas.is_close(replica)) {
            *replica = None;
        }
        replica.clone()
    }

    fn clock(&self, admitted: &Admitted) -> Clock {
        Clock::new(&self.database, &self.origin, &admitted.statement)
    }

    /// The attempts of one statement that begins now.
    fn attempts(&self) -> Attempts<'_> {
        self.database.inner.retries.begin(self.limits.deadline)
    }

    fn leave_replica(&self) {
        *self.replica.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// A row wider than the whole budget can never be given out.
    fn row_bytes_max(&self) -> u64 {
        self.limits.bytes_max.saturating_add(ROW_BYTES_SLACK).min(i64::MAX as u64)
    }

    /// Runs `work` until the call's deadline; past it, the work is dropped and cancels itself.
    pub(crate) fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, DbError>>,
    ) -> impl Future<Output = Result<T, DbError>> {
        let late = || Err(DbError::Timeout { code: "CALL_DEADLINE" });
        // Asked first: work that never has to wait would be done before anybody looks at the clock.
        if Instant::now() >= self.limits.deadline {
            return Either::Right(future::ready(late()));
        }
        // No `async fn`: that would have room for the work twice, as what it was given and as what it waits for.
        let in_time = tokio::time::timeout_at(self.limits.deadline, work);
        Either::Left(in_time.map(move |outcome| match outcome {
            // At that moment the server gives the transaction up, too, and may be first.
            Ok(Err(error)) if error.is_unavailable() && Instant::now() >= self.limits.deadline => late(),
            Ok(outcome) => outcome,
            Err(_) => late(),
        }))
    }

    pub(crate) fn rows_max(&self) -> u32 {
        self.limits.rows_max
    }

    pub(crate) fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.origin.identity
    }
}

fn prepare(admitted: &[Admitted]) -> Result<Vec<PgArguments>, DbError> {
    admitted.iter().map(|one| encode::arguments(&one.statement.parameters)).collect()
}

/// The rows of several statements, each to its own result.
struct GatherAll<'a> {
    database: &'a Database,
    /// Statements before the first that has rows.
    before: usize,
    gathers: &'a mut [Gather],
    clocks: &'a mut [Clock],
}

impl TakeRow for GatherAll<'_> {
    async fn take(&mut self, statement: usize, row: PgRow) -> Result<(), DbError> {
        match statement.checked_sub(self.before).and_then(|index| self.gathers.get_mut(index)) {
            Some(gather) => gather.take(self.database, &row).await,
            None => Err(DbError::internal("more results than statements")),
        }
    }

    /// They run one after the other: where one ends, the next begins.
    fn ended(&mut self, statement: usize) {
        let Some(statement) = statement.checked_sub(self.before) else { return };
        let rows = self.gathers.get(statement).map_or(0, Gather::rows);
        if let Some(clock) = self.clocks.get_mut(statement) {
            clock.pause(rows);
        }
        if let Some(next) = self.clocks.get_mut(statement + 1) {
            next.go();
        }
    }
}

/// After a failed statement the connection is sound and its transaction is not: end it, keep the
/// connection. After anything else the lease is dropped and looks after itself. Gives what the call is told.
pub(crate) async fn give_up(mut lease: Lease, error: DbError) -> DbError {
    let timed_out = lease.timed_out();
    if error.is_unavailable() {
        lease.lost_connection();
    }
    if matches!(
        error,
        DbError::Statement { .. }
            | DbError::Forbidden { .. }
            | DbError::Timeout { code: "STATEMENT_TIMEOUT" | "LOCK_TIMEOUT" }
    ) && let Err(second) = lease.rollback().await
    {
        tracing::warn!(
            error = second.for_log(),
            "a failed transaction could not be rolled back; its connection is closed"
        );
    }
    if matches!(error, DbError::Timeout { code: "STATEMENT_TIMEOUT" }) { timed_out } else { error }
}

/// The name carries the parameters' types, so that PostgreSQL's and the driver's caches, which go by
/// the text, never take a statement for another.
fn cursor_name(index: usize, parameters: &[Value]) -> String {
    let letters = encode::signature(parameters);
    if letters.len() <= SIGNATURE_LETTERS_MAX {
        return format!("s{index}_{letters}");
    }
    use sha2::Digest;
    let hash = hex::encode(sha2::Sha256::digest(letters.as_bytes()));
    format!("s{index}_x{}", hash.get(..SIGNATURE_LETTERS_MAX).unwrap_or_default())
}
