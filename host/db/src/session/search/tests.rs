//! How PostgreSQL runs the statements.
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::statement::{How, Plan};
use crate::collection::VectorType;
use crate::config::CollectionConfig;
use crate::embedded::{EmbeddedConfig, EmbeddedPostgres};
use crate::encode;
use crate::value::Value;

/// Three rows in four are another tenant's.
const DOCS: &str = "
    CREATE EXTENSION vector;
    CREATE ROLE reader NOLOGIN;
    CREATE TABLE docs (id int PRIMARY KEY, tenant int NOT NULL, body text NOT NULL, e vector(3),
      words tsvector GENERATED ALWAYS AS (to_tsvector('english', body)) STORED);
    INSERT INTO docs SELECT i, i % 4, 'word' || i, array[sin(i), cos(i), sin(i * 7)]::vector FROM generate_series(1, 4000) AS i;
    CREATE INDEX docs_hnsw ON docs USING hnsw (e vector_cosine_ops);
    CREATE INDEX docs_words ON docs USING gin (words);
    ALTER TABLE docs ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own ON docs USING (tenant = (SELECT current_setting('app.tenant')::int));
    GRANT SELECT ON docs TO reader;
    ANALYZE docs;
    SET app.tenant = '1';
    SET hnsw.iterative_scan = relaxed_order;
    SET ROLE reader";

fn config() -> CollectionConfig {
    let keys = "table = 'public.docs'\nkey = 'id'\nembedding = 'e'\ncolumns = ['id', 'body']\nembedder = 'm'\n\
                dimension = 3\nwords = 'words'";
    toml::from_str(keys).unwrap()
}

fn plan(how: How) -> Plan {
    Plan { how, vectors: VectorType::Single, rows_max: 20, scan_rows_max: 20_000 }
}

/// The plan's nodes, with what filtered them, as they really ran. From PostgreSQL 18 on, rows are counted in hundredths.
async fn explained(connection: &mut PgConnection, statement: String) -> String {
    let arguments = encode::arguments(&[Value::Floats(vec![1.0, 0.0, 0.0]), Value::Float(-1.0)]).unwrap();
    let explain = format!("EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off, BUFFERS off) {statement}");
    let lines: Vec<String> =
        sqlx::query_scalar_with(AssertSqlSafe(explain), arguments).fetch_all(connection).await.unwrap();
    lines.join("\n").replace(".00 loops", " loops")
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn the_index_serves_the_one_form_and_cannot_serve_the_other() {
    // Not under the target directory: as root, PostgreSQL runs as a user who may not look into it.
    let folder = std::path::PathBuf::from(format!("/var/tmp/stockade-plan-test-{}", std::process::id()));
    let bin_dir = std::env::var_os("STOCKADE_POSTGRES_BIN").map(Into::into);
    let cluster = EmbeddedPostgres::start(&EmbeddedConfig { bin_dir, data_dir: folder.clone() }).await;
    let cluster = cluster.unwrap_or_else(|error| panic!("{}", error.for_log()));
    let mut connection = PgConnection::connect(&cluster.url("postgres", "postgres")).await.unwrap();
    sqlx::raw_sql(DOCS).execute(&mut connection).await.unwrap();

    let indexed = explained(&mut connection, plan(How::ByIndex).nearest(&config())).await;
    println!("{indexed}");
    for expected in [
        "->  Limit (actual rows=40 loops=1)",
        "->  Index Scan using docs_hnsw on docs t (actual rows=40 loops=1)",
        "Order By: (e <=> '[1,0,0]'::vector)",
        // What row security adds; before 17 it is written as $0.
        "Filter: ((e IS NOT NULL) AND (tenant = ",
        // The second half, which looks at every row, is not begun.
        "->  Seq Scan on docs t_1 (never executed)",
    ] {
        assert!(indexed.contains(expected), "{expected}:\n{indexed}");
    }
    let filter = |line: &str| line.contains("One-Time Filter: (") && line.ends_with(" < 20)");
    assert!(indexed.lines().any(filter), "{indexed}");
    // Whatever the planner is told, no index can serve the exact form.
    sqlx::raw_sql("SET enable_seqscan = off; SET enable_sort = off").execute(&mut connection).await.unwrap();
    let exact = explained(&mut connection, plan(How::Exactly).nearest(&config())).await;
    println!("{exact}");
    assert!(!exact.contains("docs_hnsw") && exact.contains("(actual rows=1000 loops=1)"), "{exact}");
    // An index for words does not serve whom row security binds: @@ is not leakproof.
    let words =
        "SELECT id FROM docs WHERE words @@ websearch_to_tsquery('english', 'word7') AND $1 IS NOT NULL AND $2 > -2";
    let bound = explained(&mut connection, words.to_owned()).await;
    assert!(!bound.contains("docs_words"), "{bound}");
    sqlx::raw_sql("RESET ROLE").execute(&mut connection).await.unwrap();
    let free = explained(&mut connection, words.to_owned()).await;
    assert!(free.contains("docs_words"), "{free}");

    connection.close().await.unwrap();
    cluster.stop().await.unwrap_or_else(|error| panic!("{}", error.for_log()));
    std::fs::remove_dir_all(folder).unwrap();
}
