//! A query whose rows come in batches.
use sqlx::postgres::PgRow;

use crate::error::DbError;
use crate::lease::{Lease, TakeRow};
use crate::session::{Admitted, Clock, Gather, Session, describe, give_up};
use crate::value::{Column, ColumnValues, FixedPoint, Packed, ResultSet, VectorArray};

/// An open query. It holds a connection and a transaction; dropping it ends both, and no connection
/// in an unknown state goes back to the pool.
pub struct Cursor {
    session: Session,
    admitted: Admitted,
    clock: Clock,
    /// None after the last row, and after a fetch that failed or was dropped.
    lease: Option<Lease>,
    /// A row that was fetched to learn whether more follow.
    ahead: Option<PgRow>,
    /// The columns, once known: what an empty result after the last row looks like.
    empty: Option<ResultSet>,
    finished: bool,
    /// More rows follow, and the call's byte budget lets none through.
    spent: bool,
}

impl Cursor {
    pub(crate) fn new(session: Session, lease: Lease, admitted: Admitted, clock: Clock) -> Self {
        Self { session, admitted, clock, lease: Some(lease), ahead: None, empty: None, finished: false, spent: false }
    }

    /// The next rows, at most `rows_max`. `truncated` says that more follow; after the last row, empty results.
    ///
    /// When the byte budget ends a batch, what fits comes with `truncated`, and the next fetch fails
    /// (SQLSTATE 54000). After an error, or a fetch whose future was dropped, the cursor is closed
    /// (`CURSOR_CLOSED`).
    pub async fn fetch(&mut self, rows_max: u32) -> Result<ResultSet, DbError> {
        if self.spent {
            return Err(DbError::Statement {
                sqlstate: "54000".to_owned(),
                message: "more rows follow, and the call has read all the bytes that it may".to_owned(),
            });
        }
        if self.finished {
            return Ok(self.empty.clone().unwrap_or_default());
        }
        let rows_max = rows_max.min(self.session.rows_max());
        // Taken for the length of the fetch: dropped half-way, it is dropped as it is, busy.
        let Some(mut lease) = self.lease.take() else {
            return Err(DbError::rejected(
                "CURSOR_CLOSED",
                "the cursor is closed: an earlier fetch failed or was given up",
            ));
        };
        let mut gather = Gather::new(rows_max, self.session.meter());
        self.clock.go();
        let batch = self
            .session
            .in_time(batch(&self.session, &mut lease, &self.admitted.cursor, rows_max, self.ahead.take(), &mut gather))
            .await;
        let ahead = match batch {
            Ok(ahead) => ahead,
            Err(error @ DbError::Timeout { code: "CALL_DEADLINE" }) => return Err(error),
            Err(error) => return Err(give_up(lease, error).await),
        };
        self.clock.pause(gather.rows());
        self.ahead = ahead;
        let budget_spent = gather.is_truncated();
        let more = self.ahead.is_some();
        if more && !budget_spent {
            self.lease = Some(lease);
        } else {
            // The last row, or the last that the budget lets through: the connection is free again.
            lease.commit().await?;
            self.finished = true;
            self.spent = budget_spent;
        }
        let mut result = match gather.finish() {
            Some(result) => result,
            None => match &self.empty {
                Some(empty) => empty.clone(),
                None => self.session.in_time(describe(&self.session, &self.admitted)).await?,
            },
        };
        result.truncated = more || budget_spent;
        self.empty = Some(emptied(&result));
        Ok(result)
    }
}

/// Fetches up to `rows_max` rows and one more, which is handed back unread.
async fn batch(
    session: &Session,
    lease: &mut Lease,
    cursor: &str,
    rows_max: u32,
    ahead: Option<PgRow>,
    gather: &mut Gather,
) -> Result<Option<PgRow>, DbError> {
    let mut rows = Batch { session, rows_max, gather, taken: 0, over: None };
    if let Some(row) = ahead {
        rows.take(0, row).await?;
        if rows.over.is_some() {
            return Ok(rows.over);
        }
    }
    let count = u64::from(rows_max) + 1 - u64::from(rows.taken);
    lease.fetch(format!("FETCH FORWARD {count} FROM {cursor}"), false, &mut rows).await?;
    Ok(rows.over)
}

/// The rows of one fetch, and the one over.
struct Batch<'a> {
    session: &'a Session,
    rows_max: u32,
    gather: &'a mut Gather,
    taken: u32,
    over: Option<PgRow>,
}

impl TakeRow for Batch<'_> {
    async fn take(&mut self, _: usize, row: PgRow) -> Result<(), DbError> {
        if self.taken >= self.rows_max {
            self.over = Some(row);
            return Ok(());
        }
        self.taken += 1;
        self.gather.take(self.session.database(), &row).await
    }
}

/// The same columns without rows.
fn emptied(result: &ResultSet) -> ResultSet {
    let columns = result
        .columns
        .iter()
        .map(|column| Column {
            name: column.name.clone(),
            type_name: column.type_name.clone(),
            nulls: Vec::new(),
            values: match &column.values {
                ColumnValues::Booleans(_) => ColumnValues::Booleans(Vec::new()),
                ColumnValues::Integers(_) => ColumnValues::Integers(Vec::new()),
                ColumnValues::Floats(_) => ColumnValues::Floats(Vec::new()),
                ColumnValues::Decimals(fixed) => {
                    ColumnValues::Decimals(FixedPoint { scale: fixed.scale, unscaled: Vec::new() })
                }
                ColumnValues::Texts(_) => ColumnValues::Texts(Packed { offsets: vec![0], data: Vec::new() }),
                ColumnValues::Bytes(_) => ColumnValues::Bytes(Packed { offsets: vec![0], data: Vec::new() }),
                ColumnValues::Dates(_) => ColumnValues::Dates(Vec::new()),
                ColumnValues::Timestamps(_) => ColumnValues::Timestamps(Vec::new()),
                ColumnValues::Times(_) => ColumnValues::Times(Vec::new()),
                ColumnValues::Vectors(vectors) => {
                    ColumnValues::Vectors(VectorArray { dimension: vectors.dimension, elements: Vec::new() })
                }
            },
        })
        .collect();
    ResultSet { columns, row_count: 0, truncated: false }
}
