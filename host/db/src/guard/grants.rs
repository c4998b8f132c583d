//! What a statement names, held against what the plugin was granted.
use super::Analysis;
use super::functions::{describes_the_catalogue, is_allowed_function, is_allowed_type};
use super::names::{Catalogue, Name, PG_CATALOG};
use crate::error::DbError;
use crate::scope::SqlScope;

/// Refuses a statement that names a relation, function, type or operator outside what was granted.
///
/// The system's own functions are granted by name (`functions.rs`), whatever the schemas; those that describe
/// what the catalogue holds come with `pg_catalog`. Its relations are granted as any other schema's:
/// `pg_catalog`, `information_schema`.
pub(crate) fn check(analysis: &Analysis, granted: &SqlScope, catalogue: &Catalogue) -> Result<(), DbError> {
    for relation in &analysis.relations {
        check_relation(relation, granted, catalogue)?;
    }
    for function in &analysis.functions {
        check_function(function, granted, catalogue)?;
    }
    for name in &analysis.of_rows {
        if catalogue.has_row_function(name) {
            check_function(&unqualified(name), granted, catalogue)?;
        }
    }
    for name in &analysis.of_values {
        if catalogue.function_schemas(name).next().is_some() {
            check_function(&unqualified(name), granted, catalogue)?;
        } else if catalogue.type_schema(name).is_some() {
            check_type(&unqualified(name), granted, catalogue)?;
        }
    }
    for name in &analysis.types {
        check_type(name, granted, catalogue)?;
    }
    for operator in &analysis.operators {
        let schema = operator.schema.as_deref().unwrap_or(PG_CATALOG);
        if schema != PG_CATALOG && schema != catalogue.vector_schema && !granted.schemas.contains(schema) {
            return Err(not_granted("OPERATOR", operator));
        }
    }
    Ok(())
}

fn unqualified(name: &str) -> Name {
    Name { schema: None, name: name.to_owned() }
}

fn check_relation(relation: &Name, granted: &SqlScope, catalogue: &Catalogue) -> Result<(), DbError> {
    let schema = match &relation.schema {
        Some(schema) => schema.as_str(),
        None => catalogue.relation_schema(&relation.name).ok_or_else(|| undefined("42P01", "relation", relation))?,
    };
    if granted.has_relation(schema, &relation.name) { Ok(()) } else { Err(not_granted("TABLE", relation)) }
}

fn check_function(function: &Name, granted: &SqlScope, catalogue: &Catalogue) -> Result<(), DbError> {
    let allowed = is_allowed_function(&function.name);
    let describes = describes_the_catalogue(&function.name) && granted.schemas.contains(PG_CATALOG);
    let fits = |schema: &str| match schema {
        // A function with a type's name makes one of its argument.
        PG_CATALOG => allowed || describes || is_allowed_type(&function.name),
        // What the catalogue lists here is not pgvector's own, and so an application's.
        _ if catalogue.has_function(schema, &function.name) => granted.schemas.contains(schema),
        _ => granted.schemas.contains(schema) || (allowed && schema == catalogue.vector_schema),
    };
    let fine = match &function.schema {
        Some(schema) => fits(schema),
        None => {
            let mut found = catalogue.function_schemas(&function.name).peekable();
            // Keywords that read like functions (coalesce, greatest …) and pgvector's are not listed;
            // for them the allow-list speaks alone. A name that an ungranted schema has too is
            // refused: overloading could lead there.
            if found.peek().is_none() { allowed } else { found.all(fits) }
        }
    };
    if fine {
        return Ok(());
    }
    Err(DbError::rejected(
        "SQL_FUNCTION_NOT_ALLOWED",
        format!("the function {function} is not among those that a query may call"),
    ))
}

fn check_type(name: &Name, granted: &SqlScope, catalogue: &Catalogue) -> Result<(), DbError> {
    let built_in = |schema: &str| schema == PG_CATALOG || schema == catalogue.vector_schema;
    let schema = match &name.schema {
        Some(schema) => schema.as_str(),
        None => catalogue.type_schema(&name.name).ok_or_else(|| undefined("42704", "type", name))?,
    };
    // Names of types that look things up in the catalogue (regclass and its kin) come with its grant.
    if (built_in(schema) && is_allowed_type(&name.name)) || granted.schemas.contains(schema) {
        return Ok(());
    }
    Err(not_granted("TYPE", name))
}

fn undefined(sqlstate: &str, what: &str, name: &Name) -> DbError {
    DbError::Statement { sqlstate: sqlstate.to_owned(), message: format!("{what} \"{name}\" does not exist") }
}

fn not_granted(what: &'static str, name: &Name) -> DbError {
    let code = match what {
        "TABLE" => "TABLE_NOT_GRANTED",
        "TYPE" => "TYPE_NOT_GRANTED",
        _ => "OPERATOR_NOT_GRANTED",
    };
    DbError::forbidden(code, format!("{name} lies outside the schemas and tables that the plugin was granted"))
}
