//! Embedding a collection: broken off, gone on with, made anew by another model.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::FutureExt;
use stockade_db::{CollectionConfig, Database, DbError, EmbedderConfig, RebuildOptions, Rebuilt, rebuild};

use crate::bed::{Bed, collection};
use crate::endpoint::{Endpoint, Reply};

const NOTES: &str = "
    CREATE TABLE app.letters (id int PRIMARY KEY, tenant text NOT NULL, body text, e halfvec(3), made_by text);
    INSERT INTO app.letters SELECT i, 'a', 'letter ' || i FROM generate_series(1, 1000) AS i;
    INSERT INTO app.letters VALUES (1001, 'a', ''), (1002, 'a', NULL);
    ALTER TABLE app.letters ENABLE ROW LEVEL SECURITY; ALTER TABLE app.letters FORCE ROW LEVEL SECURITY;
    CREATE POLICY own ON app.letters USING (tenant = (SELECT stockade.claims() ->> 'tenant'));
    GRANT SELECT ON app.letters TO test_reader;";

const KEYS: &str = "table = 'app.letters'\nkey = 'id'\nembedding = 'e'\ncolumns = ['id']\nembedder = 'letters'
    dimension = 3\ntext = 'body'\nmodel = 'made_by'";

const OPTIONS: RebuildOptions = RebuildOptions { batch_rows: 100 };

/// An endpoint that counts texts, and hangs from the `hangs_at`th request on.
async fn endpoint(hangs_at: usize) -> (Endpoint, Arc<AtomicUsize>) {
    let counted = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&counted);
    let endpoint = Endpoint::start(move |number, texts| {
        let counting = Arc::clone(&counting);
        async move {
            if number >= hangs_at {
                return Reply::Hang;
            }
            counting.fetch_add(texts.len(), Ordering::Relaxed);
            Reply::vectors(&texts.iter().map(|text| vec![text.len() as f32, 1.0, 0.5]).collect::<Vec<_>>())
        }
        .boxed()
    })
    .await;
    (endpoint, counted)
}

fn model(endpoint: &Endpoint, name: &str) -> EmbedderConfig {
    let table = format!("kind = 'openai'\nurl = '{}'\nmodel = '{name}'\nbatch_max = 25", endpoint.url);
    toml::from_str(&table).unwrap()
}

async fn run(bed: &Bed, keys: &CollectionConfig, model: &EmbedderConfig) -> Result<Rebuilt, DbError> {
    rebuild(&bed.admin_url, "letters", keys, model, OPTIONS, &|_| {}).await
}

async fn done(bed: &Bed, model: &'static str) -> i64 {
    let sql = "SELECT count(*) FROM app.letters WHERE e IS NOT NULL AND made_by = $1";
    sqlx::query_scalar(sql).bind(model).fetch_one(&bed.admin).await.unwrap()
}

/// Whether a host that is configured for this model starts.
async fn starts(bed: &Bed, keys: &CollectionConfig, model: &EmbedderConfig) -> Result<(), String> {
    let mut config = bed.config.clone();
    config.embedders.insert("letters".to_owned(), model.clone());
    config.collections.insert("letters".to_owned(), keys.clone());
    match Database::connect(&config).await {
        Ok(database) => {
            database.close().await;
            Ok(())
        }
        Err(error) => Err(error.for_log()),
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_run_that_is_broken_off_is_gone_on_with_and_a_new_model_makes_all_anew() {
    let bed = Bed::new().await;
    sqlx::raw_sql(NOTES).execute(&bed.admin).await.unwrap();
    let keys = collection(KEYS);
    // Four requests a batch: the fifth batch hangs, and the run is dropped.
    let (hanging, first) = endpoint(16).await;
    let one = model(&hanging, "one");
    tokio::select! {
        _ = run(&bed, &keys, &one) => panic!("expected it to hang"),
        () = hanging.until_requests_are(17) => {}
    }
    assert_eq!((done(&bed, "one").await, first.load(Ordering::Relaxed)), (400, 400), "whole batches, and none half");
    let refused = starts(&bed, &keys, &one).await.unwrap_err();
    assert!(refused.contains("not complete"), "{refused}");
    // The next run does the others, and only them.
    let (well, second) = endpoint(usize::MAX).await;
    let one = model(&well, "one");
    let rebuilt = until_alone(&bed, &keys, &one).await;
    assert_eq!((rebuilt, second.load(Ordering::Relaxed)), (Rebuilt { embedded: 600, current: 1_000 }, 600));
    starts(&bed, &keys, &one).await.unwrap();
    let nothing = run(&bed, &keys, &one).await.unwrap();
    assert_eq!((nothing, second.load(Ordering::Relaxed)), (Rebuilt { embedded: 0, current: 1_000 }, 600));
    // A row that lost its embedding, because its text changed; the collection serves meanwhile.
    sqlx::raw_sql("UPDATE app.letters SET body = 'new', e = NULL WHERE id = 7").execute(&bed.admin).await.unwrap();
    starts(&bed, &keys, &one).await.unwrap();
    assert_eq!(run(&bed, &keys, &one).await.unwrap(), Rebuilt { embedded: 1, current: 1_000 });
    // Another model: no host starts with it before it has made all of them.
    let (other, third) = endpoint(usize::MAX).await;
    let two = model(&other, "two");
    let refused = starts(&bed, &keys, &two).await.unwrap_err();
    assert!(refused.contains("were made by one"), "{refused}");
    assert_eq!(run(&bed, &keys, &two).await.unwrap(), Rebuilt { embedded: 1_000, current: 1_000 });
    assert_eq!((done(&bed, "two").await, third.load(Ordering::Relaxed)), (1_000, 1_000));
    starts(&bed, &keys, &two).await.unwrap();
    starts(&bed, &keys, &one).await.unwrap_err();
}

/// The dropped run's connection, and with it its lock, ends when the server notices.
async fn until_alone(bed: &Bed, keys: &CollectionConfig, model: &EmbedderConfig) -> Rebuilt {
    loop {
        match run(bed, keys, model).await {
            Ok(rebuilt) => return rebuilt,
            Err(error) if error.for_log().contains("another `stockade embed` is at work") => {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            Err(error) => panic!("{}", error.for_log()),
        }
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn what_cannot_be_embedded_is_said() {
    let bed = Bed::new().await;
    sqlx::raw_sql(NOTES).execute(&bed.admin).await.unwrap();
    let (well, counted) = endpoint(usize::MAX).await;
    let one = model(&well, "one");
    let refusal = async |keys: &str| run(&bed, &collection(keys), &one).await.unwrap_err().for_log();
    let no_text = refusal(&KEYS.replace("text = 'body'\n", "")).await;
    assert!(no_text.contains("[collections.letters] text: is missing"), "{no_text}");
    let no_column = refusal(&KEYS.replace("'made_by'", "'model'")).await;
    assert!(no_column.contains("has no column model"), "{no_column}");
    let dimension = refusal(&KEYS.replace("dimension = 3", "dimension = 4")).await;
    assert!(dimension.contains("the configuration says 4"), "{dimension}");
    // Whom row security binds sees none of the rows, and is told so.
    let role = format!("blind_{}", bed.name);
    let grant = format!(
        "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA app, stockade TO {role};
         GRANT SELECT, INSERT, UPDATE ON stockade.collections TO {role};
         GRANT EXECUTE ON FUNCTION pg_try_advisory_lock(bigint) TO {role};
         GRANT CONNECT ON DATABASE {} TO {role}; GRANT SELECT, UPDATE ON app.letters TO {role}; GRANT USAGE ON SCHEMA public TO {role}",
        bed.name
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(grant)).execute(&bed.admin).await.unwrap();
    let blind = rebuild(&crate::bed::url(&role, &bed.name), "letters", &collection(KEYS), &one, OPTIONS, &|_| {}).await;
    let blind = blind.unwrap_err().for_log();
    assert!(blind.contains("row-level security"), "{blind}");
    assert_eq!(counted.load(Ordering::Relaxed), 0);
    let drop = format!("DROP OWNED BY {role}; DROP ROLE {role}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(drop)).execute(&bed.admin).await.unwrap();
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn no_vector_of_a_text_that_is_gone_or_of_another_dimension_is_left() {
    let bed = Bed::new().await;
    // The column takes vectors of any dimension.
    let notes = sqlx::AssertSqlSafe(NOTES.replace("e halfvec(3)", "e vector"));
    sqlx::raw_sql(notes).execute(&bed.admin).await.unwrap();
    let keys = collection(KEYS);
    let (well, counted) = endpoint(usize::MAX).await;
    assert_eq!(run(&bed, &keys, &model(&well, "one")).await.unwrap(), Rebuilt { embedded: 1_000, current: 1_000 });
    sqlx::raw_sql(
        "UPDATE app.letters SET body = NULL WHERE id = 1; UPDATE app.letters SET body = '' WHERE id = 2;
         UPDATE app.letters SET e = '[1,2,3,4]' WHERE id = 3",
    )
    .execute(&bed.admin)
    .await
    .unwrap();
    // The same model, with one vector that is none of its own.
    let again = run(&bed, &keys, &model(&well, "one")).await.unwrap();
    assert_eq!((again, counted.load(Ordering::Relaxed)), (Rebuilt { embedded: 1, current: 998 }, 1_001));
    sqlx::raw_sql("UPDATE app.letters SET body = NULL WHERE id = 4").execute(&bed.admin).await.unwrap();
    let two = run(&bed, &keys, &model(&well, "two")).await.unwrap();
    assert_eq!(two, Rebuilt { embedded: 997, current: 997 });
    let others = "SELECT count(*) FROM app.letters WHERE e IS NOT NULL AND (made_by <> 'two' OR vector_dims(e) <> 3)";
    let others: i64 = sqlx::query_scalar(others).fetch_one(&bed.admin).await.unwrap();
    assert_eq!(others, 0, "one model, one dimension");
}

/// A cap that a batch would exceed: it goes in parts, each of which has its turn in time.
#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_cap_below_the_batch_slows_a_run_and_does_not_end_it() {
    let bed = Bed::new().await;
    sqlx::raw_sql(NOTES).execute(&bed.admin).await.unwrap();
    sqlx::raw_sql("DELETE FROM app.letters WHERE id > 62").execute(&bed.admin).await.unwrap();
    let (well, _) = endpoint(usize::MAX).await;
    let mut capped = model(&well, "one");
    if let EmbedderConfig::OpenAi(config) = &mut capped {
        (config.batch_max, config.texts_per_minute_max) = (64, Some(60));
    }
    let rebuilt = run(&bed, &collection(KEYS), &capped).await.unwrap_or_else(|error| panic!("{}", error.for_log()));
    assert_eq!(rebuilt, Rebuilt { embedded: 62, current: 62 });
    let sizes: Vec<usize> = well.asked().iter().map(|asked| asked.texts.len()).collect();
    assert_eq!(sizes, [60, 2]);
}
