//! Search by meaning and by words, and what is refused.
use std::collections::BTreeSet;
use std::sync::Arc;

use stockade_db::{ColumnValues, Comparison, Condition, Database, DbError, ResultSet, Session, Value};

use crate::bed::{Bed, collection};

/// `app.papers`: row security by tenant, a `vector` and a `halfvec`, words, and columns to ask for. The two
/// elements of a vector are what a row is about: rivers, money.
const PAPERS: &str = "
    CREATE TABLE app.papers (id int PRIMARY KEY, tenant text NOT NULL, body text NOT NULL, pages int, year numeric, day date,
      words tsvector GENERATED ALWAYS AS (to_tsvector('english', body)) STORED, v vector(2), h halfvec(2));
    INSERT INTO app.papers (id, tenant, body, pages, year, day, v, h)
    SELECT i, CASE WHEN i < 100 THEN 'a' ELSE 'b' END, body, i, 2000 + i, date '2020-01-01' + i, v, v::halfvec
    FROM (VALUES
      (1, 'The bank of the river in spring', '[1,0.05]'::vector),
      (2, 'A stream, its shore and its fish', '[1,0]'),
      (3, 'Interest rates of a bank', '[0,1]'),
      (4, 'Loans and savings', '[0.05,1]'),
      (5, 'Model X-200 service notes', '[0.6,0.6]'),
      (6, 'Nothing in particular', NULL),
      (101, 'The river bank of another tenant', '[1,0]')) AS p (i, body, v);
    CREATE INDEX ON app.papers USING hnsw (v vector_cosine_ops);
    ALTER TABLE app.papers ENABLE ROW LEVEL SECURITY; ALTER TABLE app.papers FORCE ROW LEVEL SECURITY;
    CREATE POLICY own ON app.papers USING (tenant = (SELECT stockade.claims() ->> 'tenant'));
    GRANT SELECT ON app.papers TO test_reader;
    INSERT INTO stockade.collections VALUES ('app.papers', 'v', 'two', 2, true), ('app.papers', 'h', 'two', 2, true);";

const KEYS: &str = "table = 'app.papers'\nkey = 'id'\ncolumns = ['id', 'body']\nembedder = 'two'\ndimension = 2
    words = 'words'\nfilters = ['pages', 'year', 'body', 'day']\n";

async fn bed() -> Bed {
    let mut bed = Bed::new().await;
    sqlx::raw_sql(PAPERS).execute(&bed.admin).await.unwrap();
    bed.reconnect(|config| {
        config.embedders.insert("two".to_owned(), renamed(&config.embedders["three"], "two"));
        for (name, rest) in [
            ("papers", "embedding = 'v'"),
            ("by_index", "embedding = 'v'\nexact_rows_max = 0"),
            ("short_sighted", "embedding = 'v'\nexact_rows_max = 0\nscan_rows_max = 1"),
            ("halves", "embedding = 'h'"),
        ] {
            config.collections.insert(name.to_owned(), collection(&format!("{KEYS}{rest}")));
        }
    })
    .await;
    bed
}

fn renamed(embedder: &stockade_db::EmbedderConfig, to: &str) -> stockade_db::EmbedderConfig {
    let mut renamed = embedder.clone();
    if let stockade_db::EmbedderConfig::Candle { model, .. } = &mut renamed {
        *model = to.to_owned();
    }
    renamed
}

fn session(bed: &Bed, tenant: &str) -> Session {
    let all: BTreeSet<String> = bed.config.collections.keys().cloned().collect();
    bed.session_with(tenant, |limits| limits.collections = Arc::new(all))
}

fn ids(found: &ResultSet) -> Vec<i64> {
    let ColumnValues::Integers(values) = &found.columns[0].values else { panic!("{found:?}") };
    values.clone()
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn search_finds_the_nearest_and_checks_the_dimension() {
    let bed = Bed::new().await;
    let session = bed.session("a");
    let found = session.search("things", vec![1.0, 0.0, 0.0], 2, 0.5).await.unwrap();
    assert_eq!(ids(&found), [1, 3]);
    assert_eq!(found.columns[2].name, "similarity");
    for (embedding, similarity) in [
        (vec![1.0, 0.0], 0.0),
        (vec![f32::NAN, 0.0, 0.0], 0.0),
        (vec![1.0, 0.0, 0.0], 1.5),
        (vec![1.0, 0.0, 0.0], f64::NAN),
    ] {
        assert!(matches!(session.search("things", embedding, 2, similarity).await, Err(DbError::Rejected { .. })));
    }
    for unknown in ["texts", "nothing"] {
        assert!(matches!(
            session.search(unknown, vec![1.0], 2, 0.0).await,
            Err(DbError::Forbidden { code: "COLLECTION_NOT_GRANTED", .. })
        ));
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn every_way_of_searching_gives_the_callers_rows_and_no_others() {
    let bed = bed().await;
    let river = || vec![1.0, 0.0];
    for collection in ["papers", "by_index", "short_sighted", "halves"] {
        let session = session(&bed, "a");
        let found = session.search(collection, river(), 3, -1.0).await.unwrap();
        assert_eq!(ids(&found), [2, 1, 5], "{collection}");
        let found = session.search(collection, river(), 100, -1.0).await.unwrap();
        assert_eq!(ids(&found), [2, 1, 5, 4, 3], "{collection}: all that have an embedding");
        let found = session.search(collection, river(), 100, 0.9).await.unwrap();
        assert_eq!(ids(&found), [2, 1], "{collection}: the threshold");
        let found = session.search(collection, river(), 0, -1.0).await.unwrap();
        assert_eq!((found.row_count, found.columns.len()), (0, 3), "{collection}: none asked for");
        let others = self::session(&bed, "b").search(collection, river(), 3, -1.0).await.unwrap();
        assert_eq!(ids(&others), [101], "{collection}: another tenant");
        let nobodys = self::session(&bed, "c").search(collection, river(), 3, -1.0).await.unwrap();
        assert_eq!(nobodys.row_count, 0, "{collection}: a tenant without rows");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn hybrid_finds_what_meaning_alone_and_words_alone_miss() {
    let bed = bed().await;
    for collection in ["papers", "by_index", "halves"] {
        let session = session(&bed, "a");
        // About rivers, and with the word "bank": 2 lacks the word, 3 the meaning, 1 has both.
        let both = session.search_hybrid(collection, vec![1.0, 0.0], "bank".to_owned(), Vec::new(), 3).await.unwrap();
        let names: Vec<&str> = both.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["id", "body", "score", "similarity"]);
        assert_eq!(ids(&both), [1, 3, 2], "{collection}");
        let meaning = session.search(collection, vec![1.0, 0.0], 3, -1.0).await.unwrap();
        assert!(!ids(&meaning).contains(&3), "{collection}: meaning alone misses the rates of a bank");
        let words = session
            .query(
                crate::bed::sql("SELECT id FROM app.papers WHERE words @@ websearch_to_tsquery('bank') ORDER BY 1"),
                9,
            )
            .await
            .unwrap();
        assert_eq!(ids(&words), [1, 3], "words alone miss the stream, which has its meaning");
        // A code that no model knows the meaning of, asked for with an embedding that says nothing of it.
        let code = session.search_hybrid(collection, vec![0.0, 1.0], "x-200".to_owned(), Vec::new(), 1).await.unwrap();
        assert_eq!(ids(&code), [5], "{collection}");
    }
    let things = session(&bed, "a").search_hybrid("things", vec![1.0; 3], "x".to_owned(), Vec::new(), 1).await;
    assert!(matches!(things, Err(DbError::Rejected { code: "ARGUMENT_COLLECTION", .. })), "{things:?}");
    // Whatever is typed is a question, never an error.
    for odd in ["", "the", "\"", "a & | ! ( b", "' OR 1=1 --", "-bank"] {
        let found = session(&bed, "a").search_hybrid("papers", vec![1.0, 0.0], odd.to_owned(), Vec::new(), 1).await;
        assert_eq!(ids(&found.unwrap()), [2], "{odd}");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn conditions_are_typed_and_on_listed_columns_alone() {
    let bed = bed().await;
    let session = session(&bed, "a");
    let found = async |column: &str, comparison, operand: Value| {
        let conditions = vec![Condition { column: column.to_owned(), comparison, operand }];
        session.search_hybrid("by_index", vec![1.0, 0.0], "bank".to_owned(), conditions, 9).await
    };
    for (column, comparison, operand, expected) in [
        ("pages", Comparison::Equal, Value::Integer(3), vec![3]),
        ("pages", Comparison::NotEqual, Value::Integer(1), vec![3, 2, 5, 4]),
        ("year", Comparison::Less, Value::Float(2002.5), vec![1, 2]),
        ("year", Comparison::AtMost, Value::Integer(2001), vec![1]),
        ("pages", Comparison::Greater, Value::Integer(4), vec![5]),
        ("day", Comparison::AtLeast, Value::Date(18_262 + 4), vec![5, 4]),
        ("pages", Comparison::OneOf, Value::Integers(vec![2, 3]), vec![3, 2]),
        ("body", Comparison::OneOf, Value::Texts(vec!["Loans and savings".to_owned()]), vec![4]),
        ("body", Comparison::Equal, Value::Text("' OR true --".to_owned()), vec![]),
    ] {
        let shown = format!("{column} {comparison:?} {operand:?}");
        assert_eq!(ids(&found(column, comparison, operand).await.unwrap()), expected, "{shown}");
    }
    for (column, comparison, operand) in [
        ("tenant", Comparison::Equal, Value::Text("b".to_owned())),
        ("id\" = 1 OR \"id", Comparison::Equal, Value::Integer(1)),
        ("pages", Comparison::OneOf, Value::Integer(1)),
        ("pages", Comparison::Equal, Value::Integers(vec![1])),
    ] {
        let refused = found(column, comparison, operand).await;
        assert!(matches!(refused, Err(DbError::Rejected { code: "ARGUMENT_CONDITION", .. })), "{refused:?}");
    }
    let unlike = found("pages", Comparison::Equal, Value::Text("x".to_owned())).await;
    assert!(matches!(unlike, Err(DbError::Statement { ref sqlstate, .. }) if sqlstate == "42883"), "{unlike:?}");
    let many = vec![Condition { column: "pages".into(), comparison: Comparison::Equal, operand: Value::Null }; 17];
    let many = session.search_hybrid("papers", vec![1.0, 0.0], String::new(), many, 1).await;
    assert!(matches!(many, Err(DbError::Rejected { code: "ARGUMENT_CONDITION", .. })), "{many:?}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn another_models_embeddings_are_neither_started_with_nor_searched() {
    let mut bed = bed().await;
    let change = async |bed: &Bed, sql: &'static str| {
        sqlx::raw_sql(sql).execute(&bed.admin).await.unwrap();
    };
    for (record, said) in [
        ("UPDATE stockade.collections SET model = 'older'", "made by older with 2 dimensions"),
        ("UPDATE stockade.collections SET model = 'two', dimension = 3", "with 3 dimensions"),
        ("UPDATE stockade.collections SET dimension = 2, complete = false", "not complete"),
        ("DELETE FROM stockade.collections WHERE table_name = 'app.papers'", "no record says which model"),
    ] {
        change(&bed, "UPDATE stockade.collections SET complete = true").await;
        change(&bed, record).await;
        let mut config = bed.config.clone();
        config.collections.remove("things");
        let refused = Database::connect(&config).await.err().expect("a refusal").for_log();
        assert!(refused.contains(said) && refused.contains("stockade embed --collection"), "{refused}");
    }
    // And while it serves: what was found is believed for ten seconds, so another host sees it at once.
    change(&bed, "INSERT INTO stockade.collections VALUES ('app.papers', 'v', 'two', 2, true), ('app.papers', 'h', 'two', 2, true)").await;
    change(&bed, "UPDATE stockade.collections SET model = 'three', dimension = 3 WHERE table_name = 'app.things'")
        .await;
    bed.reconnect(|_| {}).await;
    change(&bed, "UPDATE stockade.collections SET model = 'older' WHERE table_name = 'app.papers'").await;
    let looking = async {
        loop {
            match session(&bed, "a").search("papers", vec![1.0, 0.0], 1, -1.0).await {
                Ok(_) => tokio::time::sleep(std::time::Duration::from_millis(200)).await,
                Err(error) => break error,
            }
        }
    };
    let error = tokio::time::timeout(std::time::Duration::from_secs(30), looking).await.expect("a refusal in time");
    assert!(error.for_log().contains("made by older"), "{}", error.for_log());
    assert!(!error.to_string().contains("older"), "{error}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn what_a_collection_names_must_be_there() {
    let bed = bed().await;
    for (from, to, said) in [
        ("app.papers", "app.nowhere", "there is no table or view app.nowhere"),
        ("key = 'id'", "key = 'nothing'", "key: app.papers has no column nothing"),
        ("'body']\nembedder", "'nothing']\nembedder", "columns: app.papers has no column nothing"),
        ("words = 'words'", "words = 'body'", "expected a column of type tsvector, found text"),
        ("embedding = 'v'", "embedding = 'body'", "expected a vector or halfvec, found text"),
        ("dimension = 2", "dimension = 4", "the configuration says 4"),
        ("app.papers", "papers", "expected schema.name"),
        ("key = 'id'", "key = 'id\"'", "expected column names"),
        ("'id', 'body'", "'id', 'score'", "none of similarity, score"),
    ] {
        let keys = format!("{KEYS}embedding = 'v'");
        let changed = keys.replacen(from, to, 1);
        assert_ne!(changed, keys, "{from}");
        let mut config = bed.config.clone();
        config.collections = [("papers".to_owned(), collection(&changed))].into();
        let refused = Database::connect(&config).await.err().expect("a refusal").for_log();
        assert!(refused.contains(said) && refused.contains("[collections.papers]"), "{refused}");
    }
}
