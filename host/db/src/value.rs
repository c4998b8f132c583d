//! What goes into a query and what comes out: the WIT package's `sql` and `types`, one to one.
use serde::{Deserialize, Serialize};

/// A statement and the values of its parameters. `Debug` shows neither.
#[derive(Clone, PartialEq)]
pub struct Statement {
    /// One query in PostgreSQL's dialect, parameters written `$1`, `$2` …
    pub text: String,
    /// `$1` first; as many as the text names.
    pub parameters: Vec<Value>,
}

impl std::fmt::Debug for Statement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Statement(…)")
    }
}

/// A parameter, of the one SQL type given. `Debug` does not show it.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// NULL, of the type that PostgreSQL infers
    Null,
    /// `bool`
    Boolean(bool),
    /// `int8`
    Integer(i64),
    /// `float8`
    Float(f64),
    /// `text`
    Text(String),
    /// `uuid`: 36 characters with hyphens
    Uuid(String),
    /// `date`: days since 1970-01-01
    Date(i32),
    /// `timestamptz`: microseconds since 1970-01-01T00:00:00Z
    Timestamp(i64),
    /// `bytea`
    Bytes(Vec<u8>),
    /// `float4[]`
    Floats(Vec<f32>),
    /// `int8[]`
    Integers(Vec<i64>),
    /// `text[]`
    Texts(Vec<String>),
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Value(…)")
    }
}

/// A result set, held by column.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ResultSet {
    /// In the order of the statement's select list; names may repeat.
    pub columns: Vec<Column>,
    /// The length of every column.
    pub row_count: u32,
    /// True exactly when the statement had further rows that a row or byte limit kept back.
    pub truncated: bool,
}

/// One column of a result set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// As the statement names it.
    pub name: String,
    /// PostgreSQL's name of the type, e.g. `int4`.
    pub type_name: String,
    /// Bit `row % 8`, least significant first, of byte `row / 8` is set where the value is null.
    /// Empty when no row is.
    pub nulls: Vec<u8>,
    /// One value a row; a null row holds zero or the empty text.
    pub values: ColumnValues,
}

/// A column's values, by how they are held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ColumnValues {
    /// `bool`
    Booleans(Vec<bool>),
    /// `int2`, `int4`, `int8`, `oid`
    Integers(Vec<i64>),
    /// `float4`, `float8`
    Floats(Vec<f64>),
    /// `numeric`, where every value fits 18 digits
    Decimals(FixedPoint),
    /// texts, `uuid`, `json`, `jsonb`, and a `numeric` that does not fit
    Texts(Packed),
    /// `bytea`
    Bytes(Packed),
    /// `date`: days since 1970-01-01; the infinities are the extremes of `i32`
    Dates(Vec<i32>),
    /// `timestamp`, `timestamptz`: microseconds since 1970-01-01; the infinities are the extremes of `i64`
    Timestamps(Vec<i64>),
    /// `time`: microseconds since midnight
    Times(Vec<i64>),
    /// `vector`
    Vectors(VectorArray),
}

/// Fixed-point numbers that share one scale: value = unscaled × 10^-scale.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FixedPoint {
    /// Digits after the point.
    pub scale: u8,
    /// At most 18 digits each.
    pub unscaled: Vec<i64>,
}

/// Texts, or byte strings, laid end to end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Packed {
    /// Value `row` is `data[offsets[row]..offsets[row + 1]]`: one more offset than rows, the first 0.
    pub offsets: Vec<u32>,
    /// UTF-8 in `Texts`, anything in `Bytes`.
    pub data: Vec<u8>,
}

/// Vectors of one dimension.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VectorArray {
    /// Elements a row; 0 when no row has a value.
    pub dimension: u32,
    /// Row after row.
    pub elements: Vec<f32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_a_statement_nor_a_parameter_is_printed() {
        let parameters = vec![Value::Text("mark".into()), Value::Texts(vec!["mark".into()])];
        let statement = Statement { text: "SELECT 'mark'".into(), parameters };
        assert!(!format!("{statement:?} {:?}", statement.parameters).contains("mark"));
    }
}
