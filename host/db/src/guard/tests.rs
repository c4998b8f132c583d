use std::collections::{HashMap, HashSet};

use super::*;

/// `app` and `public` on the path; `app` is granted.
fn verdict(sql: &str) -> Result<(), DbError> {
    verdict_in(sql, &SqlScope { schemas: ["app".to_owned()].into(), ..SqlScope::default() })
}

fn verdict_in(sql: &str, scope: &SqlScope) -> Result<(), DbError> {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<HashSet<_>>();
    let map = |entries: &[(&str, &[&str])]| {
        entries.iter().map(|(schema, names)| ((*schema).to_owned(), set(names))).collect::<HashMap<_, _>>()
    };
    let catalogue = Catalogue {
        path: ["pg_catalog", "app", "public"].map(str::to_owned).to_vec(),
        vector_schema: "public".to_owned(),
        relations: map(&[
            ("pg_catalog", &["pg_class", "pg_authid"]),
            ("app", &["notes", "Notes"]),
            ("public", &["shadow"]),
        ]),
        types: map(&[
            ("pg_catalog", &["oid", "name", "regclass", "regproc", "regrole", "xml"]),
            ("app", &["mood"]),
            ("public", &["vector", "evil"]),
        ]),
        functions: map(&[
            (
                "pg_catalog",
                &[
                    "lower",
                    "pg_sleep",
                    "ts_stat",
                    "query_to_xml",
                    "set_config",
                    "generate_series",
                    "count",
                    "unnest",
                    "current_setting",
                    "name",
                    "row_to_json",
                    "record_send",
                    "pg_get_expr",
                ],
            ),
            ("app", &["nearest", "full_name"]),
            ("public", &["upper", "steal", "note_secret"]),
        ]),
        row_functions: map(&[
            ("pg_catalog", &["row_to_json", "record_send", "count"]),
            ("app", &["full_name"]),
            ("public", &["note_secret"]),
        ]),
        operators: HashSet::new(),
    };
    check(&analyse(sql)?, scope, &catalogue)
}

fn code(sql: &str) -> String {
    match verdict(sql) {
        Ok(()) => "admitted".to_owned(),
        Err(DbError::Rejected { code, .. } | DbError::Forbidden { code, .. }) => code.to_owned(),
        Err(DbError::Statement { sqlstate, .. }) => sqlstate,
        Err(other) => panic!("{sql}: {other:?}"),
    }
}

fn all(expected: &str, statements: &[&str]) {
    for sql in statements {
        assert_eq!(code(sql), expected, "{sql}");
    }
}

#[test]
fn what_people_write_is_admitted() {
    all(
        "admitted",
        &[
            "SELECT 1",
            "SELECT 1;",
            "select * from NOTES n where n.id in (select id from app.notes) order by 1 desc nulls last limit 5 offset 2",
            "SELECT * FROM \"Notes\"",
            "VALUES (1, 'a'), (2, 'b')",
            "TABLE notes",
            "(TABLE notes LIMIT 1) UNION ALL TABLE app.notes ORDER BY 1",
            "(SELECT 1) UNION ALL (SELECT 2) EXCEPT SELECT 3",
            "WITH a AS (SELECT 1), b AS (SELECT * FROM a) SELECT * FROM b, a",
            "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 9) SELECT * FROM t",
            "WITH t AS MATERIALIZED (SELECT 1) SELECT (SELECT count(*) FROM t)",
            "SELECT count(*) FILTER (WHERE id > 3), sum(id) OVER (PARTITION BY tenant ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM notes",
            "SELECT rank() OVER w FROM notes WINDOW w AS (ORDER BY id)",
            "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY id) FROM notes",
            "SELECT string_agg(DISTINCT body, ', ' ORDER BY body) FROM notes",
            "SELECT tenant, count(*) FROM notes GROUP BY GROUPING SETS ((tenant), ()) HAVING count(*) > 1",
            "SELECT DISTINCT ON (tenant) * FROM notes ORDER BY tenant, id",
            "SELECT date_trunc('month', now()) - interval '1 month', current_date, extract(year FROM current_timestamp)",
            "SELECT now() AT TIME ZONE 'UTC', '2024-01-01'::date, DATE '2024-01-01', CAST('1' AS numeric(10, 2))",
            "SELECT * FROM notes a JOIN notes b USING (id) LEFT JOIN LATERAL (SELECT a.id) c ON true CROSS JOIN notes d",
            "SELECT g FROM generate_series(1, 3) WITH ORDINALITY AS t(g, o)",
            "SELECT * FROM unnest(ARRAY[1, 2]) AS u, LATERAL generate_series(1, u) AS g",
            "SELECT ARRAY(SELECT id FROM notes), (ARRAY[1, 2])[1], ROW(1, 2), coalesce(NULL, 1), nullif(1, 2), greatest(1, 2)",
            "SELECT body ~* 'x', body ILIKE '%x%', body SIMILAR TO 'x', body || 'y', '{\"a\":1}'::jsonb ->> 'a', '[1]'::jsonb @> '1' FROM notes",
            "SELECT id = ANY ($1), $2::vector <=> '[1]'::public.vector FROM notes",
            "SELECT CASE WHEN id > 1 THEN 'a' ELSE 'b' END, id IS DISTINCT FROM 1, id BETWEEN 1 AND 2, NOT true FROM notes",
            "SELECT trim(both 'x' from body), substring(body from 1 for 2), position('x' in body), overlay(body placing 'x' from 1) FROM notes",
            "SELECT 'calm'::mood, 'calm'::app.mood, nearest(1), app.nearest(1)",
            "SELECT $$a;b$$, E'a\\'b', 'a''b' -- a comment; with a semicolon\n /* and /* another */ one */",
            "SELECT n.id, n.* FROM notes n",
            "SELECT 1 OPERATOR(pg_catalog.+) 2",
            "SELECT * FROM notes FETCH FIRST 3 ROWS ONLY",
        ],
    );
}

#[test]
fn one_query_and_nothing_else() {
    all("SQL_EMPTY", &["", "  ", ";", "-- nothing"]);
    all("SQL_SEVERAL_STATEMENTS", &["SELECT 1; SELECT 2", "COMMIT; DROP TABLE notes", "SELECT 1; DROP TABLE notes --"]);
    all(
        "SQL_SYNTAX",
        &["SELEC 1", "SELECT (", "hello there", "SELECT 'a", "SELECT 1\0; DROP TABLE notes", "SELECT 1 FROM"],
    );
    all(
        "SQL_NOT_A_QUERY",
        &[
            "INSERT INTO notes VALUES (1)",
            "UPDATE notes SET id = 1",
            "DELETE FROM notes",
            "CREATE TABLE x (a int)",
            "COMMIT",
            "SET ROLE postgres",
            "EXPLAIN ANALYZE SELECT 1",
            "COPY notes TO STDOUT",
            "SELECT 1 INTO x",
            "SELECT * INTO TEMP x FROM notes",
            "WITH d AS (DELETE FROM notes RETURNING *) SELECT * FROM d",
            "WITH i AS (INSERT INTO notes VALUES (1) RETURNING *) SELECT * FROM i",
            "SELECT * FROM (WITH d AS (UPDATE notes SET id = 1 RETURNING *) SELECT * FROM d) x",
        ],
    );
    all(
        "SQL_LOCKS_ROWS",
        &[
            "SELECT * FROM notes FOR UPDATE",
            "SELECT * FROM (SELECT * FROM notes FOR SHARE) x",
            "TABLE notes FOR UPDATE",
        ],
    );
    for sql in
        ["DO $$ BEGIN END $$", "CALL x()", "PREPARE a AS SELECT 1", "LISTEN x", "LOCK TABLE notes", "BEGIN", "VACUUM"]
    {
        assert!(["SQL_NOT_A_QUERY", "SQL_SYNTAX"].contains(&code(sql).as_str()), "{sql}: {}", code(sql));
    }
}

#[test]
fn tables_outside_the_grant_are_found_wherever_they_stand() {
    all(
        "TABLE_NOT_GRANTED",
        &[
            "SELECT * FROM other.secrets",
            "SELECT * FROM \"other\".\"secrets\"",
            "SELECT * FROM shadow",
            "SELECT * FROM pg_class",
            "SELECT * FROM PG_AUTHID",
            "TABLE other.secrets",
            "TABLE notes UNION ALL TABLE other.secrets",
            "SELECT * FROM (TABLE notes) x, (TABLE other.secrets) y",
            "VALUES ((SELECT id FROM other.secrets))",
            "SELECT 1 WHERE EXISTS (SELECT FROM other.secrets)",
            "SELECT ARRAY(SELECT id FROM other.secrets)",
            "SELECT 1 ORDER BY (SELECT id FROM other.secrets)",
            "SELECT 1 LIMIT (SELECT id FROM other.secrets)",
            "SELECT 1 OFFSET (SELECT id FROM other.secrets)",
            "SELECT count(*) FILTER (WHERE (SELECT true FROM other.secrets)) FROM notes",
            "SELECT count(*) OVER (ORDER BY (SELECT id FROM other.secrets)) FROM notes",
            "SELECT count(*) OVER w FROM notes WINDOW w AS (PARTITION BY (SELECT id FROM other.secrets))",
            "SELECT string_agg(body, ',' ORDER BY (SELECT id FROM other.secrets)) FROM notes",
            "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY (SELECT id FROM other.secrets)) FROM notes",
            "SELECT 1 FROM notes GROUP BY (SELECT id FROM other.secrets)",
            "SELECT 1 FROM notes HAVING (SELECT true FROM other.secrets)",
            "SELECT 1 FROM notes a JOIN notes b ON (SELECT true FROM other.secrets)",
            "SELECT 1 FROM (notes a JOIN other.secrets b ON true)",
            "SELECT DISTINCT ON ((SELECT id FROM other.secrets)) 1",
            "SELECT 1 FROM notes, LATERAL (SELECT * FROM other.secrets) x",
            "SELECT * FROM generate_series(1, (SELECT id FROM other.secrets))",
            "SELECT * FROM unnest(ARRAY(SELECT id FROM other.secrets))",
            "SELECT 1 = ANY (SELECT id FROM other.secrets)",
            "SELECT CASE WHEN true THEN (SELECT id FROM other.secrets) END",
            "SELECT (ARRAY[1])[(SELECT id FROM other.secrets)]",
            "SELECT 1 UNION SELECT id FROM other.secrets",
            "SELECT interval '1 day' * (SELECT id FROM other.secrets)",
            "SELECT make_date(year => (SELECT id FROM other.secrets))",
            "SELECT sum(id) OVER (ROWS (SELECT id FROM other.secrets) PRECEDING) FROM notes",
            "SELECT * FROM notes TABLESAMPLE BERNOULLI ((SELECT id FROM other.secrets))",
            "WITH shadow AS (SELECT * FROM shadow) SELECT * FROM shadow",
            "WITH a AS (SELECT * FROM shadow), shadow AS (SELECT 1) SELECT * FROM a",
            "SELECT * FROM (WITH shadow AS (SELECT 1) SELECT * FROM shadow) x, shadow",
            "WITH shadow AS (SELECT 1) SELECT * FROM public.shadow",
        ],
    );
    all(
        "admitted",
        &[
            "WITH shadow AS (SELECT 1) SELECT * FROM shadow",
            "WITH shadow AS (SELECT 1) SELECT * FROM (SELECT * FROM shadow) x",
            "WITH RECURSIVE shadow AS (SELECT 1 UNION SELECT * FROM shadow) TABLE shadow",
        ],
    );
    all("42P01", &["SELECT * FROM nowhere"]);
}

#[test]
fn functions_are_admitted_by_name_alone() {
    all(
        "SQL_FUNCTION_NOT_ALLOWED",
        &[
            "SELECT pg_sleep(1)",
            "SELECT PG_SLEEP(1)",
            "SELECT \"pg_sleep\"(1)",
            "SELECT pg_catalog.pg_sleep(1)",
            "SELECT * FROM pg_sleep(1)",
            "SELECT * FROM notes, LATERAL pg_sleep(1)",
            "SELECT * FROM ROWS FROM (pg_sleep(1))",
            "SELECT * FROM ts_stat('SELECT * FROM other.secrets')",
            "SELECT query_to_xml('SELECT 1', true, true, '')",
            "SELECT set_config('role', 'postgres', false)",
            "SELECT 1 ORDER BY pg_sleep(1)",
            "SELECT 1 LIMIT pg_sleep(1)",
            "SELECT lower(pg_sleep(1)::text)",
            "SELECT count(*) FILTER (WHERE pg_sleep(1) IS NULL)",
            "SELECT stockade.claims()",
            "SELECT steal()",
            "SELECT public.steal()",
            "SELECT upper('x')", // an ungranted schema of the path has one too
            "SELECT current_user",
            "SELECT current_setting('x')",
            "SELECT dblink('x')",
            "VALUES (pg_sleep(1))",
        ]
        .into_iter()
        // ROWS FROM is refused before its function is read.
        .filter(|sql| !sql.contains("ROWS FROM"))
        .collect::<Vec<_>>(),
    );
    assert_ne!(code("SELECT * FROM ROWS FROM (pg_sleep(1))"), "admitted");
    assert_ne!(code("SELECT U&\"\\0070g_sleep\"(1)"), "admitted");
    assert_ne!(code("SELECT {fn pg_sleep(1)}"), "admitted");
}

#[test]
fn types_and_operators_that_reach_out_are_found() {
    all(
        "TYPE_NOT_GRANTED",
        &[
            "SELECT 'x'::regclass",
            "SELECT 'x'::regproc",
            "SELECT regclass 'x'",
            "SELECT CAST('x' AS pg_catalog.regclass)",
            "SELECT 'x'::evil",
            "SELECT 'x'::other.thing",
            "SELECT 'x'::xml",
            "SELECT ('{x}'::regclass[])[1]",
        ],
    );
    all("42704", &["SELECT 'x'::nothing"]);
    all("OPERATOR_NOT_GRANTED", &["SELECT 1 OPERATOR(other.+) 2"]);
    all("SQL_PARAMETER", &["SELECT $0", "SELECT $1001", "SELECT $99999999999999999999"]);
    for sql in [
        "SELECT * FROM JSON_TABLE('[]', '$' COLUMNS (a int PATH '$'))",
        "SELECT * FROM XMLTABLE('/a' PASSING '<a/>' COLUMNS b int PATH 'b')",
        "SELECT * FROM notes PIVOT (count(id) FOR tenant IN ('a'))",
        "SELECT ?",
        "SELECT :a",
        "SELECT * FROM db.app.notes",
    ] {
        assert_ne!(code(sql), "admitted", "{sql}");
    }
}

#[test]
fn what_postgresql_reads_otherwise_than_the_parser_is_refused() {
    for sql in [
        // `(x).name` is `name(x)`: a function past the list.
        "SELECT ('stockade.context'::text).current_setting",
        "SELECT (60::float8).pg_sleep",
        "SELECT $1.pg_sleep",
        "SELECT (SELECT 60).pg_sleep",
        "SELECT (ARRAY[60])[1].pg_sleep",
        "SELECT u.x[1].pg_sleep FROM unnest(ARRAY[60]) u(x)",
        "SELECT (n).id FROM notes n",
        // A table for PostgreSQL, an alias for the parser.
        "WITH \"only\" AS (SELECT 1) SELECT relname FROM ONLY pg_class",
        "SELECT id FROM ONLY notes",
        // A comment for PostgreSQL, a part of an operator for the parser.
        "SELECT '' ||/* ' */ (SELECT string_agg(id, $$,$$) FROM other.secrets) /* ' -- */",
        // A column named end for PostgreSQL, the end of a block for the parser.
        "SELECT 1 END, (SELECT id FROM other.secrets)",
        "SELECT 1 END FROM other.secrets",
        // A literal of a type for PostgreSQL, a column and its alias for the parser.
        "SELECT regproc 'now'",
        "SELECT regrole 'postgres'",
        "SELECT pg_catalog.regclass 'other.secrets'",
        "SELECT evil 'x'",
        "SELECT notes.regclass 'x' FROM notes",
        "SELECT lower(id) 'x' FROM notes",
        // One text for PostgreSQL, a text and an alias for the parser.
        "SELECT 'a'\n'b'",
        // A call for PostgreSQL, a table for the parser.
        "WITH \"current_user\" AS (SELECT 1) SELECT * FROM current_user",
        "WITH \"session_user\" AS (SELECT 1) SELECT * FROM Session_User AS x",
    ] {
        assert_ne!(code(sql), "admitted", "{sql}");
    }
}

#[test]
fn words_that_are_calls_are_calls() {
    all(
        "SQL_FUNCTION_NOT_ALLOWED",
        &[
            "SELECT current_role",
            "SELECT system_user, 1",
            "SELECT current_schema",
            "SELECT current_catalog",
            "SELECT 1 FROM notes ORDER BY Current_Role",
            "SELECT 1 WHERE user = 'x'",
            "SELECT * FROM current_schema",
        ],
    );
    all(
        "admitted",
        &["SELECT n.user, n.end FROM notes n", "SELECT \"current_role\" FROM notes", "SELECT 1 AS end, 2 AS user"],
    );
}

#[test]
fn a_column_that_may_be_a_call_is_one() {
    all(
        "SQL_FUNCTION_NOT_ALLOWED",
        &[
            "SELECT u.current_setting FROM unnest(ARRAY['stockade.context']) u",
            "SELECT U.\"current_setting\" FROM unnest(ARRAY['stockade.context']) AS u",
            "SELECT unnest.current_setting FROM unnest(ARRAY['stockade.context'])",
            "SELECT lower.current_setting FROM lower('X')",
            "SELECT 1 FROM generate_series(1, 2) g WHERE g.pg_sleep IS NULL",
            "SELECT 1 FROM generate_series(1, 2) g ORDER BY g.pg_sleep",
            "SELECT count(*) OVER (PARTITION BY g.pg_sleep) FROM generate_series(1, 2) g",
            "SELECT (SELECT u.current_setting) FROM LATERAL unnest(ARRAY['a']) u",
            "SELECT u.current_setting FROM unnest(ARRAY['a']) u(x)",
            "SELECT u.steal FROM unnest(ARRAY['a']) u",
            // One of two has the column.
            "SELECT u.pg_sleep FROM unnest(ARRAY[1]) u(pg_sleep), (SELECT u.pg_sleep FROM unnest(ARRAY[1]) u(y)) z",
            // A row's own.
            "SELECT n.record_send FROM notes n",
            "SELECT app.notes.note_secret FROM app.notes",
            "SELECT s.note_secret FROM (SELECT 1) s",
        ],
    );
    all("TYPE_NOT_GRANTED", &["SELECT u.regrole FROM unnest(ARRAY['postgres']) u"]);
    all(
        "admitted",
        &[
            "SELECT n.name, n.pg_sleep, n.current_setting, n.regrole, n.steal FROM notes n",
            "SELECT u.pg_sleep FROM unnest(ARRAY[1]) u(pg_sleep)",
            "SELECT n.row_to_json, n.full_name, app.notes.full_name FROM app.notes, notes n",
            "SELECT day.day, day.name FROM generate_series(1, 2) AS day",
            "SELECT x.name, x.steal FROM jsonb_to_recordset('[]') AS x(name text, steal int)",
            "SELECT t.n, t.o FROM generate_series(1, 3) WITH ORDINALITY AS t(n, o)",
        ],
    );
}

#[test]
fn system_columns_and_the_catalogues_descriptions_come_with_no_table() {
    all(
        "SQL_NOT_SUPPORTED",
        &[
            "SELECT ctid FROM notes",
            "SELECT n.XMIN FROM notes n",
            "SELECT 1 FROM notes ORDER BY \"ctid\"",
            "SELECT app.notes.tableoid FROM app.notes",
        ],
    );
    let description = "SELECT pg_get_expr(NULL, 16384), app.nearest(1)";
    all("SQL_FUNCTION_NOT_ALLOWED", &[description]);
    let scope = SqlScope { schemas: ["app".to_owned(), "pg_catalog".to_owned()].into(), ..SqlScope::default() };
    assert!(verdict_in(description, &scope).is_ok());
}

#[test]
fn length_and_depth_have_limits() {
    all("SQL_TOO_LONG", &[&format!("SELECT '{}'", "x".repeat(SQL_BYTES_MAX))]);
    let nested = |depth: usize| format!("SELECT {}1{}", "(".repeat(depth), ")".repeat(depth));
    all(
        "admitted",
        &[&nested(20), &format!("SELECT 1{}", " + 1".repeat(900)), &format!("SELECT 1 IN (1{})", ", 1".repeat(9_000))],
    );
    for sql in [
        nested(SQL_NESTING_MAX + 1),
        nested(30_000),
        format!("SELECT {}1", "NOT ".repeat(16_000)),
        format!("SELECT 1{}", " + 1".repeat(16_000)),
        format!("SELECT 1{}", "::int".repeat(13_000)),
        format!("SELECT 1{}", " UNION SELECT 1".repeat(4_000)),
        format!("{}SELECT 1{}", "SELECT * FROM (".repeat(3_000), ") x".repeat(3_000)),
    ] {
        // The parser gives up on some at its own limit and says so as a syntax error.
        assert!(["SQL_TOO_DEEP", "SQL_SYNTAX"].contains(&code(&sql).as_str()), "{:.40}: {}", sql, code(&sql));
    }
    all(
        "SQL_IDENTIFIER_TOO_LONG",
        &[&format!("SELECT * FROM {}", "x".repeat(64)), &format!("SELECT \"{}\"(1)", "x".repeat(64))],
    );
}

#[test]
fn no_input_makes_the_guard_panic() {
    // Texts made of pieces that mean something, put together without sense; the same ones every run.
    const PIECES: &[&str] = &[
        "SELECT",
        "(",
        ")",
        "*",
        "FROM",
        "notes",
        ",",
        "'",
        "\"",
        "$1",
        "$$",
        "--",
        "/*",
        "*/",
        ";",
        "::",
        "int",
        "WITH",
        "AS",
        "UNION",
        "[",
        "]",
        ".",
        "lower",
        "E'",
        "\\",
        "ä",
        "\u{0}",
        "1e",
        "0x",
        "OPERATOR(",
        "JOIN",
        "ON",
        "CASE",
        "END",
        "U&\"",
        "\n",
    ];
    let mut state = 88_172_645_463_325_252_u64;
    for _ in 0..20_000 {
        let mut sql = String::new();
        for _ in 0..(state % 24) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            sql.push_str(PIECES[(state % PIECES.len() as u64) as usize]);
            sql.push(' ');
        }
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let _ = verdict(&sql);
    }
}

#[test]
fn a_granted_table_brings_nothing_else_of_its_schema() {
    let scope = SqlScope { tables: ["app.notes".to_owned().try_into().unwrap()].into(), ..SqlScope::default() };
    for sql in ["SELECT * FROM notes", "SELECT * FROM app.notes AS n WHERE n.id = 1", "TABLE app.notes", "SELECT 1"] {
        assert!(verdict_in(sql, &scope).is_ok(), "{sql}");
    }
    for sql in [
        "SELECT * FROM \"Notes\"",
        "SELECT * FROM app.\"Notes\"",
        "SELECT * FROM app.other",
        "SELECT * FROM public.notes",
        "SELECT * FROM shadow",
        "SELECT * FROM pg_class",
        "SELECT * FROM notes, shadow",
        "SELECT * FROM notes WHERE EXISTS (SELECT FROM public.shadow)",
        "SELECT NULL::mood FROM notes",
        "SELECT 1 OPERATOR(app.+) 1 FROM notes",
    ] {
        assert!(matches!(verdict_in(sql, &scope), Err(DbError::Forbidden { .. })), "{sql}");
    }
    for sql in ["SELECT app.nearest() FROM notes", "SELECT nearest() FROM notes"] {
        let verdict = verdict_in(sql, &scope);
        assert!(matches!(verdict, Err(DbError::Rejected { code: "SQL_FUNCTION_NOT_ALLOWED", .. })), "{sql}");
    }
}
