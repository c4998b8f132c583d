//! Which relations a plugin's statements may name.
use std::collections::BTreeSet;
use std::fmt;

/// Schemas with all that is in them, and single tables of others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SqlScope {
    /// Their relations, functions, types and operators may be named.
    pub schemas: BTreeSet<String>,
    /// Of another schema, these relations and nothing else.
    pub tables: BTreeSet<TableName>,
}

impl SqlScope {
    pub(crate) fn has_relation(&self, schema: &str, name: &str) -> bool {
        self.schemas.contains(schema) || self.tables.iter().any(|table| table.schema == schema && table.name == name)
    }
}

/// A table or a view, written `schema.table` as PostgreSQL keeps the two names. Names with a dot in them
/// cannot be written; their schema can be granted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TableName {
    schema: String,
    name: String,
}

impl TableName {
    /// The schema's name.
    #[must_use]
    pub fn schema(&self) -> &str {
        &self.schema
    }
}

impl TryFrom<String> for TableName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.split_once('.') {
            Some((schema, name)) if !schema.is_empty() && !name.is_empty() && !name.contains('.') => {
                Ok(Self { schema: schema.to_owned(), name: name.to_owned() })
            }
            _ => Err(format!("{text:?} is no table: expected \"schema.table\"")),
        }
    }
}

impl From<TableName> for String {
    fn from(table: TableName) -> Self {
        table.to_string()
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_two_names() {
        for text in ["app.notes", "app.Two Words"] {
            assert_eq!(TableName::try_from(text.to_owned()).map(String::from), Ok(text.to_owned()));
        }
        for text in ["", "notes", ".notes", "app.", "a.b.c", "."] {
            assert!(TableName::try_from(text.to_owned()).is_err(), "{text:?}");
        }
    }
}
