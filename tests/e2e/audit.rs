//! Every call and every administrative act is on record, and the serving login cannot take it back.

use std::{fs, time::Duration};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};
use stockade_tests::{TestApp, TestDatabase, packed};

/// The records of one kind, oldest first, as JSON.
async fn records(database: &TestDatabase, kind: &str) -> Vec<Value> {
    let rows = sqlx::query(
        "SELECT to_jsonb(a)::text FROM stockade.audit_log AS a WHERE kind = $1 ORDER BY happened_at, recorded_at",
    )
    .bind(kind)
    .fetch_all(&mut database.admin().await)
    .await
    .unwrap();
    rows.iter().map(|row| serde_json::from_str(row.get(0)).unwrap()).collect()
}

async fn as_administrator(database: &TestDatabase, sql: &'static str) {
    sqlx::raw_sql(sql).execute(&mut database.admin().await).await.unwrap();
}

/// Wait until the table holds as many records of calls.
async fn until_calls(database: &TestDatabase, count: usize) -> Vec<Value> {
    let wait = async {
        loop {
            let found = records(database, "call").await;
            if found.len() >= count {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect("the records are written")
}

/// Wait until an act is on record.
async fn until_act(database: &TestDatabase, outcome: &str) {
    let wait = async {
        while !records(database, "act").await.iter().any(|act| act["outcome"] == outcome) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect("the act is recorded");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn every_call_is_recorded_with_who_what_and_what_came_of_it() {
    let app = TestApp::builder().plugins(&["execute-sales-query", "noop"]).start().await;
    let database = app.database.clone();
    let client = app.client("seattle-store");
    let query = json!({"query": "SELECT order_id FROM retail.orders LIMIT 7"});
    client.call("execute_sales_query", query).await.structured();
    client.call("no_such_tool", json!({})).await;
    client.call("noop", json!({"unexpected": "a secret"})).await.error();
    client.call("execute_sales_query", json!({"query": "DELETE FROM retail.orders"})).await.error();
    for _ in 0..50 {
        app.client_with(Some("wrong")).request("tools/list", json!({})).send().await.unwrap();
    }
    app.stop().await;

    let calls = records(&database, "call").await;
    let ends: Vec<_> = calls.iter().map(|call| (&call["decision"], &call["outcome"])).collect();
    let expected = [
        ("allowed", "DONE"),
        ("refused", "UNKNOWN_TOOL"),
        ("refused", "INVALID_ARGUMENTS"),
        ("allowed", "VALIDATION_ERROR"),
    ]
    .map(|(decision, outcome)| (json!(decision), json!(outcome)));
    assert_eq!(ends, expected.iter().map(|(decision, outcome)| (decision, outcome)).collect::<Vec<_>>());

    let principal = zava_retail::demo_callers().into_iter().find(|caller| caller.key == "seattle-store").unwrap();
    let digest = hex::encode(Sha256::digest(fs::read(packed("execute-sales-query")).unwrap()));
    let first = &calls[0];
    for (field, value) in [
        ("caller", json!("seattle-store")),
        ("principal", json!(principal.principal.to_string())),
        ("tool", json!("execute_sales_query")),
        ("plugin_digest", json!(digest)),
        ("row_count", json!(7)),
        ("arguments", Value::Null),
        ("recorded_by", json!("stockade_login")),
    ] {
        assert_eq!(first[field], value, "{field}");
    }
    assert!(first["duration_us"].as_i64().unwrap() > 0 && first["arguments_hash"].is_string());
    assert!(calls.iter().all(|call| !call.to_string().contains("a secret")), "arguments are hashed alone");
    assert_eq!(calls[1]["plugin"], Value::Null);

    let refusals = records(&database, "refusals").await;
    let found: Vec<_> = refusals.iter().map(|r| (&r["outcome"], &r["occurrences"])).collect();
    assert_eq!(found, [(&json!("UNAUTHENTICATED"), &json!(50))], "a flood is one record");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn what_was_refused_before_it_was_a_call_says_whose_it_was() {
    let keys = tempfile::NamedTempFile::new().unwrap();
    fs::write(keys.path(), json!({"keys": []}).to_string()).unwrap();
    let sections = format!(
        "[oauth]\nresource = 'https://mcp.example.com/mcp'\ntool_scopes = {{ noop = ['tools:noop'] }}\n\
         [oauth.issuers.id]\nissuer = 'https://id.example.com'\njwks_file = '{}'\ntenant = '{tenant}'\n\
         [oauth.issuers.id.roles.Head]\nreader_role = 'zava_office_reader'\n\
         [tenants.{tenant}]\ncalls_per_minute_max = 1",
        keys.path().display(),
        tenant = zava_retail::TENANT,
    );
    let app = TestApp::builder().plugins(&["noop", "get-current-utc-date"]).sections(&sections).start().await;
    let database = app.database.clone();
    let client = app.client("head-office");
    for _ in 0..3 {
        let call = client.request("tools/call", json!({"name": "noop", "arguments": {}}));
        assert_eq!(call.send().await.unwrap().status(), reqwest::StatusCode::FORBIDDEN);
    }
    client.call("get_current_utc_date", json!({})).await.structured();
    for _ in 0..2 {
        client.call("get_current_utc_date", json!({})).await.error();
    }
    app.stop().await;
    let mut refusals = records(&database, "refusals").await;
    refusals.sort_by_key(|record| record["outcome"].to_string());
    let found: Vec<_> = refusals
        .iter()
        .map(|record| ["outcome", "tenant", "caller", "tool", "occurrences"].map(|field| record[field].clone()))
        .collect();
    let of_office =
        |outcome, tool, count| [json!(outcome), json!(zava_retail::TENANT), json!("head-office"), tool, json!(count)];
    let expected =
        [of_office("CALLS_PER_MINUTE_MAX", Value::Null, 2), of_office("INSUFFICIENT_SCOPE", json!("noop"), 3)];
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn a_call_whose_client_left_is_recorded_as_cancelled() {
    let app = TestApp::builder().plugins(&["execute-sales-query"]).start().await;
    let client = app.client("head-office");
    let endless = json!({"query": "SELECT count(*) AS n FROM generate_series(1, 100000000000) AS s(i)"});
    let call = tokio::spawn(async move { client.call("execute_sales_query", endless).await });
    let mut admin = app.database.admin().await;
    let wait = async {
        loop {
            let running: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND usename = 'stockade_login' AND state = 'active' AND query LIKE 'FETCH%'",
            )
            .fetch_one(&mut admin)
            .await
            .unwrap();
            if running > 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect("the query runs");
    call.abort();
    let calls = until_calls(&app.database, 1).await;
    assert_eq!((&calls[0]["decision"], &calls[0]["outcome"]), (&json!("allowed"), &json!("CANCELLED")));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn the_serving_login_can_add_and_nothing_else_and_readers_not_even_that() {
    let app = TestApp::builder().plugins(&["execute-sales-query", "noop"]).start().await;
    app.client("head-office").call("noop", json!({})).await.structured();
    until_calls(&app.database, 1).await;
    const INSERT: &str = "INSERT INTO stockade.audit_log (id, happened_at, kind, decision, outcome, occurrences)
        VALUES (gen_random_uuid(), now(), 'call', 'allowed', 'DONE', 1)";
    let forbidden = [
        "SELECT * FROM stockade.audit_log",
        "SELECT count(*) FROM stockade.audit_log",
        "TABLE stockade.audit_log",
        "UPDATE stockade.audit_log SET outcome = 'DONE'",
        "DELETE FROM stockade.audit_log",
        "TRUNCATE stockade.audit_log",
        "INSERT INTO stockade.audit_log (id, happened_at, kind, decision, outcome, occurrences)
            VALUES (gen_random_uuid(), now(), 'call', 'allowed', 'DONE', 1) RETURNING outcome",
        "INSERT INTO stockade.audit_log (id, happened_at, recorded_at, kind, decision, outcome, occurrences)
            VALUES (gen_random_uuid(), now(), '2001-01-01', 'call', 'allowed', 'DONE', 1)",
        "INSERT INTO stockade.audit_log (id, happened_at, recorded_by, kind, decision, outcome, occurrences)
            VALUES (gen_random_uuid(), now(), 'somebody', 'call', 'allowed', 'DONE', 1)",
        "INSERT INTO stockade.audit_log (id, happened_at, kind, decision, outcome, occurrences)
            VALUES (gen_random_uuid(), now(), 'call', 'allowed', 'DONE', 1) ON CONFLICT (id) DO UPDATE SET outcome = 'X'",
        "MERGE INTO stockade.audit_log AS a USING (SELECT 1) AS x ON true WHEN MATCHED THEN DELETE",
        "COPY stockade.audit_log TO STDOUT",
        "ALTER TABLE stockade.audit_log DROP COLUMN outcome",
        "ALTER TABLE stockade.audit_log RENAME TO gone",
        "DROP TABLE stockade.audit_log",
        "CREATE RULE quiet AS ON INSERT TO stockade.audit_log DO INSTEAD NOTHING",
        "CREATE TRIGGER quiet BEFORE INSERT ON stockade.audit_log EXECUTE FUNCTION stockade.claims()",
        "GRANT ALL ON stockade.audit_log TO PUBLIC",
        "LOCK TABLE stockade.audit_log IN ACCESS EXCLUSIVE MODE",
        "SET ROLE stockade_owner",
    ];
    let mut login = PgConnection::connect(&app.database.login_url).await.unwrap();
    let denied = async |connection: &mut PgConnection, sql: &'static str| {
        let text = AssertSqlSafe(format!("BEGIN READ WRITE; {sql}"));
        let error = sqlx::raw_sql(text).execute(&mut *connection).await.expect_err(sql);
        let code = error.as_database_error().and_then(|e| e.code().map(|code| code.into_owned()));
        assert_eq!(code.as_deref(), Some("42501"), "{sql}: {error}");
        sqlx::raw_sql("ROLLBACK").execute(connection).await.unwrap();
    };
    for sql in forbidden {
        denied(&mut login, sql).await;
    }
    // The same connection may add, so what failed did not fail for another reason.
    let mut transaction = login.begin_with("BEGIN READ WRITE").await.unwrap();
    sqlx::raw_sql(INSERT).execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
    for role in zava_retail::READER_ROLES {
        sqlx::raw_sql(AssertSqlSafe(format!("SET ROLE {role}"))).execute(&mut login).await.unwrap();
        denied(&mut login, INSERT).await;
        for sql in &forbidden[..6] {
            denied(&mut login, sql).await;
        }
        sqlx::raw_sql("RESET ROLE").execute(&mut login).await.unwrap();
    }
    for (query, words) in [("SELECT * FROM stockade.audit_log", "AUTHORIZATION_ERROR"), (INSERT, "VALIDATION_ERROR")] {
        let reply = app.client("head-office").call("execute_sales_query", json!({"query": query})).await;
        assert!(reply.error().starts_with(words), "{query}: {}", reply.error());
    }
    // A login that could rewrite the log is not served from.
    as_administrator(&app.database, "GRANT UPDATE (outcome) ON stockade.audit_log TO stockade_login").await;
    let config = stockade_server::config::Config::load(&app.configuration_file()).unwrap();
    let error = stockade_server::App::start(config).await.err().expect("a refusal").to_string();
    assert!(error.contains("role stockade_login may UPDATE stockade.audit_log"), "{error}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn while_the_table_cannot_be_written_the_file_goes_on_and_nothing_is_lost() {
    let app = TestApp::builder().plugins(&["noop"]).sections("[audit]\nfile = 'audit.jsonl'").start().await;
    let database = app.database.clone();
    let file = app.configuration_file().with_file_name("audit.jsonl");
    let client = app.client("head-office");
    as_administrator(&database, "REVOKE INSERT (id) ON stockade.audit_log FROM stockade_login").await;
    for _ in 0..5 {
        client.call("noop", json!({})).await.structured();
    }
    let wait = async {
        while fs::read_to_string(&file).unwrap_or_default().matches("\"kind\":\"call\"").count() < 5 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect("the file gets the records");
    assert_eq!(records(&database, "call").await.len(), 0);
    as_administrator(&database, "GRANT INSERT (id) ON stockade.audit_log TO stockade_login").await;
    until_calls(&database, 5).await;
    let text = fs::read_to_string(&file).unwrap();
    app.stop().await;
    let ids = |lines: Vec<Value>| {
        let mut ids: Vec<_> = lines.into_iter().filter(|l| l["kind"] == "call").map(|l| l["id"].to_string()).collect();
        ids.sort();
        ids
    };
    let in_file = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(ids(in_file), ids(records(&database, "call").await), "each record is in both, once");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn where_a_record_is_required_no_result_leaves_without_one() {
    let app = TestApp::builder().plugins(&["noop"]).sections("[audit]\nrequired = true").start().await;
    let client = app.client("head-office");
    client.call("noop", json!({})).await.structured();
    assert_eq!(records(&app.database, "call").await.len(), 1, "the record is there before the result");
    as_administrator(&app.database, "REVOKE INSERT (id) ON stockade.audit_log FROM stockade_login").await;
    for _ in 0..3 {
        let reply = client.call("noop", json!({})).await;
        assert!(reply.error().starts_with("MCP_ERROR"), "{}", reply.error());
    }
    as_administrator(&app.database, "GRANT INSERT (id) ON stockade.audit_log TO stockade_login").await;
    let wait = async {
        while client.call("noop", json!({})).await.message["result"]["isError"] == json!(true) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect("calls begin again");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn every_administrative_act_is_recorded() {
    let app = TestApp::builder().plugins(&["noop"]).start().await;
    let database = app.database.clone();
    let place = |name: &str, bytes: &[u8]| {
        let partial = app.plugins().join("partial");
        fs::write(&partial, bytes).unwrap();
        fs::rename(partial, app.plugins().join(name)).unwrap();
    };
    place("date.wasm", &fs::read(packed("get-current-utc-date")).unwrap());
    app.until_tools(|tools| tools.len() == 2).await;
    place("date.wasm", &fs::read(packed("top-products")).unwrap());
    app.until_tools(|tools| tools == ["noop", "top_products"]).await;
    let grants = fs::read_to_string(app.grants_file()).unwrap();
    // A wrong file changes nothing, and is on record once for each thing that is wrong, however often it is read.
    app.write_grants(format!("{grants}\n[noop]\nsqls = {{}}"));
    until_act(&database, "GRANTS_REFUSED").await;
    place("other.wasm", b"no plugin");
    until_act(&database, "PLUGIN_REFUSED").await;
    fs::remove_file(app.plugins().join("other.wasm")).unwrap();
    app.write_grants(grants.replace("[top-products]", "[others]"));
    app.until_tools(|tools| tools == ["noop"]).await;
    app.stop().await;

    let acts = records(&database, "act").await;
    let found: Vec<_> = acts.iter().map(|act| act["outcome"].as_str().unwrap()).collect();
    let expected = [
        "SETUP_APPLIED",
        "HOST_STARTED",
        "GRANTS_CHANGED",
        "PLUGIN_LOADED",
        "PLUGIN_LOADED",
        "PLUGIN_LOADED",
        "PLUGIN_REMOVED",
        "GRANTS_REFUSED",
        "PLUGIN_REFUSED",
        "GRANTS_CHANGED",
        "PLUGIN_REMOVED",
        "PLUGIN_REFUSED",
        "HOST_STOPPED",
    ];
    // A database that is cloned from the template has the template's set-up on record too.
    let own = found.iter().rposition(|outcome| *outcome == "SETUP_APPLIED").unwrap();
    assert_eq!(found[own..], expected, "{acts:#?}");
    let setup = &acts[own];
    assert_eq!(setup["principal"], "postgres", "who administered");
    assert!(setup["detail"].as_str().unwrap().contains("signing key k-"), "{setup}");
    let refused = &acts[acts.len() - 2];
    assert!(refused["detail"].as_str().unwrap().contains("not granted"), "{refused}");
    assert_eq!(refused["decision"], "refused");
    let grants = acts.iter().find(|act| act["outcome"] == "GRANTS_REFUSED").unwrap();
    assert_eq!(grants["decision"], "refused");
    assert!(grants["detail"].as_str().unwrap().contains("unknown field `sqls`"), "{grants}");
}
