//! COPY into one table.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::sync::mpsc;

use crate::RetailError;
use crate::error::Doing;

/// A table and the columns that are loaded, in the order of the rows' fields.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    pub(super) table: &'static str,
    pub(super) columns: &'static str,
}

/// Copy what comes in `chunks` into the table; gives the number of rows.
///
/// PostgreSQL refuses COPY into a table whose row security applies to the one who copies, and FORCE
/// applies it to the owner. So the owner lifts FORCE within the transaction: the table is locked
/// until FORCE is back, and nobody ever sees it without.
pub(super) async fn copy(
    connection: &mut PgConnection,
    target: Target,
    mut chunks: mpsc::Receiver<Vec<u8>>,
) -> Result<u64, RetailError> {
    let doing = "copying rows";
    let mut transaction = connection.begin().await.doing(doing)?;
    set_forced(&mut transaction, target.table, false).await?;
    let statement = format!("COPY retail.{} ({}) FROM STDIN", target.table, target.columns);
    let mut copy = transaction.copy_in_raw(&statement).await.doing(doing)?;
    while let Some(chunk) = chunks.recv().await {
        copy.send(chunk).await.doing(doing)?;
    }
    let rows = copy.finish().await.doing(doing)?;
    set_forced(&mut transaction, target.table, true).await?;
    transaction.commit().await.doing(doing)?;
    Ok(rows)
}

/// The same for rows that are few and at hand.
pub(super) async fn copy_all(connection: &mut PgConnection, target: Target, rows: Vec<u8>) -> Result<u64, RetailError> {
    let (sender, receiver) = mpsc::channel(1);
    // There is room for one.
    let _ = sender.try_send(rows);
    drop(sender);
    copy(connection, target, receiver).await
}

/// Set or lift FORCE ROW LEVEL SECURITY on a table of the schema.
pub(super) async fn set_forced(connection: &mut PgConnection, table: &str, forced: bool) -> Result<(), RetailError> {
    let no = if forced { "" } else { "NO " };
    let statement = format!("ALTER TABLE retail.{table} {no}FORCE ROW LEVEL SECURITY");
    connection.execute(AssertSqlSafe(statement)).await.map(|_| ()).doing("setting row security for a load")
}
