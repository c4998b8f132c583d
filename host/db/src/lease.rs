//! A connection for the length of one transaction.
//!
//! A lease goes back to the pool only after the server has confirmed the transaction's end. In every
//! other case, a dropped future among them, the statement is cancelled on the server and the
//! connection is closed: what state it is in is not worth finding out.
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::TryStreamExt;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgConnection, PgRow, Postgres};
use sqlx::{AssertSqlSafe, Connection, Either, Row};
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::context::Transaction;
use crate::database::Database;
use crate::error::DbError;
use crate::identity::Identity;
use crate::node::Node;
use crate::share::{Purpose, Seat};

/// A context outlives its call by this much, for statements that are being cancelled.
const CONTEXT_SLACK: Duration = Duration::from_secs(5);
/// The server ends a statement so much before the call's deadline, or a quarter of its time where that is less: it says
/// so, and its connection is sound. What the call must end itself is cancelled, and its connection closed.
const SOONER: Duration = Duration::from_millis(50);
/// A connection that does not close in this time is dropped.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How statements of one transaction see others' writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// Each statement a snapshot of its own.
    ReadCommitted,
    /// One snapshot for all.
    RepeatableRead,
}

/// Whoever wants the rows of a fetch. A trait, because a future that holds an async closure is not
/// `Send` for every lifetime, and host functions must be.
pub(crate) trait TakeRow: Send {
    /// The next row, of the statement with this number.
    fn take(&mut self, statement: usize, row: PgRow) -> impl Future<Output = Result<(), DbError>> + Send;

    /// The statement with this number has given all its rows.
    fn ended(&mut self, _statement: usize) {}
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A statement may be running.
    Busy,
    /// In a transaction, nothing running.
    Open,
    /// The transaction has ended.
    Ended,
}

pub(crate) struct Lease {
    database: Database,
    /// Taken when the lease is dropped, and only then.
    connection: Option<PoolConnection<Postgres>>,
    node: Arc<Node>,
    /// The backend that a cancel goes to. None until it is known, and behind a pooler: there the backend
    /// may serve another caller by the time.
    pid: Option<i32>,
    state: State,
    /// Whether a statement's time ends with the call's, and not before.
    timed_by_the_call: bool,
    /// The tenant's place, held as long as the connection. None once that is lost, or while the lease is dropped.
    seat: Option<Arc<Seat>>,
}

impl Lease {
    /// Takes a connection and begins a transaction as `identity`: two round trips. Waits for a
    /// seat first, then for a connection to be opened where none is, then for the server to begin, each as long as
    /// `acquire_timeout_ms` says.
    #[tracing::instrument(
        target = "stockade::trace",
        name = "begin",
        level = "trace",
        skip_all,
        fields(otel.kind = "client", db.system.name = "postgresql")
    )]
    pub(crate) async fn begin(
        database: &Database,
        node: &Arc<Node>,
        identity: &Identity,
        isolation: Isolation,
        purpose: Purpose,
        deadline: Instant,
    ) -> Result<Self, DbError> {
        if !database.reader_is_known(&identity.reader_role) {
            return Err(DbError::forbidden(
                "ROLE_NOT_CONFIGURED",
                format!("the reader role {} is not among reader_roles", identity.reader_role),
            ));
        }
        // The backend is known only inside the transaction: behind a pooler it changes from one to the next.
        let begin = match isolation {
            Isolation::ReadCommitted => "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY",
            Isolation::RepeatableRead => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        // SET in an application's function outlives its transaction. Behind a pooler, what would be reset is
        // what the pooler has set for this client.
        let anew = if database.inner.config.is_pooled() { "" } else { "RESET ALL; " };
        let begin = format!(
            "{anew}{begin}; SELECT pg_backend_pid(), (extract(epoch FROM transaction_timestamp()) * 1000000)::int8::text"
        );
        // Whoever would fail does not wait for it.
        node.breaker.check()?;
        let since = Instant::now();
        let seat = match node.shares.take(&identity.tenant, purpose).await {
            Ok(seat) => Arc::new(seat),
            // Those who have the seats wait for the server.
            Err(_) if node.breaker.none_began_since(since) => {
                return Err(DbError::outage("no transaction could begin while this one waited for its tenant's turn"));
            }
            Err(busy) => return Err(busy),
        };
        let trial = node.breaker.admit()?;
        let (mut lease, pid, began_us) = match Self::begun(database, node, &seat, &begin).await {
            Ok(begun) => {
                trial.succeeded();
                begun
            }
            Err(error) => {
                let error = error.of_the_host();
                if error.is_unavailable() {
                    trial.failed();
                }
                return Err(error);
            }
        };
        lease.pid = (!database.inner.config.is_pooled()).then_some(pid);
        let remaining = deadline.saturating_duration_since(Instant::now());
        let statement = Duration::from_millis(database.adjustable().statement_timeout_ms);
        let of_the_call = remaining - SOONER.min(remaining / 4);
        lease.timed_by_the_call = of_the_call <= statement;
        let prologue = prologue(database, identity, pid, began_us, remaining, statement.min(of_the_call))?;
        if let Err(error) = lease.execute_host_sql(prologue).await {
            if error.is_unavailable() {
                lease.lost_connection();
            }
            return Err(error.of_the_host());
        }
        lease.state = State::Open;
        Ok(lease)
    }

    /// A transaction, on the first connection on which one can begin: those that lay idle may have been
    /// closed by the server meanwhile, and nothing has run on them.
    async fn begun(
        database: &Database,
        node: &Arc<Node>,
        seat: &Arc<Seat>,
        begin: &str,
    ) -> Result<(Self, i32, i64), DbError> {
        let mut others = node.idle();
        loop {
            let mut lease = Self {
                database: database.clone(),
                connection: Some(node.connection().await?),
                node: Arc::clone(node),
                pid: None,
                state: State::Busy,
                timed_by_the_call: false,
                seat: Some(Arc::clone(seat)),
            };
            // A server that is there and silent answers on no other connection either.
            let silent = |_| Err(DbError::outage("the server did not begin a transaction in time"));
            match tokio::time::timeout(node.acquire_timeout, lease.start(begin)).await.unwrap_or_else(silent) {
                Ok((pid, began_us)) => return Ok((lease, pid, began_us)),
                Err(DbError::Unavailable(_)) if others > 0 => others -= 1,
                Err(error) => return Err(error),
            }
        }
    }

    async fn start(&mut self, begin: &str) -> Result<(i32, i64), DbError> {
        let row = sqlx::raw_sql(AssertSqlSafe(begin)).fetch_one(self.connection()?).await?;
        // The simple protocol answers in text.
        let text = |index: usize| -> Result<String, DbError> {
            let value = row.try_get_raw(index)?;
            value.as_str().map(str::to_owned).map_err(|error| DbError::internal(error.to_string()))
        };
        match (text(0)?.parse(), text(1)?.parse()) {
            (Ok(pid), Ok(began_us)) => Ok((pid, began_us)),
            _ => Err(DbError::internal("BEGIN: expected a process id and a time")),
        }
    }

    /// Opens a cursor for one statement, by the extended protocol: the only way that a plugin's text goes.
    ///
    /// The server sends a row whole, so it measures each first: one of more than `row_bytes_max` bytes
    /// fails the statement (SQLSTATE 54000) before it reaches this process. `OFFSET 0` keeps the planner
    /// from computing a row once for its size and once more for its values.
    #[tracing::instrument(
        target = "stockade::trace",
        name = "query",
        level = "trace",
        skip_all,
        fields(otel.kind = "client", db.system.name = "postgresql", stockade.statement = &*self.database.fingerprint(sql).id)
    )]
    pub(crate) async fn declare(
        &mut self,
        cursor: &str,
        sql: &str,
        arguments: PgArguments,
        row_bytes_max: u64,
    ) -> Result<(), DbError> {
        let declare = format!(
            "DECLARE {cursor} BINARY NO SCROLL CURSOR FOR SELECT t.* FROM (SELECT s.* FROM ({sql}\n) AS s OFFSET 0) AS t \
             WHERE CASE WHEN pg_catalog.pg_column_size(t.*) > {row_bytes_max} THEN stockade.row_too_wide({row_bytes_max}) ELSE true END"
        );
        let cached = self.database.inner.config.statement_cache_capacity > 0;
        self.execute_plugin_sql(declare, arguments, cached).await
    }

    /// Opens a cursor over one row of NULLs with the statement's columns. The statement is planned and
    /// not run: the planner sees that nothing joins.
    pub(crate) async fn declare_columns(
        &mut self,
        cursor: &str,
        sql: &str,
        arguments: PgArguments,
    ) -> Result<(), DbError> {
        let declare = format!(
            "DECLARE {cursor} BINARY NO SCROLL CURSOR FOR SELECT t.* FROM (SELECT) AS one LEFT JOIN ({sql}\n) AS t ON false"
        );
        self.execute_plugin_sql(declare, arguments, false).await
    }

    /// The plan of a statement, which is not run. The options stand before it, so nothing in its text is one.
    pub(crate) async fn explain(
        &mut self,
        sql: &str,
        arguments: PgArguments,
        lines: &mut impl TakeRow,
    ) -> Result<(), DbError> {
        self.state = State::Busy;
        let explain = AssertSqlSafe(format!("EXPLAIN (ANALYZE false, COSTS true) {sql}"));
        let rows = sqlx::query_with(explain, arguments).persistent(false).fetch_all(self.connection()?).await?;
        for row in rows {
            lines.take(0, row).await?;
        }
        self.state = State::Open;
        Ok(())
    }

    async fn execute_plugin_sql(&mut self, sql: String, arguments: PgArguments, cached: bool) -> Result<(), DbError> {
        self.state = State::Busy;
        let query = sqlx::query_with(AssertSqlSafe(sql), arguments).persistent(cached);
        query.execute(self.connection()?).await?;
        self.state = State::Open;
        Ok(())
    }

    /// Runs host-made statements by the simple protocol and hands over their rows, with the number
    /// of the statement that each belongs to, as they come.
    #[tracing::instrument(
        target = "stockade::trace",
        name = "fetch",
        level = "trace",
        skip_all,
        fields(otel.kind = "client", db.system.name = "postgresql")
    )]
    pub(crate) async fn fetch(&mut self, sql: String, ends: bool, rows: &mut impl TakeRow) -> Result<(), DbError> {
        self.state = State::Busy;
        let mut results = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_many(self.connection()?);
        let mut statement = 0;
        while let Some(next) = results.try_next().await? {
            match next {
                Either::Left(_) => {
                    rows.ended(statement);
                    statement += 1;
                }
                Either::Right(row) => rows.take(statement, row).await?,
            }
        }
        drop(results);
        self.state = if ends { State::Ended } else { State::Open };
        Ok(())
    }

    /// Ends the transaction after a statement failed or when nothing more is wanted.
    pub(crate) async fn rollback(mut self) -> Result<(), DbError> {
        self.end("ROLLBACK").await
    }

    /// Ends the transaction after its last statement.
    pub(crate) async fn commit(mut self) -> Result<(), DbError> {
        self.end("COMMIT").await
    }

    async fn end(&mut self, sql: &'static str) -> Result<(), DbError> {
        self.state = State::Busy;
        self.execute_host_sql(sql.to_owned()).await?;
        self.state = State::Ended;
        Ok(())
    }

    async fn execute_host_sql(&mut self, sql: String) -> Result<(), DbError> {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(self.connection()?).await?;
        Ok(())
    }

    /// What the call is told of a statement whose time ran out.
    pub(crate) fn timed_out(&self) -> DbError {
        DbError::Timeout { code: if self.timed_by_the_call { "CALL_DEADLINE" } else { "STATEMENT_TIMEOUT" } }
    }

    /// The connection is lost: another may be opened in its place, though it takes time to learn that what ran on it
    /// cannot be cancelled.
    pub(crate) fn lost_connection(&mut self) {
        self.seat = None;
    }

    fn connection(&mut self) -> Result<&mut PgConnection, DbError> {
        self.connection.as_deref_mut().ok_or_else(|| DbError::internal("a lease without its connection"))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        if self.state == State::Ended {
            return; // The pool takes it back.
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            // No one can wait for the server any more; closing the socket ends the session there.
            drop(connection.detach());
            return;
        };
        let (node, pid, state) = (Arc::clone(&self.node), self.pid, self.state);
        let seat = self.seat.take();
        let ending = async move {
            // Taken until the connection is free, or gone.
            let _seat = seat;
            if state == State::Open {
                let rollback = sqlx::raw_sql("ROLLBACK").execute(&mut *connection);
                if matches!(tokio::time::timeout(CLOSE_TIMEOUT, rollback).await, Ok(Ok(_))) {
                    return;
                }
            }
            node.discarded.fetch_add(1, Ordering::Relaxed);
            if let Some(pid) = pid
                && let Err(error) = node.cancel(pid).await
            {
                tracing::warn!(
                    pid,
                    error = error.for_log(),
                    "a statement could not be cancelled; its time-out will end it"
                );
            }
            // Detached first: whatever happens next, this connection is nobody's again.
            let connection = connection.detach();
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, connection.close_hard()).await;
        };
        // In the call's span: what goes wrong here is logged with its id.
        runtime.spawn(ending.in_current_span());
    }
}

/// Time-outs, the signed context, the path and the role, all for this transaction alone, and a planner
/// that knows that a cursor's rows are all wanted. Times are in UTC, and strings end for the server where they
/// end for the guard, whatever a role's or a database's own settings say. Made of numbers, base64url and
/// identifiers that need no quoting. The role comes last: it may set nothing.
fn prologue(
    database: &Database,
    identity: &Identity,
    pid: i32,
    began_us: i64,
    remaining: Duration,
    statement: Duration,
) -> Result<String, DbError> {
    let (config, adjustable) = (&database.inner.config, database.adjustable());
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
    let life_us = i64::try_from((remaining + CONTEXT_SLACK).as_micros()).unwrap_or(i64::MAX);
    let transaction = Transaction { pid, began_us, expires_us: began_us.saturating_add(life_us) };
    let context = database.inner.key.sign(identity, &transaction)?;
    // A pooler closes the backend's connection when ours is closed; a backend at work looks for that.
    let watch = if config.is_pooled() { "SET LOCAL client_connection_check_interval = 500; " } else { "" };
    Ok(format!(
        "{watch}SET LOCAL standard_conforming_strings = on; SET LOCAL TimeZone = 'UTC'; SET LOCAL cursor_tuple_fraction = 1; SET LOCAL jit = {}; SET LOCAL work_mem = {}; \
         SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = {}; SET LOCAL idle_in_transaction_session_timeout = {}; \
         SET LOCAL stockade.context = '{context}'; SET LOCAL search_path = {}; SET LOCAL ROLE {}",
        if adjustable.jit { "on" } else { "off" },
        adjustable.work_mem_kib,
        ms(statement),
        adjustable.lock_timeout_ms.min(ms(remaining)),
        adjustable.idle_in_transaction_timeout_ms.min(ms(remaining)),
        quoted_path(&config.search_path),
        quoted(identity.reader_role.as_str()),
    ))
}

/// Identifiers of a-z, 0-9 and _ alone; the quotes are for those that are keywords too.
pub(crate) fn quoted_path(path: &[String]) -> String {
    path.iter().map(|schema| quoted(schema)).collect::<Vec<_>>().join(", ")
}

pub(crate) fn quoted(identifier: &str) -> String {
    format!("\"{identifier}\"")
}
