//! Parameters, in PostgreSQL's binary format, each with the one type that the contract gives it.
use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgTypeInfo, Postgres};
use sqlx::{Arguments, Type};

use crate::error::DbError;
use crate::value::Value;

/// Days from 1970-01-01 to PostgreSQL's epoch, 2000-01-01.
pub(crate) const EPOCH_DAYS: i32 = 10_957;
/// The same in microseconds.
pub(crate) const EPOCH_US: i64 = 946_684_800_000_000;

const BOOL: u32 = 16;
const BYTEA: u32 = 17;
const INT8: u32 = 20;
const TEXT: u32 = 25;
const FLOAT4: u32 = 700;
const FLOAT8: u32 = 701;
const FLOAT4_ARRAY: u32 = 1_021;
const TEXT_ARRAY: u32 = 1_009;
const INT8_ARRAY: u32 = 1_016;
const DATE: u32 = 1_082;
const TIMESTAMPTZ: u32 = 1_184;
const UUID: u32 = 2_950;
/// "Infer it": what the protocol's Parse message says for an unspecified type.
const UNSPECIFIED: u32 = 0;

/// A checked parameter.
#[derive(Debug)]
struct Parameter {
    oid: u32,
    /// None is NULL.
    bytes: Option<Vec<u8>>,
}

impl Type<Postgres> for Parameter {
    fn type_info() -> PgTypeInfo {
        // Never asked: `produces` knows better.
        PgTypeInfo::with_oid(Oid(UNSPECIFIED))
    }
}

impl Encode<'_, Postgres> for Parameter {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        match &self.bytes {
            Some(bytes) => {
                buffer.extend_from_slice(bytes);
                Ok(IsNull::No)
            }
            None => Ok(IsNull::Yes),
        }
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(PgTypeInfo::with_oid(Oid(self.oid)))
    }
}

/// The arguments of a statement. Errors name the parameter and may be shown.
pub(crate) fn arguments(values: &[Value]) -> Result<PgArguments, DbError> {
    let mut arguments = PgArguments::default();
    for (index, value) in values.iter().enumerate() {
        let parameter = parameter(value).map_err(|expected| {
            DbError::rejected("ARGUMENT_PARAMETER", format!("parameter ${}: {expected}", index + 1))
        })?;
        arguments
            .add(parameter)
            .map_err(|error| DbError::rejected("ARGUMENT_PARAMETER", format!("parameter ${}: {error}", index + 1)))?;
    }
    Ok(arguments)
}

/// One letter a value: two statements of the same text but other types are two to PostgreSQL.
pub(crate) fn signature(values: &[Value]) -> String {
    values
        .iter()
        .map(|value| match value {
            Value::Null => 'n',
            Value::Boolean(_) => 'b',
            Value::Integer(_) => 'i',
            Value::Float(_) => 'f',
            Value::Text(_) => 't',
            Value::Uuid(_) => 'u',
            Value::Date(_) => 'd',
            Value::Timestamp(_) => 's',
            Value::Bytes(_) => 'y',
            Value::Floats(_) => 'g',
            Value::Integers(_) => 'j',
            Value::Texts(_) => 'v',
        })
        .collect()
}

fn parameter(value: &Value) -> Result<Parameter, &'static str> {
    let (oid, bytes) = match value {
        Value::Null => return Ok(Parameter { oid: UNSPECIFIED, bytes: None }),
        Value::Boolean(value) => (BOOL, vec![u8::from(*value)]),
        Value::Integer(value) => (INT8, value.to_be_bytes().to_vec()),
        Value::Float(value) => (FLOAT8, value.to_be_bytes().to_vec()),
        Value::Text(text) => (TEXT, text_bytes(text)?.to_vec()),
        Value::Uuid(text) => (UUID, uuid_bytes(text)?),
        Value::Date(days) => (DATE, date(*days)?.to_be_bytes().to_vec()),
        Value::Timestamp(us) => (TIMESTAMPTZ, timestamp(*us)?.to_be_bytes().to_vec()),
        Value::Bytes(bytes) => (BYTEA, bytes.clone()),
        Value::Floats(values) => (
            FLOAT4_ARRAY,
            array(FLOAT4, values, |value, out| {
                out.extend_from_slice(&value.to_be_bytes());
                Ok(())
            })?,
        ),
        Value::Integers(values) => (
            INT8_ARRAY,
            array(INT8, values, |value, out| {
                out.extend_from_slice(&value.to_be_bytes());
                Ok(())
            })?,
        ),
        Value::Texts(values) => (
            TEXT_ARRAY,
            array(TEXT, values, |text, out| {
                out.extend_from_slice(text_bytes(text)?);
                Ok(())
            })?,
        ),
    };
    Ok(Parameter { oid, bytes: Some(bytes) })
}

fn text_bytes(text: &str) -> Result<&[u8], &'static str> {
    if text.contains('\0') { Err("expected text without NUL characters") } else { Ok(text.as_bytes()) }
}

fn uuid_bytes(text: &str) -> Result<Vec<u8>, &'static str> {
    const EXPECTED: &str = "expected a uuid of 36 characters with hyphens";
    if text.len() != 36 {
        return Err(EXPECTED);
    }
    uuid::Uuid::try_parse(text).map(|uuid| uuid.as_bytes().to_vec()).map_err(|_| EXPECTED)
}

fn date(days: i32) -> Result<i32, &'static str> {
    match days {
        i32::MIN | i32::MAX => Ok(days),
        _ => days.checked_sub(EPOCH_DAYS).ok_or("expected a date that PostgreSQL can hold"),
    }
}

fn timestamp(us: i64) -> Result<i64, &'static str> {
    match us {
        i64::MIN | i64::MAX => Ok(us),
        _ => us.checked_sub(EPOCH_US).ok_or("expected a time that PostgreSQL can hold"),
    }
}

/// PostgreSQL's array_send: dimensions, a flag for nulls, the element's type, then length and lower
/// bound of each dimension, then each element behind its length.
fn array<T>(
    element_oid: u32,
    values: &[T],
    write: impl Fn(&T, &mut Vec<u8>) -> Result<(), &'static str>,
) -> Result<Vec<u8>, &'static str> {
    const TOO_LONG: &str = "expected an array that fits the protocol";
    let mut out = Vec::new();
    let dimensions: i32 = if values.is_empty() { 0 } else { 1 };
    out.extend_from_slice(&dimensions.to_be_bytes());
    out.extend_from_slice(&0_i32.to_be_bytes());
    out.extend_from_slice(&element_oid.to_be_bytes());
    if dimensions == 1 {
        out.extend_from_slice(&i32::try_from(values.len()).map_err(|_| TOO_LONG)?.to_be_bytes());
        out.extend_from_slice(&1_i32.to_be_bytes());
    }
    let mut element = Vec::new();
    for value in values {
        element.clear();
        write(value, &mut element)?;
        out.extend_from_slice(&i32::try_from(element.len()).map_err(|_| TOO_LONG)?.to_be_bytes());
        out.extend_from_slice(&element);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_parameters_are_named() {
        let error = arguments(&[Value::Integer(1), Value::Uuid("nope".to_owned())]).unwrap_err();
        assert!(error.to_string().contains("parameter $2"), "{error}");
        for bad in [
            Value::Text("a\0b".to_owned()),
            Value::Texts(vec!["\0".to_owned()]),
            Value::Date(i32::MIN + 1),
            Value::Timestamp(i64::MIN + 1),
        ] {
            assert!(arguments(std::slice::from_ref(&bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn infinities_stay_infinities() {
        assert_eq!(date(i32::MAX), Ok(i32::MAX));
        assert_eq!(timestamp(i64::MIN), Ok(i64::MIN));
        assert_eq!(date(EPOCH_DAYS), Ok(0));
    }

    #[test]
    fn signatures_tell_types_apart() {
        assert_eq!(signature(&[Value::Null, Value::Text(String::new()), Value::Integer(1)]), "nti");
    }
}
