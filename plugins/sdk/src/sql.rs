//! Read-only SQL, as the caller: row security applies, and no function takes a tenant, user or role.
//!
//! ```no_run
//! # use stockade_sdk::{Error, sql, serde};
//! # fn f(store_id: &str) -> Result<(), Error> {
//! #[derive(serde::Deserialize)]
//! # #[serde(crate = "serde")]
//! struct Month { month: String, revenue: f64 }
//!
//! let months: Vec<Month> = sql::query(
//!     "SELECT to_char(order_date, 'YYYY-MM') AS month, sum(total_amount) AS revenue
//!      FROM retail.orders WHERE store_id = $1 AND order_date >= $2 GROUP BY 1 ORDER BY 1",
//!     (sql::uuid(store_id), stockade_sdk::caller::now()),
//! )?.all()?;
//! # Ok(()) }
//! ```

use jiff::{Timestamp, civil::Date};

use crate::{Error, ResultSet, host::sql};

pub use crate::bindings::stockade::plugin::sql::{Statement, Value};

/// As many rows as the plugin's limits allow.
pub const ROWS_MAX: u32 = u32::MAX;

/// A statement and its parameters, `$1` first.
pub fn statement(text: impl Into<String>, parameters: impl IntoParameters) -> Statement {
    Statement { text: text.into(), parameters: parameters.into_parameters() }
}

/// Run one query: as many rows as the plugin's limits allow, `truncated` where there were more.
pub fn query(text: &str, parameters: impl IntoParameters) -> Result<ResultSet, Error> {
    query_max(text, parameters, ROWS_MAX)
}

/// Run one query for at most `rows_max` rows.
pub fn query_max(text: &str, parameters: impl IntoParameters, rows_max: u32) -> Result<ResultSet, Error> {
    sql::query(&statement(text, parameters), rows_max)
}

/// As [`query`], and the result may be one of at most `ttl_s` seconds ago (1 to 86,400) from before which no
/// table that it reads has changed. Parameters decide too: a moment such as `caller::now()` finds nothing
/// that was kept, a day does.
pub fn query_cached(text: &str, parameters: impl IntoParameters, ttl_s: u32) -> Result<ResultSet, Error> {
    sql::query_cached(&statement(text, parameters), ROWS_MAX, ttl_s)
}

/// Run several queries on one snapshot, in one transaction: their results agree with each other, and it
/// takes fewer round trips than one after the other. The first failure fails all.
pub fn query_all<const N: usize>(statements: [Statement; N]) -> Result<[ResultSet; N], Error> {
    let results = sql::query_all(&statements, ROWS_MAX)?;
    results.try_into().map_err(|results: Vec<ResultSet>| {
        Error::unexpected("RESULT_SHAPE", format!("{N} statements gave {} results", results.len()))
    })
}

/// A query whose rows come in batches. It holds a connection until it is dropped: close it early. A
/// call may have one open.
#[derive(Debug)]
pub struct Cursor(sql::Cursor);

impl Cursor {
    /// Start the query.
    pub fn open(text: &str, parameters: impl IntoParameters) -> Result<Self, Error> {
        sql::Cursor::open(&statement(text, parameters)).map(Self)
    }

    /// The next rows, at most `rows_max`; `None` after the last.
    pub fn next(&mut self, rows_max: u32) -> Result<Option<ResultSet>, Error> {
        let batch = self.0.fetch(rows_max)?;
        Ok((batch.row_count > 0).then_some(batch))
    }
}

/// A `uuid` parameter: 36 characters with hyphens. A plain text parameter needs `$1::uuid`.
pub fn uuid(text: impl Into<String>) -> Value {
    Value::Uuid(text.into())
}

/// What stands for the parameters of a statement: `()`, a tuple of up to eight values, an array or a
/// vector of [`Value`]s.
pub trait IntoParameters {
    /// The values, `$1` first.
    fn into_parameters(self) -> Vec<Value>;
}

impl IntoParameters for Vec<Value> {
    fn into_parameters(self) -> Vec<Value> {
        self
    }
}

impl<const N: usize> IntoParameters for [Value; N] {
    fn into_parameters(self) -> Vec<Value> {
        self.into()
    }
}

macro_rules! tuples {
    ($($(($name:ident $index:tt))*;)*) => {$(
        impl<$($name: Into<Value>),*> IntoParameters for ($($name,)*) {
            fn into_parameters(self) -> Vec<Value> {
                vec![$(self.$index.into()),*]
            }
        }
    )*};
}

tuples! {
    ;
    (A 0);
    (A 0) (B 1);
    (A 0) (B 1) (C 2);
    (A 0) (B 1) (C 2) (D 3);
    (A 0) (B 1) (C 2) (D 3) (E 4);
    (A 0) (B 1) (C 2) (D 3) (E 4) (F 5);
    (A 0) (B 1) (C 2) (D 3) (E 4) (F 5) (G 6);
    (A 0) (B 1) (C 2) (D 3) (E 4) (F 5) (G 6) (H 7);
}

macro_rules! values {
    ($($from:ty => |$value:ident| $to:expr;)*) => {$(
        impl From<$from> for Value {
            fn from($value: $from) -> Self {
                $to
            }
        }
    )*};
}

values! {
    bool => |value| Self::Boolean(value);
    i16 => |value| Self::Integer(value.into());
    i32 => |value| Self::Integer(value.into());
    i64 => |value| Self::Integer(value);
    u32 => |value| Self::Integer(value.into());
    f32 => |value| Self::Float(value.into());
    f64 => |value| Self::Float(value);
    &str => |value| Self::Text(value.to_owned());
    &String => |value| Self::Text(value.clone());
    String => |value| Self::Text(value);
    Vec<u8> => |value| Self::Bytes(value);
    Vec<f32> => |value| Self::Floats(value);
    Vec<i64> => |value| Self::Integers(value);
    Vec<String> => |value| Self::Texts(value);
    &[String] => |value| Self::Texts(value.to_vec());
    &[&str] => |value| Self::Texts(value.iter().map(|&text| text.to_owned()).collect());
    Timestamp => |value| Self::Timestamp(value.as_microsecond());
    Date => |value| Self::Date(days_since_1970(value));
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

fn days_since_1970(date: Date) -> i32 {
    // jiff's years are -9999 to 9999: the difference is a few million days.
    date.duration_since(jiff::civil::date(1970, 1, 1)).as_hours() as i32 / 24
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_take_the_contracts_types() {
        let day = jiff::civil::date(1969, 12, 31);
        let parameters = (1_i32, "x", None::<i64>, day, uuid("u"), 0.5, true);
        assert_eq!(
            parameters.into_parameters(),
            [
                Value::Integer(1),
                Value::Text("x".into()),
                Value::Null,
                Value::Date(-1),
                Value::Uuid("u".into()),
                Value::Float(0.5),
                Value::Boolean(true),
            ]
        );
        assert_eq!(().into_parameters(), []);
        assert_eq!(days_since_1970(jiff::civil::date(2026, 11, 23)), 20_780);
    }
}
