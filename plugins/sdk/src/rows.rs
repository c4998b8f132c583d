//! Reading result sets: as typed rows, or column by column without copying.

mod cell;
mod column;
mod error;
mod json;
mod row;

pub use column::{Decimals, Texts};

use serde::Deserialize;

use crate::{Column, Error, ResultSet};
use error::ReadError;

/// How rows are read into types.
///
/// A row reads as anything that serde can deserialise. A struct takes columns by name, and ignores
/// columns that it has no field for; a tuple takes them in order; a single number or text takes the one
/// column there is. A null reads as `None` only. `numeric` reads as `f64`, or as an integer where it is
/// one; `date` and `timestamptz` as `jiff` types or as text (RFC 3339); `json` and `jsonb` as whatever
/// type they hold; `vector` as `Vec<f32>`; texts also as `&str`, without a copy.
///
/// What does not fit is [`Error::Unexpected`] with code `RESULT_SHAPE` and a message that names the
/// column, its type and what was asked for: the plugin's mistake, not the caller's.
impl ResultSet {
    /// Every row as a `T`, whether or not there were more.
    pub fn rows<'a, T: Deserialize<'a>>(&'a self) -> Result<Vec<T>, Error> {
        (0..self.row_count as usize).map(|row| self.row(row)).collect()
    }

    /// Every row as a `T`; an error (`RESULT_TRUNCATED`) if a limit kept rows back. For results that
    /// are wrong when a part is missing, such as sums.
    pub fn all<'a, T: Deserialize<'a>>(&'a self) -> Result<Vec<T>, Error> {
        if self.truncated {
            let message =
                format!("the query has more rows than the {} that the plugin's limits let through", self.row_count);
            return Err(Error::unexpected("RESULT_TRUNCATED", message));
        }
        self.rows()
    }

    /// The only row.
    pub fn one<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        if self.row_count != 1 || self.truncated {
            let more = if self.truncated { " and more" } else { "" };
            let message = format!("expected one row, found {}{more}", self.row_count);
            return Err(Error::unexpected("RESULT_SHAPE", message));
        }
        self.row(0)
    }

    /// The first row, if there is one.
    pub fn first<'a, T: Deserialize<'a>>(&'a self) -> Result<Option<T>, Error> {
        if self.row_count == 0 { Ok(None) } else { self.row(0).map(Some) }
    }

    /// Row `row`, from 0.
    pub fn row<'a, T: Deserialize<'a>>(&'a self, row: usize) -> Result<T, Error> {
        Ok(T::deserialize(row::Row::of(self, row)?)?)
    }

    /// The value of the column `name` in row `row`, from 0.
    pub fn get<'a, T: Deserialize<'a>>(&'a self, row: usize, name: &str) -> Result<T, Error> {
        row::Row::of(self, row)?;
        let column = self.column(name)?;
        Ok(T::deserialize(cell::Cell::of(column, row)).map_err(|error| error.at(column, row))?)
    }

    /// The first column of that name.
    pub fn column(&self, name: &str) -> Result<&Column, Error> {
        self.columns
            .iter()
            .find(|column| column.name == name)
            .ok_or_else(|| ReadError::new(format!("no column `{name}`; there are {}", self.column_names())).into())
    }

    /// The columns' names, for messages.
    fn column_names(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|column| format!("`{}`", column.name)).collect();
        names.join(", ")
    }
}

#[cfg(test)]
mod tests;
