//! What a search may ask of a row besides that it is near: typed conditions on the columns that the
//! operator lists. A plugin gives no SQL here.
use crate::config::CollectionConfig;
use crate::error::DbError;
use crate::value::Value;

/// The most conditions of one search.
const CONDITIONS_MAX: usize = 16;

/// How a column is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
    /// `= ANY`
    OneOf,
}

/// A condition on one column. A row in which the column is null satisfies none.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// One of the collection's `filters`.
    pub column: String,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what: a list with [`Comparison::OneOf`], a single value with the others.
    pub operand: Value,
}

pub(super) fn check(config: &CollectionConfig, conditions: &[Condition]) -> Result<(), DbError> {
    let wrong = |message: String| Err(DbError::rejected("ARGUMENT_CONDITION", message));
    if conditions.len() > CONDITIONS_MAX {
        return wrong(format!("found {} conditions, expected at most {CONDITIONS_MAX}", conditions.len()));
    }
    for Condition { column, comparison, operand } in conditions {
        if !config.filters.contains(column) {
            let shown: String = column.chars().take(64).collect();
            return wrong(format!("expected a condition on one of {}, found {shown:?}", config.filters.join(", ")));
        }
        let list = matches!(operand, Value::Integers(_) | Value::Texts(_));
        if list != (*comparison == Comparison::OneOf) {
            return wrong(format!("the condition on {column}: a list goes with one-of, and with nothing else"));
        }
    }
    Ok(())
}

impl Condition {
    /// As SQL, its operand being parameter `number` of the statement.
    pub(super) fn sql(&self, number: usize) -> String {
        let operator = match self.comparison {
            Comparison::Equal => "=",
            Comparison::NotEqual => "<>",
            Comparison::Less => "<",
            Comparison::AtMost => "<=",
            Comparison::Greater => ">",
            Comparison::AtLeast => ">=",
            Comparison::OneOf => return format!("t.\"{}\" = ANY (${number})", self.column),
        };
        format!("t.\"{}\" {operator} ${number}", self.column)
    }
}
