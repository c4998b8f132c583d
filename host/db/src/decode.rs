//! Columns, straight from the bytes of the wire.
//!
//! A binary cursor sends every value in its type's binary format. A [`Builder`] takes one column's
//! values row by row; lengths are checked, so a value that does not look as its type should is an
//! error and never a wrong number.
use crate::encode::{EPOCH_DAYS, EPOCH_US};
use crate::error::DbError;
use crate::value::{Column, ColumnValues, FixedPoint, Packed, VectorArray};

mod numeric;

use numeric::Numerics;

/// How a type of PostgreSQL is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    Numeric,
    Text,
    Uuid,
    Jsonb,
    Bytea,
    Date,
    Timestamp,
    Time,
    Vector,
    /// Does not cross: the statement fails and says which column to cast.
    Unsupported,
}

/// A type of PostgreSQL: its name and how it is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TypeOf {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// Types with an object id that never changes (`pg_type.dat`).
pub(crate) fn built_in(oid: u32) -> Option<(&'static str, Kind)> {
    Some(match oid {
        16 => ("bool", Kind::Bool),
        17 => ("bytea", Kind::Bytea),
        19 => ("name", Kind::Text),
        20 => ("int8", Kind::Int8),
        21 => ("int2", Kind::Int2),
        23 => ("int4", Kind::Int4),
        25 => ("text", Kind::Text),
        26 => ("oid", Kind::Oid),
        114 => ("json", Kind::Text),
        700 => ("float4", Kind::Float4),
        701 => ("float8", Kind::Float8),
        1042 => ("bpchar", Kind::Text),
        1043 => ("varchar", Kind::Text),
        1082 => ("date", Kind::Date),
        1083 => ("time", Kind::Time),
        1114 => ("timestamp", Kind::Timestamp),
        1184 => ("timestamptz", Kind::Timestamp),
        1700 => ("numeric", Kind::Numeric),
        2950 => ("uuid", Kind::Uuid),
        3802 => ("jsonb", Kind::Jsonb),
        _ => return None,
    })
}

/// What a numeric that is kept exact takes, in bytes.
const NUMERIC_BYTES: u64 = 40;

/// At most as many bytes as the numeric has as text. On the wire: digits, weight, sign and scale, 16 bits
/// each; a digit stands for four decimal ones.
fn numeric_text_bytes(bytes: &[u8]) -> u64 {
    let number = |at: usize| match bytes.get(at..at + 2) {
        Some(&[high, low]) => i64::from(i16::from_be_bytes([high, low])),
        _ => 0,
    };
    let (weight, scale) = (number(2), number(6));
    u64::try_from((weight + 1).max(0) * 4 + scale.max(0) + 3).unwrap_or(u64::MAX)
}

/// One column in the making.
#[derive(Debug)]
pub(crate) struct Builder {
    name: String,
    type_of: TypeOf,
    nulls: Vec<u8>,
    rows: usize,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Booleans(Vec<bool>),
    Integers(Vec<i64>),
    Floats(Vec<f64>),
    Numerics(Numerics),
    Texts(Packed),
    Bytes(Packed),
    Dates(Vec<i32>),
    Timestamps(Vec<i64>),
    Times(Vec<i64>),
    Vectors(VectorArray),
}

impl Builder {
    /// Fails with SQLSTATE 0A000 when the type does not cross.
    pub(crate) fn new(name: &str, type_of: TypeOf) -> Result<Self, DbError> {
        let values = match type_of.kind {
            Kind::Bool => Values::Booleans(Vec::new()),
            Kind::Int2 | Kind::Int4 | Kind::Int8 | Kind::Oid => Values::Integers(Vec::new()),
            Kind::Float4 | Kind::Float8 => Values::Floats(Vec::new()),
            Kind::Numeric => Values::Numerics(Numerics::default()),
            Kind::Text | Kind::Uuid | Kind::Jsonb => Values::Texts(empty_packed()),
            Kind::Bytea => Values::Bytes(empty_packed()),
            Kind::Date => Values::Dates(Vec::new()),
            Kind::Timestamp => Values::Timestamps(Vec::new()),
            Kind::Time => Values::Times(Vec::new()),
            Kind::Vector => Values::Vectors(VectorArray { dimension: 0, elements: Vec::new() }),
            Kind::Unsupported => {
                let cast = if type_of.name == "halfvec" { "vector" } else { "text" };
                return Err(statement(
                    "0A000",
                    format!("column \"{name}\" has type {}, which is not supported; cast it: ::{cast}", type_of.name),
                ));
            }
        };
        Ok(Self { name: name.to_owned(), type_of, nulls: Vec::new(), rows: 0, values })
    }

    /// What a value takes of the byte budget: about what it will take in memory.
    pub(crate) fn cost(&self, value: Option<&[u8]>) -> u64 {
        let length = value.map_or(0, <[u8]>::len) as u64;
        match self.type_of.kind {
            Kind::Bool => 1,
            Kind::Date => 4,
            Kind::Text | Kind::Bytea | Kind::Jsonb => length + 4,
            Kind::Uuid => 40,
            Kind::Numeric => value.map_or(NUMERIC_BYTES, |bytes| numeric_text_bytes(bytes).max(NUMERIC_BYTES)),
            Kind::Vector => self.vector_cost(length),
            _ => 8,
        }
    }

    /// A null takes the room of a vector, and the first vector that of the nulls before it too.
    fn vector_cost(&self, length: u64) -> u64 {
        let dimension = match &self.values {
            Values::Vectors(vectors) => u64::from(vectors.dimension),
            _ => 0,
        };
        match (length, dimension) {
            (0, 0) => 4,
            (0, dimension) => dimension.saturating_mul(4),
            (length, 0) => length.saturating_mul(self.rows as u64 + 1),
            (length, _) => length,
        }
    }

    /// Appends a value; None is NULL.
    pub(crate) fn push(&mut self, value: Option<&[u8]>) -> Result<(), DbError> {
        let row = self.rows;
        self.rows += 1;
        if value.is_none() {
            self.nulls.resize(row / 8 + 1, 0);
            if let Some(byte) = self.nulls.get_mut(row / 8) {
                *byte |= 1 << (row % 8);
            }
        }
        let kind = self.type_of.kind;
        let fits = match (&mut self.values, value) {
            (Values::Booleans(out), None) => push(out, Some(false)),
            (Values::Booleans(out), Some(bytes)) => push(out, fixed::<1>(bytes).map(|[byte]| byte != 0)),
            (Values::Integers(out), None) => push(out, Some(0)),
            (Values::Integers(out), Some(bytes)) => push(out, integer(kind, bytes)),
            (Values::Floats(out), None) => push(out, Some(0.0)),
            (Values::Floats(out), Some(bytes)) if kind == Kind::Float4 => {
                push(out, fixed(bytes).map(|bytes| f64::from(f32::from_be_bytes(bytes))))
            }
            (Values::Floats(out), Some(bytes)) => push(out, fixed(bytes).map(f64::from_be_bytes)),
            (Values::Numerics(out), value) => out.push(value),
            (Values::Texts(out), None) | (Values::Bytes(out), None) => pack(out, &[]),
            (Values::Texts(out), Some(bytes)) => text(kind, bytes).is_some_and(|text| pack(out, text.as_bytes())),
            (Values::Bytes(out), Some(bytes)) => pack(out, bytes),
            (Values::Dates(out), None) => push(out, Some(0)),
            (Values::Dates(out), Some(bytes)) => push(out, fixed(bytes).map(i32::from_be_bytes).and_then(date)),
            (Values::Timestamps(out) | Values::Times(out), None) => push(out, Some(0)),
            (Values::Timestamps(out), Some(bytes)) => {
                let Some(us) = fixed(bytes).map(i64::from_be_bytes) else { return Err(self.malformed()) };
                let Some(us) = timestamp(us) else {
                    return Err(statement(
                        "22008",
                        format!("column \"{}\" has a time beyond the year 294246; cast it: ::text", self.name),
                    ));
                };
                push(out, Some(us))
            }
            (Values::Times(out), Some(bytes)) => push(out, fixed(bytes).map(i64::from_be_bytes)),
            (Values::Vectors(out), value) => match push_vector(out, row, value) {
                Ok(()) => true,
                Err(Mismatch::Form) => false,
                Err(Mismatch::Dimension) => {
                    return Err(statement(
                        "0A000",
                        format!("column \"{}\" has vectors of different dimensions; cast it: ::text", self.name),
                    ));
                }
            },
        };
        if fits { Ok(()) } else { Err(self.malformed()) }
    }

    /// The finished column.
    pub(crate) fn finish(mut self) -> Column {
        if !self.nulls.is_empty() {
            self.nulls.resize(self.rows.div_ceil(8), 0);
        }
        let values = match self.values {
            Values::Booleans(values) => ColumnValues::Booleans(values),
            Values::Integers(values) => ColumnValues::Integers(values),
            Values::Floats(values) => ColumnValues::Floats(values),
            Values::Numerics(values) => values.finish(),
            Values::Texts(values) => ColumnValues::Texts(values),
            Values::Bytes(values) => ColumnValues::Bytes(values),
            Values::Dates(values) => ColumnValues::Dates(values),
            Values::Timestamps(values) => ColumnValues::Timestamps(values),
            Values::Times(values) => ColumnValues::Times(values),
            Values::Vectors(values) => ColumnValues::Vectors(values),
        };
        Column { name: self.name, type_name: self.type_of.name, nulls: self.nulls, values }
    }

    fn malformed(&self) -> DbError {
        DbError::internal(format!(
            "column {} of type {}: a value has another form than its type",
            self.name, self.type_of.name
        ))
    }
}

impl Column {
    /// A column out of values in PostgreSQL's binary format; `type_oid` is that of a built-in type, and
    /// None is NULL.
    ///
    /// # Errors
    /// SQLSTATE 0A000 where the type does not cross, and where a value has another form than its type.
    pub fn from_wire<'a>(
        name: &str,
        type_oid: u32,
        values: impl IntoIterator<Item = Option<&'a [u8]>>,
    ) -> Result<Self, DbError> {
        let (type_name, kind) = built_in(type_oid).unwrap_or(("unknown", Kind::Unsupported));
        let mut builder = Builder::new(name, TypeOf { name: type_name.to_owned(), kind })?;
        for value in values {
            builder.push(value)?;
        }
        Ok(builder.finish())
    }
}

enum Mismatch {
    Form,
    Dimension,
}

fn statement(sqlstate: &str, message: String) -> DbError {
    DbError::Statement { sqlstate: sqlstate.to_owned(), message }
}

fn empty_packed() -> Packed {
    Packed { offsets: vec![0], data: Vec::new() }
}

fn push<T>(out: &mut Vec<T>, value: Option<T>) -> bool {
    value.map(|value| out.push(value)).is_some()
}

fn pack(out: &mut Packed, bytes: &[u8]) -> bool {
    out.data.extend_from_slice(bytes);
    // Offsets are 32 bits by contract; the byte budget ends far below.
    push(&mut out.offsets, u32::try_from(out.data.len()).ok())
}

fn fixed<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

fn integer(kind: Kind, bytes: &[u8]) -> Option<i64> {
    match kind {
        Kind::Int2 => fixed(bytes).map(|bytes| i64::from(i16::from_be_bytes(bytes))),
        Kind::Int4 => fixed(bytes).map(|bytes| i64::from(i32::from_be_bytes(bytes))),
        Kind::Oid => fixed(bytes).map(|bytes| i64::from(u32::from_be_bytes(bytes))),
        _ => fixed(bytes).map(i64::from_be_bytes),
    }
}

fn text(kind: Kind, bytes: &[u8]) -> Option<std::borrow::Cow<'_, str>> {
    match kind {
        Kind::Uuid => uuid::Uuid::from_slice(bytes).ok().map(|uuid| uuid.hyphenated().to_string().into()),
        // jsonb_send: a version byte, 1, before the text
        Kind::Jsonb => bytes.strip_prefix(&[1]).and_then(|text| std::str::from_utf8(text).ok()).map(Into::into),
        _ => std::str::from_utf8(bytes).ok().map(Into::into),
    }
}

fn date(days: i32) -> Option<i32> {
    match days {
        i32::MIN | i32::MAX => Some(days),
        _ => days.checked_add(EPOCH_DAYS),
    }
}

fn timestamp(us: i64) -> Option<i64> {
    match us {
        i64::MIN | i64::MAX => Some(us),
        _ => us.checked_add(EPOCH_US),
    }
}

/// pgvector's vector_send: dimension and an unused word, 16 bits each, then the elements.
fn push_vector(out: &mut VectorArray, row: usize, value: Option<&[u8]>) -> Result<(), Mismatch> {
    let Some(bytes) = value else {
        out.elements.resize(out.elements.len() + out.dimension as usize, 0.0);
        return Ok(());
    };
    let (header, elements) = bytes.split_first_chunk::<4>().ok_or(Mismatch::Form)?;
    let dimension = u32::from(u16::from_be_bytes([header[0], header[1]]));
    if elements.len() != dimension as usize * 4 {
        return Err(Mismatch::Form);
    }
    if out.dimension == 0 {
        // Rows before the first value were null, and now we know how wide a null row is.
        out.dimension = dimension;
        out.elements.resize(row * dimension as usize, 0.0);
    } else if out.dimension != dimension {
        return Err(Mismatch::Dimension);
    }
    let (chunks, _) = elements.as_chunks::<4>();
    out.elements.extend(chunks.iter().map(|chunk| f32::from_be_bytes(*chunk)));
    Ok(())
}

#[cfg(test)]
mod tests;
