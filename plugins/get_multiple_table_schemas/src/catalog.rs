//! From PostgreSQL's catalogue to tables.

use serde::Deserialize;
use stockade_sdk::{Error, ResultSet};

use crate::{Column, ForeignKey, Table};

/// One row a table, with columns and constraints as JSON: one statement, one snapshot.
pub(crate) const QUERY: &str = include_str!("catalog.sql");

#[derive(Deserialize)]
struct Row {
    name: String,
    comment: Option<String>,
    row_security: bool,
    columns: Option<Vec<Column>>,
    constraints: Option<Vec<Constraint>>,
}

#[derive(Deserialize)]
struct Constraint {
    kind: Kind,
    columns: Option<Vec<String>>,
    references_table: Option<String>,
    references_columns: Option<Vec<String>>,
    definition: String,
}

/// `pg_constraint.contype`.
#[derive(Deserialize)]
enum Kind {
    #[serde(rename = "p")]
    PrimaryKey,
    #[serde(rename = "u")]
    Unique,
    #[serde(rename = "f")]
    ForeignKey,
    #[serde(rename = "c")]
    Check,
}

pub(crate) fn read(result: &ResultSet) -> Result<Vec<Table>, Error> {
    Ok(result.all::<Row>()?.into_iter().map(Table::from).collect())
}

impl From<Row> for Table {
    fn from(row: Row) -> Self {
        let mut table = Self {
            name: row.name,
            comment: row.comment,
            row_security: row.row_security,
            columns: row.columns.unwrap_or_default(),
            primary_key: Vec::new(),
            unique_keys: Vec::new(),
            foreign_keys: Vec::new(),
            checks: Vec::new(),
        };
        for constraint in row.constraints.unwrap_or_default() {
            let columns = constraint.columns.unwrap_or_default();
            match constraint.kind {
                Kind::PrimaryKey => table.primary_key = columns,
                Kind::Unique => table.unique_keys.push(columns),
                Kind::Check => table.checks.push(plain(&constraint.definition)),
                Kind::ForeignKey => table.foreign_keys.push(ForeignKey {
                    columns,
                    references_table: constraint.references_table.unwrap_or_default(),
                    references_columns: constraint.references_columns.unwrap_or_default(),
                }),
            }
        }
        table
    }
}

/// `CHECK ((x > 0))` is `x > 0`.
fn plain(definition: &str) -> String {
    let inner = definition.strip_prefix("CHECK ((").and_then(|rest| rest.strip_suffix("))"));
    inner.unwrap_or(definition).to_owned()
}

/// The tables with those names, each once, in the order of the names.
///
/// A table that the caller may not read is not among `tables`, so it is refused in the same words as
/// one that does not exist.
pub(crate) fn pick(tables: Vec<Table>, names: &[String]) -> Result<Vec<Table>, Error> {
    let mut picked: Vec<Table> = Vec::new();
    for name in names {
        let Some(table) = tables.iter().find(|table| table.name == *name) else {
            let valid: Vec<_> = tables.iter().map(|table| table.name.as_str()).collect();
            let message = format!("table_names: there is no table {name:?}; there are {}", valid.join(", "));
            return Err(Error::validation("TABLE_UNKNOWN", message));
        };
        if !picked.contains(table) {
            picked.push(table.clone());
        }
    }
    Ok(picked)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use serde_json::json;
    use stockade_sdk::testing::{self, Host};
    use stockade_sdk::{Error, ResultSet};

    use super::plain;
    use crate::GetMultipleTableSchemas;

    fn catalog() -> ResultSet {
        let columns = r#"[{"name": "status", "type": "text", "nullable": false, "default": null, "comment": "c"}]"#;
        let constraints = r#"[
            {"kind": "c", "columns": ["status"], "references_table": null, "references_columns": null,
             "definition": "CHECK ((status <> ''::text))"},
            {"kind": "f", "columns": ["a", "b"], "references_table": "retail.x", "references_columns": ["c", "d"],
             "definition": "FOREIGN KEY"},
            {"kind": "p", "columns": ["a"], "references_table": null, "references_columns": null,
             "definition": "PRIMARY KEY (a)"}]"#;
        testing::result([
            testing::texts("name", [Some("retail.orders"), Some("retail.stores")]),
            testing::texts("comment", [Some("Orders."), None]),
            testing::booleans("row_security", [Some(true), Some(false)]),
            testing::json("columns", [Some(columns), None]),
            testing::json("constraints", [Some(constraints), None]),
        ])
    }

    fn call(arguments: serde_json::Value) -> Result<serde_json::Value, Error> {
        Host::new().on_query(|_, _| Ok(catalog())).call::<GetMultipleTableSchemas>(arguments)
    }

    #[test]
    fn keys_and_checks_are_sorted_out() {
        assert_eq!(
            call(json!({"table_names": ["retail.orders", "retail.orders"]})),
            Ok(json!({"tables": [{
                "name": "retail.orders",
                "comment": "Orders.",
                "row_security": true,
                "columns": [
                    {"name": "status", "type": "text", "nullable": false, "default": null, "comment": "c"}
                ],
                "primary_key": ["a"],
                "unique_keys": [],
                "foreign_keys": [
                    {"columns": ["a", "b"], "references_table": "retail.x", "references_columns": ["c", "d"]}
                ],
                "checks": ["status <> ''::text"],
            }]}))
        );
        assert_eq!(call(json!({})).unwrap()["tables"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn an_unknown_table_is_refused_with_the_names_there_are() {
        let error = call(json!({"table_names": ["orders"]})).unwrap_err();
        assert_eq!(error.code(), "TABLE_UNKNOWN");
        assert_eq!(
            error.message(),
            r#"table_names: there is no table "orders"; there are retail.orders, retail.stores"#
        );
    }

    #[test]
    fn checks_are_shown_without_their_frame() {
        assert_eq!(plain("CHECK ((a > 0))"), "a > 0");
        assert_eq!(plain("CHECK (a)"), "CHECK (a)");
    }
}
