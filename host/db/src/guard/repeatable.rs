//! Whether a statement gives the same result until a table changes, and which tables it reads.
use super::Analysis;
use super::names::{Catalogue, Name, PG_CATALOG};

/// What the allow-list holds and its arguments do not decide: the clock, chance, and what describes the
/// catalogue. `age` reads the clock when it has one argument.
const NOT_REPEATABLE: &[&str] = &[
    "age",
    "clock_timestamp",
    "col_description",
    "current_date",
    "current_time",
    "current_timestamp",
    "format_type",
    "gen_random_uuid",
    "has_any_column_privilege",
    "has_column_privilege",
    "has_schema_privilege",
    "has_table_privilege",
    "localtime",
    "localtimestamp",
    "now",
    "obj_description",
    "pg_get_constraintdef",
    "pg_get_expr",
    "pg_get_indexdef",
    "pg_table_is_visible",
    "random",
    "statement_timestamp",
    "to_regclass",
    "to_regtype",
    "transaction_timestamp",
];

/// The relations that the statement names, each with its schema, or none where anything else than their
/// rows and the parameters could decide its result.
pub(crate) fn reads(analysis: &Analysis, catalogue: &Catalogue) -> Option<Vec<(String, String)>> {
    let built_in = |schema: &str| schema == PG_CATALOG || schema == catalogue.vector_schema;
    let decided = |name: &str| {
        catalogue.function_schemas(name).all(|schema| schema == PG_CATALOG) && !NOT_REPEATABLE.contains(&name)
    };
    for function in &analysis.functions {
        let repeatable = match &function.schema {
            Some(schema) => {
                built_in(schema)
                    && !(schema != PG_CATALOG && catalogue.has_function(schema, &function.name))
                    && !NOT_REPEATABLE.contains(&function.name.as_str())
            }
            None => decided(&function.name),
        };
        if !repeatable {
            return None;
        }
    }
    let mut of_rows = analysis.of_rows.iter().filter(|name| catalogue.has_row_function(name));
    if !of_rows.all(|name| decided(name)) || !analysis.of_values.iter().all(|name| decided(name)) {
        return None;
    }
    // An application's type may come with casts, and an operator that is written with its schema may be an
    // application's: functions by another name.
    let built_in_type =
        |name: &Name| name.schema.as_deref().or_else(|| catalogue.type_schema(&name.name)).is_some_and(built_in);
    let theirs = analysis.signs.iter().any(|sign| catalogue.operators.contains(sign));
    if analysis.unrepeatable || theirs || !analysis.operators.is_empty() || !analysis.types.iter().all(built_in_type) {
        return None;
    }
    let resolve = |name: &Name| {
        let schema = name.schema.as_deref().or_else(|| catalogue.relation_schema(&name.name))?;
        Some((schema.to_owned(), name.name.clone()))
    };
    analysis.relations.iter().map(resolve).collect()
}

/// Whether PostgreSQL, asked to make a date or time of this text, would look at the clock (its
/// documentation, "Special Date/Time Inputs").
pub(crate) fn names_a_moment(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphabetic())
        .any(|word| ["now", "today", "tomorrow", "yesterday"].iter().any(|moment| word.eq_ignore_ascii_case(moment)))
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;
    use crate::guard::analyse;

    fn reads_of(sql: &str) -> Option<Vec<String>> {
        let of = |name: &str| HashSet::from([name.to_owned()]);
        let catalogue = Catalogue {
            path: vec![PG_CATALOG.to_owned(), "app".to_owned()],
            vector_schema: "public".to_owned(),
            relations: HashMap::from([("app".to_owned(), of("notes"))]),
            types: HashMap::from([("app".to_owned(), of("mood")), (PG_CATALOG.to_owned(), of("uuid"))]),
            functions: HashMap::from([("app".to_owned(), of("lower")), (PG_CATALOG.to_owned(), of("upper"))]),
            row_functions: HashMap::from([("app".to_owned(), of("lower"))]),
            operators: of("<~>"),
        };
        let found = reads(&analyse(sql).unwrap(), &catalogue)?;
        Some(found.into_iter().map(|(schema, name)| format!("{schema}.{name}")).collect())
    }

    #[test]
    fn what_a_statement_reads_is_named_where_nothing_else_decides_its_result() {
        for (sql, expected) in [
            ("SELECT upper(body) FROM notes", Some(vec!["app.notes"])),
            ("WITH x AS (SELECT 1) SELECT * FROM x, other.notes AS today", Some(vec!["other.notes"])),
            ("SELECT date_trunc('day', at) FROM notes WHERE body <> 'I know'", Some(vec!["app.notes"])),
            ("SELECT 1", Some(vec![])),
            ("SELECT n.upper, n.id <-> '1', n.id::uuid FROM notes n", Some(vec!["app.notes"])),
            ("SELECT * FROM elsewhere", None),
        ] {
            let expected = expected.map(|names| names.into_iter().map(str::to_owned).collect());
            assert_eq!(reads_of(sql), expected, "{sql}");
        }
    }

    #[test]
    fn the_clock_chance_and_an_applications_functions_are_no_ground_to_stand_on() {
        for sql in [
            "SELECT now()",
            "SELECT pg_catalog.now()",
            "SELECT current_date",
            "SELECT CURRENT_TIMESTAMP(3)",
            "SELECT * FROM notes WHERE at > localtimestamp",
            "SELECT random()",
            "SELECT gen_random_uuid()",
            "SELECT age(at) FROM notes",
            "SELECT 'now'::timestamptz",
            "SELECT * FROM notes WHERE at > 'Yesterday 04:00'",
            "SELECT date 'today'",
            "SELECT E'to\\x64ay'::date",
            "SELECT $$tomorrow$$::date",
            "SELECT lower(body) FROM notes",
            "SELECT app.secret(1)",
            "SELECT n.lower FROM notes n",
            "SELECT u.lower FROM unnest(ARRAY['a']) u",
            "SELECT u.age FROM unnest(ARRAY[$1]) u",
            "SELECT 1 OPERATOR(app.+) 2",
            "SELECT id <~> 1 FROM notes",
            "SELECT body::mood FROM notes",
            "SELECT body::app.mood FROM notes",
            "SELECT * FROM notes TABLESAMPLE BERNOULLI (10)",
            "WITH \"current_date\" AS (SELECT 1) SELECT * FROM current_date",
            "SELECT * FROM notes WHERE id = (SELECT max(id) FROM notes WHERE at < now())",
        ] {
            assert_eq!(reads_of(sql), None, "{sql}");
        }
    }
}
