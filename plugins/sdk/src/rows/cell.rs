//! One value, as serde sees it.

use jiff::civil::{Date, Time};
use jiff::{SignedDuration, Timestamp};
use serde::de::value::SeqDeserializer;
use serde::de::{Deserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::column::to_f64;
use super::error::ReadError;
use crate::{Column, ColumnValues, FixedPoint, Packed};

#[derive(Clone, Copy)]
pub(super) struct Cell<'a> {
    column: &'a Column,
    row: usize,
}

/// A value in its natural form.
#[derive(Debug)]
pub(super) enum Held<'a> {
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Decimal(i64, u8),
    Text(&'a str),
    /// Text that PostgreSQL calls `json` or `jsonb`.
    Json(&'a str),
    /// A `numeric` of more than 18 digits, or `NaN`, or an infinity.
    BigNumber(&'a str),
    Bytes(&'a [u8]),
    Date(i32),
    Timestamp(i64),
    /// `timestamp`, which names no point in time.
    LocalTimestamp(i64),
    Time(i64),
    Vector(&'a [f32]),
}

impl<'a> Cell<'a> {
    pub(super) fn of(column: &'a Column, row: usize) -> Self {
        Self { column, row }
    }

    pub(super) fn held(self) -> Result<Held<'a>, ReadError> {
        let Self { column, row } = self;
        if column.is_null(row) {
            return Ok(Held::Null);
        }
        let type_name = column.type_name.as_str();
        let held = match &column.values {
            ColumnValues::Booleans(values) => values.get(row).copied().map(Held::Boolean),
            ColumnValues::Integers(values) => values.get(row).copied().map(Held::Integer),
            ColumnValues::Floats(values) => values.get(row).copied().map(Held::Float),
            ColumnValues::Decimals(FixedPoint { scale, unscaled }) => {
                unscaled.get(row).map(|&unscaled| Held::Decimal(unscaled, *scale))
            }
            ColumnValues::Texts(packed) => {
                let text = bytes(packed, row).and_then(|bytes| std::str::from_utf8(bytes).ok());
                text.map(|text| match type_name {
                    "json" | "jsonb" => Held::Json(text),
                    "numeric" => Held::BigNumber(text),
                    _ => Held::Text(text),
                })
            }
            ColumnValues::Bytes(packed) => bytes(packed, row).map(Held::Bytes),
            ColumnValues::Dates(values) => values.get(row).copied().map(Held::Date),
            ColumnValues::Timestamps(values) => values.get(row).copied().map(|value| {
                if type_name == "timestamp" { Held::LocalTimestamp(value) } else { Held::Timestamp(value) }
            }),
            ColumnValues::Times(values) => values.get(row).copied().map(Held::Time),
            ColumnValues::Vectors(vectors) => {
                let dimension = vectors.dimension as usize;
                let start = row * dimension;
                vectors.elements.get(start..start + dimension).map(Held::Vector)
            }
        };
        held.ok_or_else(|| ReadError::new("the column is shorter than the result says"))
    }

    /// Read JSON text as whatever it holds; all else by `otherwise`.
    fn json_or<V: Visitor<'a>>(
        self,
        visitor: V,
        read: impl FnOnce(&mut serde_json::Deserializer<serde_json::de::StrRead<'a>>, V) -> serde_json::Result<V::Value>,
    ) -> Result<V::Value, ReadError> {
        match self.held()? {
            Held::Json(text) => read(&mut serde_json::Deserializer::from_str(text), visitor)
                .map_err(|error| ReadError::new(format!("in the JSON: {error}"))),
            held => visit(held, visitor),
        }
    }
}

fn bytes(packed: &Packed, row: usize) -> Option<&[u8]> {
    let (start, end) = (*packed.offsets.get(row)?, *packed.offsets.get(row + 1)?);
    packed.data.get(start as usize..end as usize)
}

/// A date in text, as in ISO 8601; infinities have none.
pub(super) fn date_text(days: i32) -> Result<String, ReadError> {
    jiff::Span::new()
        .try_days(days)
        .and_then(|days| Date::constant(1970, 1, 1).checked_add(days))
        .map(|date| date.to_string())
        .map_err(|_| ReadError::new("the date is infinite or beyond the year 9999"))
}

/// A point in time in text, as in RFC 3339; without `Z` where it is local.
pub(super) fn timestamp_text(micros: i64, local: bool) -> Result<String, ReadError> {
    let timestamp = Timestamp::from_microsecond(micros)
        .map_err(|_| ReadError::new("the timestamp is infinite or beyond the year 9999"))?;
    let mut text = timestamp.to_string();
    if local {
        text.pop();
    }
    Ok(text)
}

/// A time of day in text.
pub(super) fn time_text(micros: i64) -> Result<String, ReadError> {
    Time::midnight()
        .checked_add(SignedDuration::from_micros(micros))
        .map(|time| time.to_string())
        .map_err(|_| ReadError::new("the time is 24:00:00, which is not of this day"))
}

fn visit<'de, V: Visitor<'de>>(held: Held<'de>, visitor: V) -> Result<V::Value, ReadError> {
    match held {
        Held::Null => visitor.visit_unit(),
        Held::Boolean(value) => visitor.visit_bool(value),
        Held::Integer(value) => visitor.visit_i64(value),
        Held::Float(value) => visitor.visit_f64(value),
        Held::Decimal(unscaled, scale) => match whole(unscaled, scale) {
            Some(whole) => visitor.visit_i64(whole),
            None => visitor.visit_f64(to_f64(unscaled, scale)),
        },
        Held::Text(text) | Held::Json(text) | Held::BigNumber(text) => visitor.visit_borrowed_str(text),
        Held::Bytes(bytes) => visitor.visit_borrowed_bytes(bytes),
        Held::Date(days) => visitor.visit_string(date_text(days)?),
        Held::Timestamp(micros) => visitor.visit_string(timestamp_text(micros, false)?),
        Held::LocalTimestamp(micros) => visitor.visit_string(timestamp_text(micros, true)?),
        Held::Time(micros) => visitor.visit_string(time_text(micros)?),
        Held::Vector(elements) => visitor.visit_seq(SeqDeserializer::new(elements.iter().copied())),
    }
}

/// The integer that unscaled × 10^-scale is, if it is one.
fn whole(unscaled: i64, scale: u8) -> Option<i64> {
    if unscaled == 0 {
        return Some(0);
    }
    let divisor = 10_i64.checked_pow(scale.into())?;
    (unscaled % divisor == 0).then(|| unscaled / divisor)
}

macro_rules! integers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
            match self.held()? {
                Held::Date(days) => visitor.visit_i32(days),
                Held::Timestamp(micros) | Held::LocalTimestamp(micros) | Held::Time(micros) => {
                    visitor.visit_i64(micros)
                }
                held => visit(held, visitor),
            }
        }
    )*};
}

macro_rules! floats {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
            match self.held()? {
                Held::Decimal(unscaled, scale) => visitor.visit_f64(to_f64(unscaled, scale)),
                Held::BigNumber(text) => match text.parse() {
                    Ok(number) => visitor.visit_f64(number),
                    Err(_) => Err(ReadError::new("not a number")),
                },
                held => visit(held, visitor),
            }
        }
    )*};
}

macro_rules! structured {
    ($($method:ident($($name:ident: $type:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(
            self,
            $($name: $type,)*
            visitor: V,
        ) -> Result<V::Value, ReadError> {
            self.json_or(visitor, |json, visitor| json.$method($($name,)* visitor))
        }
    )*};
}

impl<'de> Deserializer<'de> for Cell<'de> {
    type Error = ReadError;

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
    }

    floats! { deserialize_f32 deserialize_f64 }

    structured! {
        deserialize_any()
        deserialize_seq()
        deserialize_map()
        deserialize_tuple(len: usize)
        deserialize_tuple_struct(name: &'static str, len: usize)
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
        deserialize_bool()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        if self.column.is_null(self.row) { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    /// The name of a variant without fields: an enumerated type, or a text.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        match self.held()? {
            Held::Text(text) => visitor.visit_enum(serde::de::value::BorrowedStrDeserializer::new(text)),
            _ => self.json_or(visitor, |json, visitor| json.deserialize_enum(name, variants, visitor)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_unit()
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visit(self.held()?, visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visit(self.held()?, visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visit(self.held()?, visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visit(self.held()?, visitor)
    }

    forward_to_deserialize_any! { char unit unit_struct identifier }
}
