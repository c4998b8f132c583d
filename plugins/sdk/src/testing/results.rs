//! Building result sets.

use crate::{Column, ColumnValues, FixedPoint, Packed, ResultSet};

/// A result set of columns of one length.
pub fn result<const N: usize>(columns: [Column; N]) -> ResultSet {
    let row_count = columns.first().map_or(0, |column| length(&column.values));
    ResultSet { columns: columns.into(), row_count, truncated: false }
}

/// The same, said to have had further rows.
pub fn truncated(result: ResultSet) -> ResultSet {
    ResultSet { truncated: true, ..result }
}

/// A column of `bool`.
pub fn booleans(name: &str, values: impl IntoIterator<Item = Option<bool>>) -> Column {
    column(name, "bool", values, ColumnValues::Booleans)
}

/// A column of `int8`.
pub fn integers(name: &str, values: impl IntoIterator<Item = Option<i64>>) -> Column {
    column(name, "int8", values, ColumnValues::Integers)
}

/// A column of `float8`.
pub fn floats(name: &str, values: impl IntoIterator<Item = Option<f64>>) -> Column {
    column(name, "float8", values, ColumnValues::Floats)
}

/// A column of `numeric`: value = unscaled × 10^-scale.
pub fn decimals(name: &str, scale: u8, unscaled: impl IntoIterator<Item = Option<i64>>) -> Column {
    column(name, "numeric", unscaled, |unscaled| ColumnValues::Decimals(FixedPoint { scale, unscaled }))
}

/// A column of `date`: days since 1970-01-01.
pub fn dates(name: &str, days: impl IntoIterator<Item = Option<i32>>) -> Column {
    column(name, "date", days, ColumnValues::Dates)
}

/// A column of `timestamptz`: microseconds since 1970-01-01T00:00:00Z.
pub fn timestamps(name: &str, micros: impl IntoIterator<Item = Option<i64>>) -> Column {
    column(name, "timestamptz", micros, ColumnValues::Timestamps)
}

/// A column of `text`.
pub fn texts<'a>(name: &str, values: impl IntoIterator<Item = Option<&'a str>>) -> Column {
    column(name, "text", values, |texts| ColumnValues::Texts(pack(&texts)))
}

/// A column of `jsonb`, as text.
pub fn json<'a>(name: &str, values: impl IntoIterator<Item = Option<&'a str>>) -> Column {
    Column { type_name: "jsonb".into(), ..texts(name, values) }
}

fn column<T: Default>(
    name: &str,
    type_name: &str,
    values: impl IntoIterator<Item = Option<T>>,
    hold: impl FnOnce(Vec<T>) -> ColumnValues,
) -> Column {
    let mut nulls = Vec::new();
    let mut held = Vec::new();
    for (row, value) in values.into_iter().enumerate() {
        if value.is_none() {
            nulls.resize(nulls.len().max(row / 8 + 1), 0_u8);
            if let Some(last) = nulls.last_mut() {
                *last |= 1 << (row % 8);
            }
        }
        held.push(value.unwrap_or_default());
    }
    Column { name: name.into(), type_name: type_name.into(), nulls, values: hold(held) }
}

fn pack(texts: &[&str]) -> Packed {
    let mut packed = Packed { offsets: vec![0], data: Vec::new() };
    for text in texts {
        packed.data.extend_from_slice(text.as_bytes());
        packed.offsets.push(packed.data.len() as u32);
    }
    packed
}

fn length(values: &ColumnValues) -> u32 {
    let length = match values {
        ColumnValues::Booleans(values) => values.len(),
        ColumnValues::Integers(values) | ColumnValues::Timestamps(values) | ColumnValues::Times(values) => values.len(),
        ColumnValues::Floats(values) => values.len(),
        ColumnValues::Decimals(values) => values.unscaled.len(),
        ColumnValues::Texts(packed) | ColumnValues::Bytes(packed) => packed.offsets.len().saturating_sub(1),
        ColumnValues::Dates(values) => values.len(),
        ColumnValues::Vectors(vectors) => vectors.elements.len().checked_div(vectors.dimension as usize).unwrap_or(0),
    };
    length as u32
}
