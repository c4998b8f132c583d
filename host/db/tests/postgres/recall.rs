//! What search finds for whom, measured: 100,000 rows in clusters, of which one tenant sees one in a hundred.
use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stockade_db::{ColumnValues, ResultSet, Session, Value};

use crate::bed::{Bed, collection, sql_with};

/// Searches for the nearest of each of these many rows.
const QUESTIONS: usize = 40;
const NEAREST: u32 = 20;

const DOCS: &str = "
    SET maintenance_work_mem = '256MB';
    SELECT setseed(0.42);
    CREATE TEMP TABLE centre AS
      SELECT c, (SELECT array_agg(random() * 2 - 1) FROM generate_series(1, 16) WHERE c = c) AS v FROM generate_series(1, 100) AS c;
    CREATE TABLE app.docs (id int PRIMARY KEY, tenant text NOT NULL, single vector(16) NOT NULL, half halfvec(16) NOT NULL);
    INSERT INTO app.docs SELECT i, CASE WHEN random() < 0.01 THEN 'few' ELSE 'many' END, v, v
      FROM (SELECT i, (SELECT array_agg(x + (random() - 0.5) * 1.2 ORDER BY o)::vector
                       FROM unnest(centre.v) WITH ORDINALITY AS u (x, o) WHERE i = i) AS v
            FROM generate_series(1, 100000) AS i JOIN centre ON c = 1 + i % 100) AS made;
    CREATE INDEX docs_single ON app.docs USING hnsw (single vector_cosine_ops);
    ALTER TABLE app.docs ENABLE ROW LEVEL SECURITY; ALTER TABLE app.docs FORCE ROW LEVEL SECURITY;
    CREATE POLICY own ON app.docs USING (tenant = (SELECT stockade.claims() ->> 'tenant'));
    GRANT SELECT ON app.docs TO test_reader;
    INSERT INTO stockade.collections VALUES ('app.docs', 'single', 'sixteen', 16, true), ('app.docs', 'half', 'sixteen', 16, true);
    ANALYZE app.docs;";

const KEYS: &str = "table = 'app.docs'\nkey = 'id'\ncolumns = ['id']\nembedder = 'sixteen'\ndimension = 16\n";

async fn bed() -> Bed {
    let mut bed = Bed::new().await;
    sqlx::raw_sql(DOCS).execute(&bed.admin).await.unwrap();
    bed.reconnect(|config| {
        let mut embedder = config.embedders["three"].clone();
        if let stockade_db::EmbedderConfig::Candle { model, .. } = &mut embedder {
            *model = "sixteen".to_owned();
        }
        config.embedders.insert("sixteen".to_owned(), embedder);
        for (name, rest) in [
            ("docs", "embedding = 'single'"),
            ("by_index", "embedding = 'single'\nexact_rows_max = 0"),
            ("exactly", "embedding = 'single'\nexact_rows_max = 1000000"),
            ("halves_by_index", "embedding = 'half'\nexact_rows_max = 0"),
        ] {
            config.collections.insert(name.to_owned(), collection(&format!("{KEYS}{rest}")));
        }
    })
    .await;
    bed
}

fn session(bed: &Bed, tenant: &str) -> Session {
    let all: BTreeSet<String> = bed.config.collections.keys().cloned().collect();
    bed.session_with(tenant, |limits| {
        limits.collections = Arc::new(all);
        limits.deadline = tokio::time::Instant::now() + Duration::from_secs(120);
    })
}

fn ids(found: &ResultSet) -> BTreeSet<i64> {
    match found.columns.first().map(|column| &column.values) {
        Some(ColumnValues::Integers(values)) => values.iter().copied().collect(),
        other => panic!("{other:?}"),
    }
}

async fn questions(bed: &Bed) -> Vec<Vec<f32>> {
    let sql = format!(
        "SELECT single::float4[] FROM app.docs WHERE id % {} = 11 ORDER BY id LIMIT {QUESTIONS}",
        100_000 / QUESTIONS
    );
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(&bed.admin).await.unwrap()
}

/// How often the index has served, and how often the whole table was read. A connection counts for itself
/// and tells when it ends, so the host's end.
async fn scans(bed: &mut Bed) -> (i64, i64) {
    bed.database.close().await;
    let there =
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE usename = 'test_login' AND datname = current_database())";
    while sqlx::query_scalar::<_, bool>(there).fetch_one(&bed.admin).await.unwrap() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let scans = "SELECT pg_stat_get_numscans('app.docs_single'::regclass), pg_stat_get_numscans('app.docs'::regclass)";
    let scans = sqlx::query_as(scans).fetch_one(&bed.admin).await.unwrap();
    bed.reconnect(|_| {}).await;
    scans
}

/// What a plugin would write itself: the index looks at 40 rows of everybody's.
const NAIVE: &str = "SELECT id FROM app.docs ORDER BY single <=> $1::vector LIMIT 20";

/// Recall@20 against `truth`, rows that came back, and milliseconds, each a mean over the questions.
async fn measure(session: &Session, way: &str, questions: &[Vec<f32>], truth: &[BTreeSet<i64>]) -> (f64, f64) {
    let began = Instant::now();
    let (mut hits, mut rows) = (0, 0);
    for (question, truth) in questions.iter().zip(truth) {
        let found = match way {
            "naive" => session.query(sql_with(NAIVE, vec![Value::Floats(question.clone())]), NEAREST).await,
            collection => session.search(collection, question.clone(), NEAREST, -1.0).await,
        };
        let found = ids(&found.unwrap_or_else(|error| panic!("{}", error.for_log())));
        hits += found.intersection(truth).count();
        rows += found.len();
    }
    let all = truth.iter().map(BTreeSet::len).sum::<usize>() as f64;
    let ms = began.elapsed().as_secs_f64() * 1_000.0 / questions.len() as f64;
    writeln!(
        std::io::stderr(),
        "| {way} | {:.3} | {:.1} | {ms:.2} |",
        hits as f64 / all,
        rows as f64 / questions.len() as f64
    )
    .expect("standard error");
    (hits as f64 / all, rows as f64 / questions.len() as f64)
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_tenant_who_sees_one_row_in_a_hundred_finds_them() {
    let mut bed = bed().await;
    let questions = questions(&bed).await;
    assert_eq!(questions.len(), QUESTIONS);
    for tenant in ["few", "many"] {
        let mut truth = Vec::new();
        for question in &questions {
            let found = session(&bed, tenant).search("exactly", question.clone(), NEAREST, -1.0).await;
            truth.push(ids(&found.unwrap()));
        }
        writeln!(std::io::stderr(), "tenant {tenant}:\n| way | recall@20 | rows | ms |\n|---|---|---|---|")
            .expect("standard error");
        let (naive, naive_rows) = measure(&session(&bed, tenant), "naive", &questions, &truth).await;
        let (exact, _) = measure(&session(&bed, tenant), "exactly", &questions, &truth).await;
        let before = scans(&mut bed).await;
        let (indexed, _) = measure(&session(&bed, tenant), "by_index", &questions, &truth).await;
        let between = scans(&mut bed).await;
        let (chosen, rows) = measure(&session(&bed, tenant), "docs", &questions, &truth).await;
        let after = scans(&mut bed).await;
        assert!(exact == 1.0 && indexed >= 0.95 && chosen >= 0.95, "{exact} {indexed} {chosen}");
        assert_eq!(rows, f64::from(NEAREST), "never fewer than were asked for");
        assert_eq!(between.0 - before.0, QUESTIONS as i64, "the index served");
        // Once to count what the caller sees. Were the index to give up early, all rows would be read instead.
        assert_eq!(between.1 - before.1, 1, "and went on until it had enough");
        if tenant == "few" {
            assert_eq!(after.0, between.0, "a thousand rows are looked at, whatever the index could do");
            assert!(naive < 0.2 && naive_rows < 4.0, "the naive statement starves: {naive}, {naive_rows} rows");
        } else {
            assert_eq!(after.0 - between.0, QUESTIONS as i64, "ninety-nine thousand are not");
        }
    }
    halves(&bed, &questions).await;
}

/// Half the bytes, and what it costs in recall, for a caller whom the index serves.
async fn halves(bed: &Bed, questions: &[Vec<f32>]) {
    sqlx::raw_sql(
        "SET maintenance_work_mem = '256MB'; CREATE INDEX docs_half ON app.docs USING hnsw (half halfvec_cosine_ops)",
    )
    .execute(&bed.admin)
    .await
    .unwrap();
    let session = session(bed, "many");
    let mut truth = Vec::new();
    for question in questions {
        truth.push(ids(&session.search("exactly", question.clone(), NEAREST, -1.0).await.unwrap()));
    }
    let bytes = "SELECT sum(pg_column_size(single))::int8, sum(pg_column_size(half))::int8,
        pg_relation_size('app.docs_single'), pg_relation_size('app.docs_half') FROM app.docs";
    let (single, half, single_index, half_index): (i64, i64, i64, i64) =
        sqlx::query_as(bytes).fetch_one(&bed.admin).await.unwrap();
    writeln!(std::io::stderr(), "halfvec: column {half} bytes for {single}, index {half_index} for {single_index}")
        .expect("standard error");
    let (recall, _) = measure(&session, "halves_by_index", questions, &truth).await;
    assert!(recall >= 0.95, "{recall}");
    assert!(half < single && half_index < single_index, "{half} {single} {half_index} {single_index}");
}
