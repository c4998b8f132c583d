//! The attack corpus, by every way to the server, with ever fewer walls in between.
//!
//! A way takes walls away; what remains must hold alone. Each test prints how many cases it tried.

mod bed;
mod case;
mod generator;
mod residue;
mod wire;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::json;
use stockade_db::{Database, DatabaseConfig, DbError, Identity, Session, SessionLimits, SqlScope, Statement};
use stockade_tests::TestApp;
use tokio::time::Instant;

use bed::{Bed, STATEMENT_TIMEOUT_MS};
use case::{Case, Way, corpus};
use generator::Generator;
use residue::{PROBE_GRANTS, Residue};
use wire::Wire;

/// What an administrator who is no superuser could not have revoked.
const MANAGED: &str = include_str!("attacks/managed.sql");

/// A case by one way: what it ended with, and what is wrong with it.
struct Tried {
    outcome: String,
    wrong: Vec<String>,
}

/// Runs the corpus, and fails with all that was wrong, not with the first.
async fn all(what: &str, way: Way, mut try_one: impl AsyncFnMut(&Case) -> Tried) {
    let mut wrong = Vec::new();
    let cases = corpus();
    for (theme, case) in &cases {
        let tried = try_one(case).await;
        let mut say = |text: &str| wrong.push(format!("{theme}/{}: {text}", case.name));
        tried.wrong.iter().for_each(|text| say(text));
        if !case.accepts(way, &tried.outcome) {
            say(&format!("{way:?} ended with {:?}, expected {:?}", tried.outcome, case.expected(way)));
        }
    }
    println!("{} attacks {what}", cases.len());
    assert!(wrong.is_empty(), "{} wrong {what}:\n{}", wrong.len(), wrong.join("\n"));
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
    for (theme, case) in corpus() {
        // A text that an agent could have sent: not the large ones, which a session has had already.
        let steps = case.steps();
        let [sql] = steps.as_slice() else { continue };
        if sql.len() > 4_000 {
            continue;
        }
        tried += 1;
        let reply = client.call("execute_sales_query", json!({"query": sql})).await;
        assert_eq!(bed.leak(reply.message.to_string().as_bytes()), None, "{theme}/{}", case.name);
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
        assert_eq!(bed.leak(&said.bytes), None, "seed {seed}, query {number}: {sql}");
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
    let mut configuration = configuration(&bed);
    configuration.accept_unrevoked = way == Way::Managed;
    let database = Database::connect(&configuration).await.unwrap_or_else(|error| panic!("{}", error.for_log()));
    all(what, way, async |case: &Case| {
        let session = session(&bed, &database);
        let mut tried = Tried { outcome: String::new(), wrong: Vec::new() };
        let mut words = Vec::new();
        for text in case.steps() {
            let result = session.query(Statement { text, parameters: Vec::new() }, 10_000).await;
            let (word, output) = match &result {
                Ok(result) => ("ok".to_owned(), shown(result)),
                Err(error) => (code(error), error.to_string().into_bytes()),
            };
            words.push(word);
            tried.wrong.extend(bed.leak(&output).map(|found| format!("gives away {found}")));
        }
        tried.outcome = words.join(" ");
        tried.wrong.extend(bed.unharmed().await.err());
        tried
    })
    .await;
    database.close().await;
}

async fn around_the_host(mut bed: Bed, what: &str, way: Way) {
    let url = bed.database.login_url.clone();
    let mut wire = Wire::connect(&url).await;
    let clean = Residue::before(&mut wire).await;
    all(what, way, async |case: &Case| {
        let mut tried = match way {
            Way::Protocol => by_cursor(&bed, &mut wire, case).await,
            _ => straight(&bed, &mut wire, case, way == Way::Signed).await,
        };
        let expected = if way == Way::Protocol { "" } else { case.residue.as_str() };
        let left = if wire.ended { String::new() } else { clean.left(&mut wire).await };
        if left != expected {
            tried.wrong.push(format!("leaves {left:?} on the connection, expected {expected:?}"));
        }
        if wire.ended || !left.is_empty() {
            wire = Wire::connect(&url).await;
        } else {
            tried.wrong.extend(bed.next_borrower(&mut wire).await.err());
        }
        tried.wrong.extend(bed.unharmed().await.err());
        tried
    })
    .await;
}

/// Each step as a message of the simple protocol, in a transaction that is the attacker's to end.
async fn straight(bed: &Bed, wire: &mut Wire, case: &Case, signed: bool) -> Tried {
    let contexts = bed.begin(wire, signed).await;
    let mut tried = Tried { outcome: String::new(), wrong: Vec::new() };
    let mut words = Vec::new();
    let mut last = None;
    for step in case.steps() {
        let said = wire.query(&contexts.fill(&step)).await;
        words.push(said.outcome());
        tried.wrong.extend(bed.leak(&said.bytes).map(|found| format!("gives away {found}")));
        last = said.last().map(str::to_owned);
    }
    if case.gives.is_some() && last != case.gives {
        tried.wrong.push(format!("gives {last:?}, expected {:?}", case.gives));
    }
    wire.query("COMMIT").await;
    tried.outcome = words.join(" ");
    tried
}

/// Each step through a cursor, in a transaction of its own, as the host sends it.
async fn by_cursor(bed: &Bed, wire: &mut Wire, case: &Case) -> Tried {
    let mut tried = Tried { outcome: String::new(), wrong: Vec::new() };
    let mut words = Vec::new();
    for step in case.steps() {
        bed.begin(wire, true).await;
        let mut said = wire.execute(&format!("DECLARE c NO SCROLL CURSOR FOR {step}")).await;
        if said.sqlstate.is_none() {
            tried.wrong.extend(bed.leak(&said.bytes).map(|found| format!("gives away {found}")));
            said = wire.query("FETCH FORWARD 10001 FROM c").await;
        }
        words.push(said.outcome());
        tried.wrong.extend(bed.leak(&said.bytes).map(|found| format!("gives away {found}")));
        // The end itself can fail: cleaning up may still have temporary files to write. The host closes
        // such a connection (`Lease`), and so nobody borrows it.
        wire.ended |= wire.query("COMMIT").await.sqlstate.is_some();
    }
    tried.outcome = words.join(" ");
    tried
}

fn configuration(bed: &Bed) -> DatabaseConfig {
    let readers = zava_retail::READER_ROLES.map(|role| format!("\"{role}\"")).join(", ");
    toml::from_str(&format!(
        "url = {:?}\nreader_roles = [{readers}]\nsearch_path = [\"retail\", \"public\"]\ncontext_key_file = {:?}\n\
         statement_timeout_ms = {STATEMENT_TIMEOUT_MS}\n",
        bed.database.login_url, bed.database.context_key_file
    ))
    .expect("a configuration")
}

fn session(bed: &Bed, database: &Database) -> Session {
    let identity = Identity {
        tenant: zava_retail::TENANT.parse().expect("a tenant"),
        principal: bed.attacker.principal.to_string().parse().expect("a principal"),
        roles: bed.attacker.roles.iter().map(ToString::to_string).collect(),
        reader_role: bed.attacker.reader_role.parse().expect("a role"),
    };
    // The catalogue is granted, as the tool that describes tables has it.
    let limits = SessionLimits {
        rows_max: 10_000,
        bytes_max: 8 * 1024 * 1024,
        deadline: Instant::now() + Duration::from_secs(30),
        sql: Arc::new(SqlScope { schemas: ["retail", "pg_catalog"].map(str::to_owned).into(), ..SqlScope::default() }),
        collections: Arc::default(),
        cache: Default::default(),
    };
    database.session(identity, limits)
}

/// Every value of a result, as bytes to search.
fn shown(result: &stockade_db::ResultSet) -> Vec<u8> {
    let mut bytes = Vec::new();
    for column in &result.columns {
        bytes.extend_from_slice(column.name.as_bytes());
        match &column.values {
            stockade_db::ColumnValues::Texts(packed) | stockade_db::ColumnValues::Bytes(packed) => {
                bytes.extend_from_slice(&packed.data);
            }
            numbers => bytes.extend_from_slice(format!("{numbers:?}").as_bytes()),
        }
    }
    bytes
}

fn code(error: &DbError) -> String {
    match error {
        DbError::Rejected { code, .. } | DbError::Forbidden { code, .. } | DbError::Timeout { code } => {
            (*code).to_owned()
        }
        DbError::Statement { sqlstate, .. } => sqlstate.clone(),
        DbError::Unavailable(_) | DbError::Outage(_) | DbError::Internal(_) => error.for_log(),
    }
}
