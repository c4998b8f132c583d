//! The attack corpus, by every way to the server, with ever fewer walls in between.
//!
//! A way takes walls away; what remains must hold alone. Each test prints how many cases it tried.

mod bed;
mod canaries;
mod case;
mod generator;
mod host;
mod residue;
mod values;
mod wire;

use std::collections::BTreeMap;

use serde_json::json;
use stockade_db::Statement;
use stockade_tests::TestApp;
use tokio::sync::RwLock;

use bed::{Bed, STATEMENT_TIMEOUT_MS};
use case::{Case, Way, corpus};
use generator::Generator;
use host::{Wrapper, code, connect, session, shown};
use residue::{PROBE_GRANTS, Residue};
use wire::Wire;

/// What an administrator who is no superuser could not have revoked.
const MANAGED: &str = include_str!("attacks/managed.sql");

/// Steps that must fail elsewhere, and go well straight to a server where nothing could be revoked: fewer, and
/// that server would not be one.
const MANAGED_SUCCESSES_MIN: usize = 50;

/// Roles are the cluster's: whoever changes them is alone, and nobody looks meanwhile at what there is.
static CLUSTER: RwLock<()> = RwLock::const_new(());

/// A case by one way: what it ended with, and what is wrong with it.
#[derive(Default)]
struct Tried {
    outcome: String,
    wrong: Vec<String>,
}

impl Tried {
    /// What came back for a step must give away nothing but what is known.
    fn keeps(&mut self, bed: &Bed, bytes: &[u8], known: Option<&str>) {
        self.wrong.extend(bed.leak(bytes, known).map(|found| format!("gives away {found}")));
    }
}

/// Runs the corpus, and fails with all that was wrong, not with the first.
async fn all(version: u32, what: &str, way: Way, mut try_one: impl AsyncFnMut(&Case) -> Tried) {
    let straight_to_managed = matches!(way, Way::ManagedBlind | Way::ManagedSigned);
    let (mut wrong, mut succeeded) = (Vec::new(), 0);
    let cases = corpus(version);
    for (theme, case) in &cases {
        let (_alone, _beside_others) = if case.changes(way).is_empty() {
            (None, Some(CLUSTER.read().await))
        } else {
            (Some(CLUSTER.write().await), None)
        };
        let tried = try_one(case).await;
        let mut say = |text: &str| wrong.push(format!("{theme}/{}: {text}", case.name));
        tried.wrong.iter().for_each(|text| say(text));
        if straight_to_managed {
            succeeded += case.succeeded(way, &tried.outcome);
        } else if !case.accepts(way, &tried.outcome) {
            say(&format!("{way:?} ended with {:?}, expected {:?}", tried.outcome, case.expected(way)));
        }
    }
    println!("{} attacks {what}", cases.len());
    assert!(wrong.is_empty(), "{} wrong {what}:\n{}", wrong.len(), wrong.join("\n"));
    if straight_to_managed {
        println!("{succeeded} of their steps went well that must fail where rights can be revoked");
        assert!(succeeded >= MANAGED_SUCCESSES_MIN, "{succeeded} steps");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and the model: cargo xtask test"]
async fn through_a_session_of_the_host() {
    let bed = Bed::new().await;
    through_the_host(bed, "through a session of the host", Way::Host).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and the model: cargo xtask test"]
async fn through_a_session_where_nothing_could_be_revoked() {
    let mut bed = Bed::new().await;
    bed.change(MANAGED).await;
    through_the_host(bed, "through a session, on a server where nothing could be revoked", Way::Managed).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and the model: cargo xtask test"]
async fn by_the_hosts_protocol_without_its_guard() {
    let mut bed = Bed::new().await;
    bed.change(PROBE_GRANTS).await;
    around_the_host(bed, "by the host's protocol, without its guard", Way::Protocol).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and the model: cargo xtask test"]
async fn straight_as_the_reader_without_a_context() {
    let mut bed = Bed::new().await;
    bed.change(PROBE_GRANTS).await;
    around_the_host(bed, "straight as the reader role, without a context", Way::Blind).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and the model: cargo xtask test"]
async fn straight_as_the_reader_with_a_stores_context() {
    let mut bed = Bed::new().await;
    bed.change(PROBE_GRANTS).await;
    around_the_host(bed, "straight as the reader role, with one store's context", Way::Signed).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and the model: cargo xtask test"]
async fn straight_as_the_reader_without_a_context_where_nothing_could_be_revoked() {
    let mut bed = Bed::new().await;
    bed.change(MANAGED).await;
    let what = "straight, without a context, on a server where nothing could be revoked";
    around_the_host(bed, what, Way::ManagedBlind).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and the model: cargo xtask test"]
async fn straight_as_the_reader_with_a_stores_context_where_nothing_could_be_revoked() {
    let mut bed = Bed::new().await;
    bed.change(MANAGED).await;
    let what = "straight, with one store's context, on a server where nothing could be revoked";
    around_the_host(bed, what, Way::ManagedSigned).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn through_a_tool() {
    let app = TestApp::builder()
        .plugins(&["execute-sales-query"])
        .database(&format!("statement_timeout_ms = {STATEMENT_TIMEOUT_MS}"))
        .start()
        .await;
    let bed = Bed::over(app.database.clone()).await;
    let client = app.client(bed.attacker.key);
    let mut tried = 0;
    for (theme, case) in corpus(bed.version) {
        // A text that an agent could have sent: not the large ones, which a session has had already.
        let steps = bed.steps(&case);
        let [sql] = steps.as_slice() else { continue };
        if sql.len() > 4_000 {
            continue;
        }
        tried += 1;
        let reply = client.call("execute_sales_query", json!({"query": sql})).await;
        assert_eq!(bed.leak(reply.message.to_string().as_bytes(), None), None, "{theme}/{}", case.name);
        if !case.accepts(Way::Host, "ok") {
            assert_eq!(reply.message["result"]["isError"], true, "{theme}/{}: {}", case.name, reply.message);
        }
    }
    println!("{tried} attacks through the tool execute_sales_query");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and the model: cargo xtask test"]
async fn no_random_query_shows_another_stores_rows() {
    let count = number("STOCKADE_RANDOM_QUERIES", 3_000);
    let seed = number("STOCKADE_RANDOM_SEED", 20_261_123);
    let bed = Bed::new().await;
    let mut wire = Wire::connect(&bed.database.login_url).await;
    let mut generator = Generator::new(seed);
    let (mut outcomes, mut with_rows) = (BTreeMap::<String, u64>::new(), 0);
    for number in 0..count {
        let sql = generator.query();
        bed.begin(&mut wire, true).await;
        let said = wire.query(&sql).await;
        assert_eq!(bed.leak(&said.bytes, None), None, "seed {seed}, query {number}: {sql}");
        *outcomes.entry(said.outcome()).or_default() += 1;
        with_rows += u64::from(!said.rows.is_empty());
        wire.query("COMMIT").await;
    }
    println!("{count} random queries of seed {seed}: {with_rows} gave rows; they ended with {outcomes:?}");
    // A grammar that makes little but errors and empty results would show nothing.
    assert!(with_rows * 10 > count, "{with_rows} of {count} queries gave rows");
}

fn number(variable: &str, default: u64) -> u64 {
    let Ok(text) = std::env::var(variable) else { return default };
    text.parse().unwrap_or_else(|_| panic!("{variable}: expected a number, found {text:?}"))
}

async fn through_the_host(mut bed: Bed, what: &str, way: Way) {
    let database = connect(&bed, way.is_managed()).await;
    all(bed.version, what, way, async |case: &Case| {
        let session = session(&bed, &database);
        let mut tried = Tried::default();
        let mut words = Vec::new();
        for text in bed.steps(case) {
            let result = session.query(Statement { text, parameters: Vec::new() }, 10_000).await;
            let (word, output) = match &result {
                Ok(result) => ("ok".to_owned(), shown(result)),
                Err(error) => (code(error), error.to_string().into_bytes()),
            };
            words.push(word);
            tried.keeps(&bed, &output, None);
        }
        tried.outcome = words.join(" ");
        tried.wrong.extend(bed.settle("", "").await.err());
        tried
    })
    .await;
    database.close().await;
}

async fn around_the_host(mut bed: Bed, what: &str, way: Way) {
    let wrapper = if way == Way::Protocol { Some(Wrapper::of_the_host(&mut bed).await) } else { None };
    let url = bed.database.login_url.clone();
    let mut wire = Wire::connect(&url).await;
    let clean = Residue::before(&mut wire).await;
    all(bed.version, what, way, async |case: &Case| {
        let mut tried = match &wrapper {
            Some(wrapper) => by_cursor(&bed, &mut wire, case, wrapper).await,
            None => straight(&bed, &mut wire, case, way).await,
        };
        let left = if wire.ended { String::new() } else { clean.left(&mut wire).await };
        let expected = if wrapper.is_some() { "" } else { case.residue.as_str() };
        // Where nothing could be revoked, a plain connection keeps more; the cursor alone is against that.
        if left != expected && !way.is_managed() {
            tried.wrong.push(format!("leaves {left:?} on the connection, expected {expected:?}"));
        }
        if wire.ended || !left.is_empty() {
            wire = Wire::connect(&url).await;
        }
        tried.wrong.extend(bed.next_borrower(&mut wire).await.err());
        let changes = if wrapper.is_some() { "" } else { case.changes(way) };
        tried.wrong.extend(bed.settle(changes, &case.undo).await.err());
        tried
    })
    .await;
}

/// Each step as a message of the simple protocol, in a transaction that is the attacker's to end.
async fn straight(bed: &Bed, wire: &mut Wire, case: &Case, way: Way) -> Tried {
    let contexts = bed.begin(wire, way.is_signed()).await;
    let known = case.managed_tells.as_deref().filter(|_| way.is_managed());
    let mut tried = Tried::default();
    let (mut words, mut last, mut told) = (Vec::new(), None, known.is_none());
    for step in bed.steps(case) {
        let said = wire.query(&contexts.fill(&step)).await;
        words.push(said.outcome());
        tried.keeps(bed, &said.bytes, known);
        told |= known.is_some_and(|known| memchr::memmem::find(&said.bytes, known.as_bytes()).is_some());
        last = said.last().map(str::to_owned);
    }
    if !told {
        tried.wrong.push(format!("does not tell {known:?}"));
    }
    if case.gives.is_some() && last != case.gives && !way.is_managed() {
        tried.wrong.push(format!("gives {last:?}, expected {:?}", case.gives));
    }
    wire.query("COMMIT").await;
    tried.outcome = words.join(" ");
    tried
}

/// Each step through a cursor, in a transaction of its own, as the host sends it.
async fn by_cursor(bed: &Bed, wire: &mut Wire, case: &Case, wrapper: &Wrapper) -> Tried {
    let mut tried = Tried::default();
    let mut words = Vec::new();
    for step in bed.steps(case) {
        bed.begin(wire, true).await;
        let mut said = wire.execute(&wrapper.around(&step)).await;
        if said.sqlstate.is_none() {
            tried.keeps(bed, &said.bytes, None);
            said = wire.query(&wrapper.fetch()).await;
        }
        words.push(said.outcome());
        tried.keeps(bed, &said.bytes, None);
        // The end itself can fail: cleaning up may still have temporary files to write. The host closes
        // such a connection (`Lease`), and so nobody borrows it.
        wire.ended |= wire.query("COMMIT").await.sqlstate.is_some();
    }
    tried.outcome = words.join(" ");
    tried
}
