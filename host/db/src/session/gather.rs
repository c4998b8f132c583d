//! Rows become columns.
use std::sync::Arc;

use sqlx::postgres::PgRow;
use sqlx::{Column as _, Row, ValueRef};

use super::meter::Meter;
use crate::database::Database;
use crate::decode::Builder;
use crate::error::DbError;
use crate::value::ResultSet;

/// One result set in the making.
pub(crate) struct Gather {
    rows_max: u32,
    meter: Arc<Meter>,
    /// None until the first row tells the columns.
    builders: Option<Vec<Builder>>,
    rows: u32,
    bytes: u64,
    truncated: bool,
}

impl Gather {
    pub(crate) fn new(rows_max: u32, meter: &Arc<Meter>) -> Self {
        Self { rows_max, meter: Arc::clone(meter), builders: None, rows: 0, bytes: 0, truncated: false }
    }

    /// Takes the next row. A row beyond the row limit or the byte budget is not kept; nor is any after it.
    pub(crate) async fn take(&mut self, database: &Database, row: &PgRow) -> Result<(), DbError> {
        if self.builders.is_none() {
            self.builders = Some(builders(database, row).await?);
        }
        let Some(builders) = &mut self.builders else { return Ok(()) };
        if self.truncated || self.rows >= self.rows_max {
            self.truncated = true;
            return Ok(());
        }
        let mut values = Vec::with_capacity(builders.len());
        let mut cost = 0;
        for (index, builder) in builders.iter().enumerate() {
            let value = row.try_get_raw(index)?;
            let bytes = if value.is_null() {
                None
            } else {
                Some(value.as_bytes().map_err(|error| DbError::internal(error.to_string()))?)
            };
            cost += builder.cost(bytes);
            values.push(bytes);
        }
        if !self.meter.row(cost) {
            self.truncated = true;
            return Ok(());
        }
        for (builder, value) in builders.iter_mut().zip(values) {
            builder.push(value)?;
        }
        self.rows += 1;
        self.bytes += cost;
        Ok(())
    }

    pub(crate) fn rows(&self) -> u32 {
        self.rows
    }

    /// The statement runs once more, from its beginning.
    pub(super) fn restart(&mut self) {
        self.meter.give_back(u64::from(self.rows), self.bytes);
        *self = Self::new(self.rows_max, &self.meter);
    }

    /// What the rows have cost of the budget.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// The result, or none when no row has told the columns.
    pub(crate) fn finish(self) -> Option<ResultSet> {
        let columns = self.builders?.into_iter().map(Builder::finish).collect();
        Some(ResultSet { columns, row_count: self.rows, truncated: self.truncated })
    }
}

/// A builder for each column of the row.
pub(super) async fn builders(database: &Database, row: &PgRow) -> Result<Vec<Builder>, DbError> {
    let mut builders = Vec::with_capacity(row.columns().len());
    for column in row.columns() {
        let oid = column.type_info().oid().ok_or_else(|| DbError::internal("a column without a type"))?;
        builders.push(Builder::new(column.name(), database.type_of(oid.0).await?)?);
    }
    Ok(builders)
}
