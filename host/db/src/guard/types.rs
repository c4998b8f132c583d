//! Names of types: in casts, typed literals and column definitions.
use sqlparser::ast::{ArrayElemTypeDef, DataType};

use super::names::{Name, PG_CATALOG};
use super::unsupported;
use crate::error::DbError;

/// The type's name where it has to be looked up; none for a type that is the parser's own word.
pub(super) fn named_type(data_type: &DataType) -> Result<Option<Name>, DbError> {
    match data_type {
        DataType::Character(_)
        | DataType::Char(_)
        | DataType::CharacterVarying(_)
        | DataType::CharVarying(_)
        | DataType::Varchar(_)
        | DataType::Uuid
        | DataType::Numeric(_)
        | DataType::Decimal(_)
        | DataType::Dec(_)
        | DataType::Float(_)
        | DataType::Int2(_)
        | DataType::SmallInt(_)
        | DataType::Int(_)
        | DataType::Int4(_)
        | DataType::Int8(_)
        | DataType::Integer(_)
        | DataType::BigInt(_)
        | DataType::Float4
        | DataType::Real
        | DataType::Float8
        | DataType::DoublePrecision
        | DataType::Bool
        | DataType::Boolean
        | DataType::Date
        | DataType::Time(_, _)
        | DataType::Timestamp(_, _)
        | DataType::Interval { .. }
        | DataType::JSON
        | DataType::JSONB
        | DataType::Text
        | DataType::Bytea
        | DataType::Bit(_)
        | DataType::BitVarying(_)
        | DataType::VarBit(_)
        | DataType::GeometricType(_)
        | DataType::TsVector
        | DataType::TsQuery => Ok(None),
        DataType::Regclass => Ok(Some(Name { schema: Some(PG_CATALOG.to_owned()), name: "regclass".to_owned() })),
        DataType::Custom(name, _) => Name::of(name).map(Some),
        DataType::Array(ArrayElemTypeDef::SquareBracket(element, _)) => named_type(element),
        other => Err(unsupported(&format!("the type {other}"))),
    }
}
