//! The signed context: believed where it was made, and nowhere else.
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use stockade_db::{ColumnValues, Database, DbError};

use crate::bed::{Bed, identity, secret_url, setup_config, sql, url};
use crate::pooler::{Pooled, stranger};

async fn count(bed: &Bed, tenant: &str) -> i64 {
    let result = bed.session(tenant).query(sql("SELECT count(*) FROM app.notes"), 1).await.unwrap();
    let ColumnValues::Integers(values) = &result.columns[0].values else { panic!("{result:?}") };
    values[0]
}

/// What `stockade.claims()` says in a transaction that carries `context`, at some backend.
async fn claims(connection: &mut PgConnection, context: &str, begin: bool) -> Option<String> {
    if begin {
        sqlx::raw_sql("BEGIN READ ONLY").execute(&mut *connection).await.unwrap();
    }
    let set = format!("SET LOCAL stockade.context = '{context}'; SET LOCAL ROLE test_reader");
    sqlx::raw_sql(AssertSqlSafe(set)).execute(&mut *connection).await.unwrap();
    let row = sqlx::query("SELECT stockade.claims() ->> 'tenant'")
        .persistent(false)
        .fetch_one(&mut *connection)
        .await
        .expect("never an error");
    sqlx::raw_sql("RESET ROLE").execute(&mut *connection).await.unwrap();
    row.get(0)
}

/// Signs as the host does, from the pads in the database: what only the owner can do.
async fn sign(bed: &Bed, payload: &str) -> String {
    sqlx::query_scalar(
        "WITH signed AS (SELECT 'v1.' || key_id || '.' || rtrim(translate(replace(encode(convert_to($1, 'UTF8'), 'base64'), E'\\n', ''), '+/', '-_'), '=') AS text, inner_pad, outer_pad FROM stockade.context_keys)
         SELECT text || '.' || encode(sha256(outer_pad || sha256(inner_pad || convert_to(text, 'UTF8'))), 'hex') FROM signed",
    )
    .bind(payload)
    .fetch_one(&bed.admin)
    .await
    .unwrap()
}

async fn began(connection: &mut PgConnection) -> (i32, i64) {
    sqlx::raw_sql("BEGIN READ ONLY").execute(&mut *connection).await.unwrap();
    let row = sqlx::query("SELECT pg_backend_pid(), (extract(epoch FROM transaction_timestamp()) * 1000000)::int8")
        .persistent(false)
        .fetch_one(&mut *connection)
        .await
        .unwrap();
    (row.get(0), row.get(1))
}

/// Whose backend it is, and how it stands to whoever borrows it now.
async fn met_by_the_next(borrower: &mut PgConnection) -> (i32, String, String) {
    sqlx::raw_sql("BEGIN").execute(&mut *borrower).await.unwrap();
    let met = sqlx::query_as(
        "SELECT pg_backend_pid(), current_user::text, (SELECT string_agg(name || '=' || COALESCE(current_setting(name, true), ''), ' ')
         FROM unnest(ARRAY['stockade.context', 'search_path', 'statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout',
                           'work_mem', 'jit', 'cursor_tuple_fraction', 'client_connection_check_interval', 'transaction_read_only']) AS name)",
    )
    .persistent(false)
    .fetch_one(&mut *borrower)
    .await
    .unwrap();
    sqlx::raw_sql("COMMIT").execute(borrower).await.unwrap();
    met
}

#[tokio::test]
#[ignore = "needs PostgreSQL and PgBouncer: cargo xtask test"]
async fn each_caller_sees_their_rows_and_no_context_leaks_to_the_next_borrower() {
    // One backend for all: whoever comes after a call has the call's own connection.
    let pooled = Pooled::new(1).await;
    let mut borrower = stranger(&pooled.url).await.unwrap();
    let before = met_by_the_next(&mut borrower).await;
    assert!(before.1 == "test_login" && before.2.starts_with("stockade.context= "), "{before:?}");
    let host = pooled.host().await;
    for (tenant, notes) in [("a", 100), ("nobody", 0), ("b", 100)] {
        let session = host.session(identity(tenant), pooled.limits());
        let result = session.query(sql("SELECT count(*) FROM app.notes"), 1).await.unwrap();
        assert_eq!(result.columns[0].values, ColumnValues::Integers(vec![notes]), "{tenant}");
        assert_eq!(met_by_the_next(&mut borrower).await, before, "after a call of {tenant}");
        // One that failed in the middle of its transaction.
        session.query(sql("SELECT 1 / (count(*) - count(*)) FROM app.notes"), 1).await.unwrap_err();
        assert_eq!(met_by_the_next(&mut borrower).await, before, "after a call of {tenant} that failed");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_context_is_believed_only_where_it_was_made() {
    let bed = Bed::new().await;
    let mut one = PgConnection::connect(&url("test_login", &bed.name)).await.unwrap();
    let mut two = PgConnection::connect(&url("test_login", &bed.name)).await.unwrap();
    let (pid, began_us) = began(&mut one).await;
    let payload = |pid: i64, began_us: i64, expires_us: i64| {
        format!("{{\"tenant\":\"a\",\"pid\":{pid},\"began_us\":{began_us},\"expires_us\":{expires_us}}}")
    };
    let far = began_us + 60_000_000;
    let context = sign(&bed, &payload(pid.into(), began_us, far)).await;
    assert_eq!(claims(&mut one, &context, false).await.as_deref(), Some("a"), "the test signs as the host does");

    // Every byte of it matters.
    for at in 0..context.len() {
        let mut bytes = context.clone().into_bytes();
        bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
        assert_eq!(claims(&mut one, &String::from_utf8(bytes).unwrap(), false).await, None, "byte {at}");
    }
    for wrong in [
        payload(i64::from(pid) + 1, began_us, far),
        payload(pid.into(), began_us + 1, far),
        payload(pid.into(), began_us, began_us),
        "{}".to_owned(),
        "[]".to_owned(),
    ] {
        let context = sign(&bed, &wrong).await;
        assert_eq!(claims(&mut one, &context, false).await, None, "{wrong}");
    }
    for shape in [
        "",
        "v1",
        "v1.a.b.c",
        "....",
        "x",
        &"v1.".repeat(9000),
        &format!("v1.unknown.e30.{}", "0".repeat(64)),
        "v1.ä.ö.ü",
    ] {
        assert_eq!(claims(&mut one, shape, false).await, None, "{shape:.20}");
    }
    // Replayed at another backend, and by the same one in its next transaction.
    assert_eq!(claims(&mut two, &context, true).await, None);
    sqlx::raw_sql("COMMIT").execute(&mut one).await.unwrap();
    assert_eq!(claims(&mut one, &context, true).await, None);
    // A key that is retired signs nothing any more.
    sqlx::raw_sql("COMMIT").execute(&mut one).await.unwrap();
    let (pid, began_us) = began(&mut one).await;
    let context = sign(&bed, &payload(pid.into(), began_us, began_us + 60_000_000)).await;
    assert!(claims(&mut one, &context, false).await.is_some());
    sqlx::raw_sql("UPDATE stockade.context_keys SET retired_at = now()").execute(&bed.admin).await.unwrap();
    assert_eq!(claims(&mut one, &context, false).await, None);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_login_that_row_security_does_not_bind_is_refused() {
    let bed = Bed::new().await;
    let mut config = bed.config.clone();
    config.url = Some(secret_url("postgres", &bed.name));
    let Err(error) = Database::connect(&config).await else { panic!("a superuser was let in") };
    assert!(error.for_log().contains("SUPERUSER"), "{}", error.for_log());

    sqlx::raw_sql("CREATE TABLE app.owned (id int); ALTER TABLE app.owned OWNER TO test_login")
        .execute(&bed.admin)
        .await
        .unwrap();
    let Err(error) = Database::connect(&bed.config).await else { panic!("an owner was let in") };
    assert!(error.for_log().contains("owns app.owned"), "{}", error.for_log());
    sqlx::raw_sql("DROP TABLE app.owned").execute(&bed.admin).await.unwrap();

    sqlx::raw_sql("UPDATE stockade.context_keys SET retired_at = now()").execute(&bed.admin).await.unwrap();
    let Err(error) = Database::connect(&bed.config).await else { panic!("an unknown key was let in") };
    assert!(error.for_log().contains("does not know the key"), "{}", error.for_log());
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn setup_runs_twice_and_a_role_that_is_not_configured_is_refused() {
    let bed = Bed::new().await;
    let key = stockade_db::ContextKey::read_file(&bed.config.context_key_file).unwrap();
    stockade_db::setup::apply(&bed.admin_url, &setup_config(), &key)
        .await
        .unwrap_or_else(|error| panic!("{}", error.for_log()));
    assert_eq!(count(&bed, "a").await, 100);
    let mut identity = identity("a");
    identity.reader_role = "postgres".parse().unwrap();
    let limits = stockade_db::SessionLimits {
        rows_max: 1,
        bytes_max: 1_000,
        deadline: tokio::time::Instant::now() + std::time::Duration::from_secs(5),
        sql: Default::default(),
        collections: Default::default(),
        cache: Default::default(),
    };
    let error = bed.database.session(identity, limits).query(sql("SELECT 1"), 1).await.unwrap_err();
    assert!(matches!(error, DbError::Forbidden { code: "ROLE_NOT_CONFIGURED", .. }), "{error:?}");
}
