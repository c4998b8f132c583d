//! One row, as serde sees it.

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::cell::Cell;
use super::error::ReadError;
use crate::{Column, ResultSet};

#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    result: &'a ResultSet,
    row: usize,
}

impl<'a> Row<'a> {
    pub(super) fn of(result: &'a ResultSet, row: usize) -> Result<Self, ReadError> {
        if row < result.row_count as usize {
            Ok(Self { result, row })
        } else {
            Err(ReadError::new(format!("no row {row}; there are {}", result.row_count)))
        }
    }

    /// The only column, for a row that is read as one value.
    fn only(self) -> Result<(&'a Column, Cell<'a>), ReadError> {
        match self.result.columns.as_slice() {
            [column] => Ok((column, Cell::of(column, self.row))),
            columns => Err(ReadError::new(format!(
                "a row read as one value has one column; this one has {}: {}",
                columns.len(),
                self.result.column_names(),
            ))),
        }
    }
}

macro_rules! one_value {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
            let (column, cell) = self.only()?;
            cell.$method(visitor).map_err(|error| error.at(column, self.row))
        }
    )*};
}

impl<'de> Deserializer<'de> for Row<'de> {
    type Error = ReadError;

    one_value! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_i128 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
        deserialize_u128 deserialize_f32 deserialize_f64 deserialize_char deserialize_str
        deserialize_string deserialize_bytes deserialize_byte_buf deserialize_option
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let columns = self.result.columns.iter();
        visitor
            .visit_map(Fields { columns, row: self.row, next: None })
            .map_err(|error| error.among(|| self.result.column_names()))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_seq(Values { columns: self.result.columns.iter(), row: self.row })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, ReadError> {
        let found = self.result.columns.len();
        if found != len {
            let names = self.result.column_names();
            let message = format!("expected {len} columns, found {found}: {names}");
            return Err(ReadError::new(message));
        }
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! { unit unit_struct map struct enum identifier ignored_any }
}

/// The columns by name.
struct Fields<'a> {
    columns: std::slice::Iter<'a, Column>,
    row: usize,
    next: Option<&'a Column>,
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ReadError> {
        self.next = self.columns.next();
        let Some(column) = self.next else {
            return Ok(None);
        };
        seed.deserialize(StrDeserializer::new(&column.name)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, ReadError> {
        let Some(column) = self.next.take() else {
            return Err(ReadError::new("a value was read before its name"));
        };
        seed.deserialize(Cell::of(column, self.row)).map_err(|error| error.at(column, self.row))
    }
}

/// The columns in order.
struct Values<'a> {
    columns: std::slice::Iter<'a, Column>,
    row: usize,
}

impl<'de> SeqAccess<'de> for Values<'de> {
    type Error = ReadError;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, ReadError> {
        let Some(column) = self.columns.next() else {
            return Ok(None);
        };
        let value = seed.deserialize(Cell::of(column, self.row));
        value.map(Some).map_err(|error| error.at(column, self.row))
    }
}
