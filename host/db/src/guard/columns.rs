//! Columns, and what looks like one: where `t` has no column `f`, PostgreSQL reads `t.f` as `f(t)`.
//!
//! A table's, a view's, a subquery's row is composite, and few functions take one. A row of a function in
//! FROM may be a bare value, and any function of one argument takes that, and any type: `u.pg_sleep`,
//! `u.regclass`.
use std::collections::{HashMap, HashSet};

use sqlparser::ast::{Ident, TableAlias};

use super::names::fold;
use super::unsupported;
use crate::error::DbError;

/// Every table has these, and they tell of other rows: where they lie, and who wrote when.
const SYSTEM_COLUMNS: &[&str] = &["cmax", "cmin", "ctid", "tableoid", "xmax", "xmin"];

#[derive(Default)]
pub(super) struct Columns {
    /// What stands before the last dot, where that is one name, and what stands behind it.
    qualified: Vec<(Option<String>, String)>,
    /// Functions in FROM, by the name that they have there, and the columns that each of that name has.
    functions: HashMap<String, HashSet<String>>,
}

impl Columns {
    pub(super) fn bare(name: &str) -> Result<(), DbError> {
        match SYSTEM_COLUMNS.contains(&name) {
            true => Err(unsupported(&format!("the system column {name}"))),
            false => Ok(()),
        }
    }

    pub(super) fn qualified(&mut self, parts: &[Ident]) -> Result<(), DbError> {
        let Some((column, before)) = parts.split_last() else { return Ok(()) };
        let column = fold(column)?;
        Self::bare(&column)?;
        let before = match before {
            [one] => Some(fold(one)?),
            _ => None,
        };
        self.qualified.push((before, column));
        Ok(())
    }

    /// A function in FROM. Without an alias it is known by its own name, and a bare value's column by that.
    pub(super) fn function(&mut self, name: String, alias: Option<&TableAlias>) -> Result<(), DbError> {
        let mut columns = HashSet::new();
        let known_by = match alias {
            Some(alias) => {
                for column in &alias.columns {
                    columns.insert(fold(&column.name)?);
                }
                fold(&alias.name)?
            }
            None => name,
        };
        if columns.is_empty() {
            columns.insert(known_by.clone());
        }
        match self.functions.get_mut(&known_by) {
            Some(others) => others.retain(|column| columns.contains(column)),
            None => drop(self.functions.insert(known_by, columns)),
        }
        Ok(())
    }

    /// What may be called with a row, and what with a bare value.
    pub(super) fn calls(self) -> (Vec<String>, Vec<String>) {
        let (mut of_rows, mut of_values) = (Vec::new(), Vec::new());
        for (before, column) in self.qualified {
            let function = before.and_then(|name| self.functions.get(&name));
            if function.is_some_and(|columns| !columns.contains(&column)) {
                of_values.push(column.clone());
            }
            of_rows.push(column);
        }
        for names in [&mut of_rows, &mut of_values] {
            names.sort();
            names.dedup();
        }
        (of_rows, of_values)
    }
}
