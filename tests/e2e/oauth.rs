//! Tokens of an issuer, down to the rows: the claims decide what is seen, and the token goes nowhere.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sqlx::Executor as _;
use stockade_tests::{Client, TestApp};

const ISSUER: &str = "https://id.example.com";
const RESOURCE: &str = "https://mcp.example.com/mcp";

/// An issuer whose keys stand in a file.
struct Issuer {
    pair: EcdsaKeyPair,
    folder: tempfile::TempDir,
}

impl Issuer {
    fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        let key = json!({ "kty": "EC", "crv": "P-256", "kid": "k", "x": x, "y": y });
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("keys.json"), json!({ "keys": [key] }).to_string()).expect("a file");
        Self { pair, folder }
    }

    /// The sections that trust it, with the reference application's roles.
    fn sections(&self) -> String {
        format!(
            "[oauth]\nresource = '{RESOURCE}'\n\
             [oauth.issuers.id]\nissuer = '{ISSUER}'\njwks_file = '{}'\ntenant_claim = '/org'\ntenants = {{ o1 = '{}' }}\n\
             [oauth.issuers.id.roles]\n\
             Head = {{ role = 'head_office', reader_role = 'zava_office_reader' }}\n\
             Region = {{ role = 'regional_manager', reader_role = 'zava_region_reader' }}\n\
             Manager = {{ role = 'store_manager', reader_role = 'zava_store_reader' }}\n",
            self.folder.path().join("keys.json").display(),
            zava_retail::TENANT,
        )
    }

    fn token(&self, principal: &str, role: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        self.sign(&json!({
            "iss": ISSUER, "aud": RESOURCE, "exp": now + 300, "sub": principal, "org": "o1", "roles": [role],
        }))
    }

    fn sign(&self, claims: &Value) -> String {
        let header = json!({ "alg": "ES256", "kid": "k" });
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let message = format!("{}.{}", encode(&header), encode(claims));
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes()).expect("a signature");
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

async fn orders_by_store(client: &Client) -> Value {
    let query = "SELECT store_id::text, count(*) AS n FROM retail.orders GROUP BY 1 ORDER BY 1";
    client.call("execute_sales_query", json!({"query": query})).await.structured()["rows"].clone()
}

fn token_role(role: &str) -> &'static str {
    match role {
        "head_office" => "Head",
        "regional_manager" => "Region",
        _ => "Manager",
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn claims_lead_to_the_rows_of_their_principal_and_to_no_others() {
    let issuer = Issuer::new();
    let app = TestApp::builder().plugins(&["execute-sales-query"]).sections(&issuer.sections()).start().await;
    let callers = zava_retail::demo_callers();
    for caller in &callers {
        let principal = caller.principal.to_string();
        let own = app.client_with(Some(&issuer.token(&principal, token_role(caller.roles[0]))));
        let with_our_token = orders_by_store(&app.client(caller.key)).await;
        assert_eq!(orders_by_store(&own).await, with_our_token, "{}", caller.key);
        for role in ["Head", "Region", "Manager"].into_iter().filter(|role| *role != token_role(caller.roles[0])) {
            let other = app.client_with(Some(&issuer.token(&principal, role)));
            assert_eq!(orders_by_store(&other).await, json!([]), "{} as {role}", caller.key);
        }
    }
    let stranger = app.client_with(Some(&issuer.token("00000000-0000-4000-8000-000000000000", "Head")));
    assert_eq!(orders_by_store(&stranger).await, json!([]), "a principal that the application does not know");
    let unmapped = app.client_with(Some(&issuer.token(&callers[0].principal.to_string(), "head_office")));
    assert_eq!(unmapped.request("tools/list", json!({})).send().await.unwrap().status(), 401);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn no_token_reaches_the_database() {
    let issuer = Issuer::new();
    let app = TestApp::builder().plugins(&["execute-sales-query"]).sections(&issuer.sections()).start().await;
    let mut admin = app.database.admin().await;
    admin
        .execute(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET log_statement = ''all''', current_database()); END $$",
        )
        .await
        .unwrap();
    // Connections that were open before do not log.
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'stockade_login' AND datname = current_database()";
    admin.execute(end).await.unwrap();
    let token = issuer.token(&zava_retail::demo_callers()[0].principal.to_string(), "Head");
    let (client, ours) = (app.client_with(Some(&token)), app.client("head-office"));
    let query =
        json!({"query": "SELECT count(*) AS a_mark_in_the_log FROM retail.orders AS a CROSS JOIN retail.stores"});
    let calls =
        (0..12).map(|n| if n % 2 == 0 { &client } else { &ours }).map(|c| c.call("execute_sales_query", query.clone()));
    for reply in futures::future::join_all(calls).await {
        reply.structured();
    }
    let folder: String = sqlx::query_scalar("SHOW data_directory").fetch_one(&mut admin).await.unwrap();
    let log = log_beside(std::path::Path::new(&folder));
    assert!(log.contains("a_mark_in_the_log"), "statements are in the log");
    let ours = app.token("head-office");
    for part in token.split('.').chain([ours.as_str()]) {
        assert!(!log.contains(part), "{part}");
    }
    app.stop().await;
}

/// The text of all logs in the data directory's folder and in itself.
fn log_beside(data: &std::path::Path) -> String {
    let folders = [data, data.parent().expect("a parent")];
    let entries = folders.into_iter().flat_map(|folder| std::fs::read_dir(folder).expect("a folder"));
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let logs = paths.filter(|path| path.is_file() && path.to_string_lossy().contains("log"));
    logs.map(|path| String::from_utf8_lossy(&std::fs::read(path).expect("a log")).into_owned()).collect()
}
