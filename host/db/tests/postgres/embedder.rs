//! An embedding service that does what it should, and one that does not.
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::{Either, join_all, select};
use futures::poll;
use stockade_db::{DbError, EmbedderConfig, TenantId};

use crate::bed::{Bed, collection, sql};
use crate::endpoint::{Endpoint, Reply};
use crate::fault_table::{FaultTable, left_out};
use crate::faults::rows;

const TABLE: FaultTable = FaultTable {
    after: "**The embedding service**",
    columns: &["the embedding service", "callers saw", "requests a caller", "longest", "well again after"],
    rows: &[
        "429, then well",
        "429 for an hour",
        "429 for ever",
        "500, then well",
        "500 for ever",
        "401",
        "redirect",
        "broken connection, then well",
        "hangs (500 ms, two attempts)",
        "hangs, then well (1 s)",
        "out of time (1 s)",
        "wrong dimension",
        "wrong count",
        "no vectors",
        "vector of length 0",
        "garbage",
    ],
};

const THINGS: &str = "table = 'app.things'\nkey = 'id'\nembedding = 'embedding'\ncolumns = ['id']\ndimension = 3";

/// `[embedders.<name>]` of an endpoint, with keys of the test's.
fn openai(url: &str, keys: &str) -> EmbedderConfig {
    toml::from_str(&format!("kind = 'openai'\nurl = '{url}'\nmodel = 'three'\n{keys}")).unwrap()
}

/// A host with an embedder and a collection for each name.
async fn bed(embedders: Vec<(&str, EmbedderConfig)>) -> Bed {
    Bed::with(|config| {
        for (name, embedder) in embedders {
            config.embedders.insert(name.to_owned(), embedder);
            config.collections.insert(name.to_owned(), collection(&format!("{THINGS}\nembedder = '{name}'")));
        }
    })
    .await
}

static A: LazyLock<TenantId> = LazyLock::new(|| "a".parse().unwrap());
static B: LazyLock<TenantId> = LazyLock::new(|| "b".parse().unwrap());

/// A vector that tells the text's length and its last byte.
fn vector(text: &str) -> Vec<f32> {
    vec![text.len() as f32, f32::from(text.bytes().last().unwrap_or(0)), 1.0]
}

fn right(texts: &[String]) -> Reply {
    Reply::vectors(&texts.iter().map(|text| vector(text)).collect::<Vec<_>>())
}

fn texts(count: usize, of: &str) -> Vec<String> {
    (0..count).map(|number| format!("{of} {number}")).collect()
}

/// What the caller of a tool reads.
fn code(outcome: &Result<Vec<Vec<f32>>, DbError>) -> &'static str {
    outcome.as_ref().map_or_else(rows::code, |_| "ok")
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn texts_go_in_batches_and_come_back_in_order_each_asked_for_once() {
    let endpoint = Endpoint::start(|_, texts| async move { right(&texts) }.boxed()).await;
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("key");
    std::fs::write(&key_file, "s3cret\n").unwrap();
    let keys = format!("batch_max = 16\nconcurrency_max = 2\napi_key_file = '{}'\n", key_file.display());
    let azure = format!("{}/deployments/d/embeddings?api-version=2024-10-21", endpoint.url);
    let bed = bed(vec![
        ("plain", openai(&endpoint.url, &keys)),
        ("azure", openai(&azure, &format!("{keys}api_key_header = 'api-key'"))),
    ])
    .await;
    let mut asked = texts(60, "text");
    asked.extend(texts(4, "text"));
    let vectors = bed.database.embed(&A, "plain", &asked).await.unwrap_or_else(|error| panic!("{}", error.for_log()));
    for (text, found) in asked.iter().zip(&vectors) {
        let length = vector(text).iter().map(|e| e * e).sum::<f32>().sqrt();
        assert!((found[0] - vector(text)[0] / length).abs() < 1e-6, "{text}: {found:?}");
        assert!((found[1] - vector(text)[1] / length).abs() < 1e-6, "{text}: {found:?}");
    }
    let sizes: Vec<usize> = endpoint.asked().iter().map(|asked| asked.texts.len()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 60, "each text once: {sizes:?}");
    assert!(sizes.iter().all(|size| *size <= 16) && endpoint.open_most() <= 2, "{sizes:?} {}", endpoint.open_most());
    let head = endpoint.asked()[0].head.clone();
    assert!(
        head.to_lowercase().contains("authorization: bearer s3cret") && endpoint.asked()[0].model == "three",
        "{head}"
    );
    // Again: all of them are known.
    assert_eq!(bed.database.embed(&A, "plain", &asked).await.unwrap(), vectors);
    assert_eq!(endpoint.requests(), sizes.len());
    // Azure's form.
    bed.database.embed(&A, "azure", &asked[..1]).await.unwrap();
    let head = endpoint.asked().last().unwrap().head.to_lowercase();
    assert!(head.contains("/deployments/d/embeddings?api-version=2024-10-21"), "{head}");
    assert!(head.contains("api-key: s3cret") && !head.contains("authorization"), "{head}");
    let config = format!("{:?}", bed.config);
    assert!(!config.contains("s3cret"), "{config}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_text_that_many_ask_for_at_once_is_one_request_and_outlives_who_asked_first() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let endpoint = Endpoint::start(move |_, texts| {
        let gate = Arc::clone(&opened);
        async move {
            gate.acquire().await.unwrap().forget();
            right(&texts)
        }
        .boxed()
    })
    .await;
    let bed = bed(vec![("plain", openai(&endpoint.url, ""))]).await;
    let asking = |text: &str| {
        let (database, text) = (bed.database.clone(), vec![text.to_owned()]);
        tokio::spawn(async move { database.embed(&A, "plain", &text).await })
    };
    let first = asking("the same");
    endpoint.until_requests_are(1).await;
    let others: Vec<_> = (0..50).map(|_| asking("the same")).collect();
    // All of them have joined once they have run; this task is the only other one.
    tokio::task::yield_now().await;
    first.abort();
    gate.add_permits(1);
    for other in join_all(others).await {
        other.unwrap().unwrap_or_else(|error| panic!("{}", error.for_log()));
    }
    assert_eq!(endpoint.requests(), 1);
    // Nobody waits any more: the request is given up, and the next one who asks begins anew.
    let alone = asking("another");
    endpoint.until_requests_are(2).await;
    alone.abort();
    assert!(alone.await.unwrap_err().is_cancelled());
    let again = asking("another");
    endpoint.until_requests_are(3).await;
    gate.add_permits(2);
    again.await.unwrap().unwrap();
}

/// What happens; what each request of a caller gets, the last until the service is mended, None being the right
/// answer; keys; what callers see; requests a caller.
type Fault = (&'static str, Vec<Option<Reply>>, &'static str, &'static str, usize);

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn faults_of_the_service_are_what_callers_see_of_them_and_nothing_more() {
    const NO: Reply = Reply::Hang;
    let busy = |after| Reply::Answer(429, after, String::new());
    let faults: Vec<Fault> = vec![
        ("429, then well", vec![Some(busy("retry-after: 0\r\n")), None], "", "ok", 2),
        ("429 for an hour", vec![Some(busy("retry-after: 3600\r\n"))], "", "SERVER_BUSY", 1),
        ("429 for ever", vec![Some(busy("retry-after: 0\r\n"))], "", "SERVER_BUSY", 3),
        ("500, then well", vec![Some(Reply::Answer(500, "", "boom".into())), None], "", "ok", 2),
        ("500 for ever", vec![Some(Reply::Answer(500, "", "boom".into()))], "", "SERVER_BUSY", 3),
        ("401", vec![Some(Reply::Answer(401, "", "{}".into()))], "", "SERVER_BUSY", 1),
        (
            "redirect",
            vec![Some(Reply::Answer(307, "location: http://127.0.0.1:9/\r\n", "".into()))],
            "",
            "SERVER_BUSY",
            1,
        ),
        ("broken connection, then well", vec![Some(Reply::Close), None], "", "ok", 2),
        ("hangs (500 ms, two attempts)", vec![Some(NO)], "timeout_ms = 500\nattempts_max = 2\n", "QUERY_TIMEOUT", 2),
        ("hangs, then well (1 s)", vec![Some(NO), None], "timeout_ms = 1000\n", "ok", 2),
        ("out of time (1 s)", vec![Some(NO)], "timeout_ms = 60000\ndeadline_ms = 1000\n", "QUERY_TIMEOUT", 1),
        ("wrong dimension", vec![Some(Reply::vectors(&[vec![1.0; 4]]))], "", "MCP_ERROR", 1),
        ("wrong count", vec![Some(Reply::vectors(&[vec![1.0; 3], vec![1.0; 3]]))], "", "SERVER_BUSY", 1),
        ("no vectors", vec![Some(Reply::vectors(&[]))], "", "SERVER_BUSY", 1),
        ("vector of length 0", vec![Some(Reply::vectors(&[vec![0.0; 3]]))], "", "SERVER_BUSY", 1),
        ("garbage", vec![Some(Reply::Answer(200, "", "<html>sorry</html>".into()))], "", "SERVER_BUSY", 1),
    ];
    let mut endpoints = BTreeMap::new();
    let mut embedders = Vec::new();
    for (fault, replies, keys, ..) in &faults {
        let (endpoint, mended) = failing(replies.clone()).await;
        embedders.push((*fault, openai(&endpoint.url, &format!("concurrency_max = 8\n{keys}"))));
        endpoints.insert(*fault, (endpoint, mended));
    }
    let bed = bed(embedders).await;
    for (fault, _, _, expected, requests) in &faults {
        const CALLERS: usize = 8;
        let (endpoint, mended) = &endpoints[fault];
        let callers = texts(CALLERS, "caller");
        let began = Instant::now();
        let outcomes =
            join_all(callers.iter().map(|text| bed.database.embed(&A, fault, std::slice::from_ref(text)))).await;
        let longest = began.elapsed();
        let codes: Vec<&str> = outcomes.iter().map(code).collect();
        assert_eq!(codes, vec![*expected; CALLERS], "{fault}");
        assert_eq!(endpoint.requests(), requests * CALLERS, "{fault}");
        for error in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("127.0.0.1") && !shown.contains("boom") && !shown.contains("html"), "{shown}");
        }
        // Nothing unfit was remembered, and everything else goes on.
        bed.session("a").query(sql("SELECT 1"), 1).await.unwrap();
        bed.session("a").search("things", vec![1.0, 0.0, 0.0], 1, -1.0).await.unwrap();
        // The same texts: a wrong answer is asked for again.
        mended.store(true, Ordering::Relaxed);
        let since = Instant::now();
        let well = join_all(callers.iter().map(|text| bed.database.embed(&A, fault, std::slice::from_ref(text)))).await;
        let after = since.elapsed();
        for (text, found) in callers.iter().zip(well) {
            let length = vector(text).iter().map(|e| e * e).sum::<f32>().sqrt();
            assert!((found.unwrap()[0][0] - vector(text)[0] / length).abs() < 1e-6, "{fault}: {text}");
        }
        let seen = format!("{CALLERS} × {}", codes[0]);
        let ms = |time: Duration| format!("{} ms", time.as_millis());
        let after = if codes[0] == "ok" { "–".to_owned() } else { ms(after) };
        TABLE.print(fault, &[&seen, &requests.to_string(), &ms(longest), &after]);
    }
}

/// An endpoint that fails like this for each text, until it is mended.
async fn failing(replies: Vec<Option<Reply>>) -> (Endpoint, Arc<AtomicBool>) {
    let mended = Arc::new(AtomicBool::new(false));
    let well = Arc::clone(&mended);
    // A caller's request is known by its text; each caller meets the replies from the first.
    let counts: std::sync::Mutex<BTreeMap<String, usize>> = std::sync::Mutex::default();
    let endpoint = Endpoint::start(move |_, texts| {
        let mut counts = counts.lock().unwrap();
        let count = counts.entry(texts[0].clone()).or_insert(0);
        let reply = replies[(*count).min(replies.len() - 1)].clone().filter(|_| !well.load(Ordering::Relaxed));
        *count += 1;
        async move { reply.unwrap_or_else(|| right(&texts)) }.boxed()
    })
    .await;
    (endpoint, mended)
}

#[test]
fn the_page_has_the_rows_of_the_embedding_service() {
    TABLE.is_in(crate::FAULTS_PAGE);
}

/// Six hundred texts a minute: so many at once, then ten a second.
#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn callers_who_find_no_room_under_the_cap_lock_nobody_out() {
    let endpoint = Endpoint::start(|_, texts| async move { right(&texts) }.boxed()).await;
    let keys = "texts_per_minute_max = 600\ndeadline_ms = 3000";
    let bed = bed(vec![("capped", openai(&endpoint.url, keys))]).await;
    let embed = async |count: usize, of: String| bed.database.embed(&A, "capped", &texts(count, &of)).await;
    for turn in 0..10 {
        embed(60, format!("a minute's {turn}")).await.unwrap_or_else(|error| panic!("{}", error.for_log()));
    }
    let sent = || endpoint.asked().iter().map(|asked| asked.texts.len()).sum::<usize>();
    assert_eq!(sent(), 600);
    // Six seconds' worth each: refused, and nothing is sent.
    for turn in 0..20 {
        let refused = embed(60, format!("too many {turn}")).await;
        assert!(matches!(refused, Err(DbError::Timeout { code: "EMBEDDING_TIMEOUT" })), "{refused:?}");
    }
    // Two seconds' worth each, of callers who go away while they wait.
    for turn in 0..20 {
        let gone = tokio::time::timeout(Duration::ZERO, embed(20, format!("gone {turn}"))).await;
        assert!(gone.is_err(), "it waits for its turn");
    }
    assert_eq!(sent(), 600);
    embed(1, "after them".to_owned()).await.unwrap_or_else(|error| panic!("{}", error.for_log()));
    assert_eq!(sent(), 601);
}

/// `[embedders.<name>]` of the model in this process, if it is here.
fn local(keys: &str) -> Option<EmbedderConfig> {
    let Some(directory) = std::env::var_os("STOCKADE_MODEL_DIR").map(PathBuf::from) else {
        left_out("STOCKADE_MODEL_DIR names no folder with all-MiniLM-L6-v2");
        return None;
    };
    let table = format!("kind = 'candle'\nmodel = 'minilm'\ndirectory = '{}'\n{keys}", directory.display());
    Some(toml::from_str(&table).unwrap())
}

/// A host with an embedder and a collection of the model's dimension for each name.
async fn local_bed(embedders: Vec<(&str, EmbedderConfig)>) -> Bed {
    let mut bed = Bed::new().await;
    sqlx::raw_sql(
        "CREATE TABLE app.texts (id int PRIMARY KEY, e vector(384)); GRANT SELECT ON app.texts TO test_reader;
         INSERT INTO stockade.collections VALUES ('app.texts', 'e', 'minilm', 384, true)",
    )
    .execute(&bed.admin)
    .await
    .unwrap();
    bed.reconnect(|config| {
        config.shared_tables.push("app.texts".to_owned());
        for (name, embedder) in embedders {
            config.embedders.insert(name.to_owned(), embedder);
            let keys = "table = 'app.texts'\nkey = 'id'\nembedding = 'e'\ncolumns = ['id']\ndimension = 384";
            config.collections.insert(name.to_owned(), collection(&format!("{keys}\nembedder = '{name}'")));
        }
    })
    .await;
    bed
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_tenant_with_many_texts_delays_anothers_by_its_turn() {
    let Some(local) = local("concurrency_max = 1") else { return };
    let bed = local_bed(vec![("local", local)]).await;
    let texts = texts(64, "text");
    let (many, one) = texts.split_at(63);
    let mut many = pin!(bed.database.embed(&A, "local", many));
    assert!(poll!(&mut many).is_pending());
    let one = pin!(bed.database.embed(&B, "local", one));
    assert!(matches!(select(many, one).await, Either::Right((Ok(_), _))), "whoever came first had all");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn the_model_embeds_by_meaning_here_and_behind_an_endpoint() {
    let Some(local) = local("") else { return };
    let model = stockade_db::embedder(&local).unwrap();
    let endpoint = Endpoint::start(move |_, texts| {
        let model = Arc::clone(&model);
        async move { Reply::vectors(&model.embed(&texts).await.unwrap()) }.boxed()
    })
    .await;
    let mut remote = openai(&endpoint.url, "timeout_ms = 60000\ndeadline_ms = 60000");
    if let EmbedderConfig::OpenAi(config) = &mut remote {
        config.model = "minilm".to_owned();
    }
    let mut bed = local_bed(vec![("local", local), ("remote", remote)]).await;
    let texts = ["stop water leaking under the sink", "pipe sealing tape for plumbing", "a dress for the summer"]
        .map(str::to_owned);
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let local = bed.database.embed(&A, "local", &texts).await.unwrap_or_else(|error| panic!("{}", error.for_log()));
    assert!((dot(&local[0], &local[0]) - 1.0).abs() < 1e-4);
    assert!(dot(&local[0], &local[1]) > dot(&local[0], &local[2]) + 0.1);
    let remote = bed.database.embed(&A, "remote", &texts).await.unwrap_or_else(|error| panic!("{}", error.for_log()));
    assert!(local.iter().zip(&remote).all(|(local, remote)| dot(local, remote) > 0.9999));
    assert_eq!(endpoint.requests(), 1);
    // Padding beside a longer text changes nothing: this one is embedded alone, by another host.
    bed.reconnect(|_| {}).await;
    let alone = bed.database.embed(&A, "local", &texts[2..]).await.unwrap();
    assert!(dot(&alone[0], &local[2]) > 0.9999);
}
