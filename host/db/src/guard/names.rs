//! Names as PostgreSQL reads them, and where an unqualified one leads.
use std::collections::{HashMap, HashSet};

use sqlparser::ast::{Ident, ObjectName, ObjectNamePart};

use super::unsupported;
use crate::error::DbError;

/// The system's schema. It is searched before every other, whether the path names it or not.
pub(crate) const PG_CATALOG: &str = "pg_catalog";

/// Words that are calls where they stand without parentheses, in expressions as in FROM.
#[rustfmt::skip]
const VALUE_FUNCTIONS: &[&str] = &[
    "current_catalog", "current_date", "current_role", "current_schema", "current_time", "current_timestamp",
    "current_user", "localtime", "localtimestamp", "session_user", "system_user", "user",
];

/// PostgreSQL's other reserved words (its documentation, "SQL Key Words"; all releases' together).
#[rustfmt::skip]
const RESERVED: &[&str] = &[
    "all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric", "both", "case", "cast", "check",
    "collate", "column", "constraint", "create", "default", "deferrable", "desc", "distinct", "do", "else", "end",
    "except", "false", "fetch", "for", "foreign", "from", "grant", "group", "having", "in", "initially",
    "intersect", "into", "lateral", "leading", "limit", "not", "null", "offset", "on", "only", "or", "order",
    "placing", "primary", "references", "returning", "select", "some", "symmetric", "table", "then", "to",
    "trailing", "true", "union", "unique", "using", "variadic", "when", "where", "window", "with",
];

/// A name with or without its schema, folded.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) schema: Option<String>,
    pub(crate) name: String,
}

impl Name {
    pub(super) fn of(object: &ObjectName) -> Result<Self, DbError> {
        let mut parts = Vec::with_capacity(object.0.len());
        for part in &object.0 {
            match part {
                ObjectNamePart::Identifier(ident) => parts.push(fold(ident)?),
                ObjectNamePart::Function(_) => return Err(unsupported("a name that is computed")),
            }
        }
        let mut parts = parts.into_iter();
        match (parts.next(), parts.next(), parts.next()) {
            (Some(name), None, None) => Ok(Self { schema: None, name }),
            (Some(schema), Some(name), None) => Ok(Self { schema: Some(schema), name }),
            _ => Err(unsupported("a name of more than two parts")),
        }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// What PostgreSQL makes of an identifier: only ASCII is folded, and only outside quotes.
pub(super) fn fold(ident: &Ident) -> Result<String, DbError> {
    match ident.quote_style {
        Some('"') => Ok(ident.value.clone()),
        Some(_) => Err(unsupported("an identifier in quotes other than \"\"")),
        None => Ok(ident.value.to_ascii_lowercase()),
    }
}

/// What a word is to PostgreSQL where the parser takes it for the name of a column or a table.
pub(super) enum Meaning {
    Name(String),
    Call(Name),
}

impl Meaning {
    pub(super) fn of(ident: &Ident) -> Result<Self, DbError> {
        let word = fold(ident)?;
        match ident.quote_style {
            None if VALUE_FUNCTIONS.contains(&word.as_str()) => Ok(Self::Call(Name { schema: None, name: word })),
            None if RESERVED.contains(&word.as_str()) => Err(unsupported(&format!("the word {word} as a name"))),
            _ => Ok(Self::Name(word)),
        }
    }
}

/// The names that the search path leads to, read from the database's catalogue.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    /// `pg_catalog`, then the configured search path
    pub(crate) path: Vec<String>,
    /// The schema that holds pgvector's types and functions
    pub(crate) vector_schema: String,
    /// schema → its relations
    pub(crate) relations: HashMap<String, HashSet<String>>,
    /// schema → its types
    pub(crate) types: HashMap<String, HashSet<String>>,
    /// schema → its functions, pgvector's left out
    pub(crate) functions: HashMap<String, HashSet<String>>,
    /// schema → those of its functions that may be called with a row alone
    pub(crate) row_functions: HashMap<String, HashSet<String>>,
    /// Operators of an application that are more than their operands decide
    pub(crate) operators: HashSet<String>,
}

impl Catalogue {
    /// The first schema of the path that has the relation.
    pub(super) fn relation_schema(&self, name: &str) -> Option<&str> {
        self.first(&self.relations, name)
    }

    /// The first schema of the path that has the type.
    pub(super) fn type_schema(&self, name: &str) -> Option<&str> {
        self.first(&self.types, name)
    }

    /// Every schema of the path that has a function of the name: which one runs depends on the
    /// types of the arguments.
    pub(super) fn function_schemas<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.path.iter().map(String::as_str).filter(move |schema| has(&self.functions, schema, name))
    }

    /// Whether a schema of the path has a function of the name that may be called with a row alone.
    pub(super) fn has_row_function(&self, name: &str) -> bool {
        self.first(&self.row_functions, name).is_some()
    }

    /// Whether the schema has a function of the name that is not pgvector's.
    pub(super) fn has_function(&self, schema: &str, name: &str) -> bool {
        has(&self.functions, schema, name)
    }

    fn first(&self, names: &HashMap<String, HashSet<String>>, name: &str) -> Option<&str> {
        self.path.iter().map(String::as_str).find(|schema| has(names, schema, name))
    }
}

fn has(names: &HashMap<String, HashSet<String>>, schema: &str, name: &str) -> bool {
    names.get(schema).is_some_and(|names| names.contains(name))
}
