//! A change ends what was kept, and nothing kept is given out while changes are not heard of.
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection};

use super::{TTL_S, bed, change, count, number, stats, until, until_count};
use crate::bed::{setup_config, sql};
use crate::cancel::{fetching, until_fetching};

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_change_shows_when_it_commits() {
    let bed = bed().await;
    assert_eq!(count(&bed.session("a")).await, 100);
    let mut writer = sqlx::PgConnection::connect(&bed.admin_url).await.unwrap();
    sqlx::raw_sql("BEGIN; INSERT INTO app.notes VALUES (1001, 'a', 'x')").execute(&mut writer).await.unwrap();
    let before = stats(&bed.database);
    assert_eq!(count(&bed.session("a")).await, 100);
    assert_eq!(stats(&bed.database).hits - before.hits, 1, "an uncommitted change ends nothing");
    sqlx::raw_sql("COMMIT").execute(&mut writer).await.unwrap();
    until_count(&bed, "a", 101).await;
    for (sql, expected) in [
        ("UPDATE app.notes SET tenant = 'b' WHERE id = 1", 100),
        ("DELETE FROM app.notes WHERE id IN (2, 3)", 98),
        ("COPY app.notes FROM PROGRAM 'echo 1002,a,x' CSV", 99),
        ("TRUNCATE app.notes", 0),
    ] {
        change(&bed, sql).await;
        until_count(&bed, "a", expected).await;
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn what_was_read_before_a_commit_is_not_kept_for_after_it() {
    let bed = bed().await;
    // Counts first, and has still to compute when the change commits.
    let slow = "SELECT (SELECT count(*) FROM app.notes), (SELECT count(*) FROM generate_series(1, 20000000) AS s(i) WHERE i % 7 = 3)";
    let ask = |session: stockade_db::Session| async move {
        number(&session.query_cached(sql(slow), 10, TTL_S).await.unwrap())
    };
    let reader = tokio::spawn(ask(bed.session("a")));
    until_fetching(&bed).await;
    change(&bed, "INSERT INTO app.notes VALUES (1001, 'a', 'x')").await;
    until_count(&bed, "a", 101).await;
    let still = fetching(&bed).await;
    assert_eq!((still, reader.await.unwrap()), (1, 100), "it read before the change and ended after it");
    assert_eq!(ask(bed.session("a")).await, 101);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn while_changes_are_not_heard_of_the_database_is_asked() {
    let bed = bed().await;
    assert_eq!(count(&bed.session("a")).await, 100);
    let name = &bed.name;
    change(
        &bed,
        &format!(
            "ALTER DATABASE {name} CONNECTION LIMIT 0;
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND application_name = 'stockade cache'"
        ),
    )
    .await;
    until(&bed.database, |now| !now.hearing).await;
    let before = stats(&bed.database);
    change(&bed, "DELETE FROM app.notes WHERE id = 1").await;
    assert_eq!(count(&bed.session("a")).await, 99, "at once");
    assert_eq!(stats(&bed.database).bypasses - before.bypasses, 1);
    change(&bed, &format!("ALTER DATABASE {name} CONNECTION LIMIT -1")).await;
    until(&bed.database, |now| now.hearing).await;
    let before = stats(&bed.database);
    assert_eq!((count(&bed.session("a")).await, count(&bed.session("a")).await), (99, 99));
    let after = stats(&bed.database);
    assert_eq!(
        (after.stores - before.stores, after.hits - before.hits),
        (1, 1),
        "what changed unheard is not given out"
    );
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_listener_without_echo_is_not_believed() {
    // As through a pooler in transaction mode: a connection that works, and hands no notification on.
    let bed = crate::bed::Bed::with(|config| {
        let listen_url = Some(crate::bed::secret_url("test_login", "postgres"));
        config.cache = Some(stockade_db::CacheConfig { listen_url, ..super::config() });
    })
    .await;
    change(&bed, "SELECT stockade.watch('app.notes')").await;
    for expected in (90..100).rev() {
        change(&bed, &format!("DELETE FROM app.notes WHERE id = {}", expected + 1)).await;
        assert_eq!(count(&bed.session("a")).await, expected);
    }
    let now = stats(&bed.database);
    assert_eq!((now.hits, now.stores, now.bypasses, now.hearing), (0, 0, 10, false));
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn changed_definitions_and_retired_keys_end_what_was_kept() {
    let bed = bed().await;
    assert_eq!(count(&bed.session("a")).await, 100);
    for (sql, expected) in [
        ("DROP POLICY own ON app.notes; CREATE POLICY own ON app.notes USING (id = 1)", 1),
        (
            "ALTER TABLE app.notes ADD COLUMN more int DEFAULT 1; DROP POLICY own ON app.notes; CREATE POLICY own ON app.notes USING (id < 3)",
            2,
        ),
    ] {
        change(&bed, sql).await;
        until_count(&bed, "a", expected).await;
    }
    change(&bed, "REVOKE SELECT ON app.notes FROM test_reader").await;
    while bed.session("a").query_cached(sql(super::COUNT), 10, TTL_S).await.is_ok() {}
    change(
        &bed,
        "GRANT SELECT ON app.notes TO test_reader; ALTER POLICY own ON app.notes USING (stockade.claims() IS NOT NULL)",
    )
    .await;
    while bed.session("a").query_cached(sql(super::COUNT), 10, TTL_S).await.is_err() {}
    until_count(&bed, "a", 200).await;
    change(&bed, "UPDATE stockade.context_keys SET retired_at = now()").await;
    until_count(&bed, "a", 0).await;
    until(&bed.database, |now| now.hearing).await;
    // The setup may run again, and is heard of as any change of definitions.
    let key = stockade_db::ContextKey::read_file(&bed.config.context_key_file).unwrap();
    change(&bed, "UPDATE stockade.context_keys SET retired_at = NULL").await;
    stockade_db::setup::apply(&bed.admin_url, &setup_config(), &key)
        .await
        .unwrap_or_else(|e| panic!("{}", e.for_log()));
    until_count(&bed, "a", 200).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_tables_policies_decide_what_it_depends_on() {
    let bed = bed().await;
    let unfit = async || -> Vec<String> {
        let rows = "SELECT unfit FROM stockade.watched_tables WHERE schema = 'app' AND name = 'notes'";
        sqlx::query_scalar(rows).fetch_one(&bed.admin).await.unwrap()
    };
    change(
        &bed,
        "CREATE TABLE app.members (tenant text); INSERT INTO app.members VALUES ('a');
         CREATE VIEW app.member AS SELECT tenant FROM app.members;
         CREATE FUNCTION app.known() RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
           BEGIN ATOMIC SELECT EXISTS (SELECT FROM app.member AS m WHERE m.tenant = stockade.claims() ->> 'tenant'); END;
         ALTER FUNCTION app.known() OWNER TO stockade_owner; GRANT USAGE ON SCHEMA app TO stockade_owner;
         GRANT SELECT ON app.members, app.member TO stockade_owner;
         DROP POLICY own ON app.notes; CREATE POLICY own ON app.notes USING ((SELECT app.known()));",
    )
    .await;
    assert_eq!(unfit().await, ["app.members is not watched"]);
    change(&bed, "SELECT stockade.watch('app.members')").await;
    assert!(unfit().await.is_empty());
    until_count(&bed, "a", 200).await;
    change(&bed, "DELETE FROM app.members").await;
    until_count(&bed, "a", 0).await;
    for (policy, reason) in [
        ("now() > '2026-01-01'", "clock"),
        ("(SELECT current_date) > '2026-01-01'", "clock"),
        ("random() < 2", "chance"),
        ("app.opaque()", "nobody can see what the function app.opaque() reads"),
    ] {
        change(
            &bed,
            &format!(
                "CREATE OR REPLACE FUNCTION app.opaque() RETURNS boolean LANGUAGE sql STABLE AS 'SELECT true';
                 DROP POLICY own ON app.notes; CREATE POLICY own ON app.notes USING ({policy})"
            ),
        )
        .await;
        let unfit = unfit().await;
        assert!(unfit.len() == 1 && unfit[0].contains(reason), "{policy}: {unfit:?}");
    }
    change(&bed, "DROP POLICY own ON app.notes; CREATE POLICY own ON app.notes USING (true); ALTER TABLE app.notes DISABLE TRIGGER stockade_watch").await;
    let watched = "SELECT count(*) FROM stockade.watched_tables WHERE schema = 'app' AND name = 'notes'";
    let watched: i64 = sqlx::query_scalar(AssertSqlSafe(watched)).fetch_one(&bed.admin).await.unwrap();
    assert_eq!(watched, 0, "a trigger that is switched off watches nothing");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_partition_changes_with_what_is_written_by_its_parents_name() {
    let bed = bed().await;
    change(
        &bed,
        "CREATE TABLE app.days (day int, tenant text) PARTITION BY LIST (day);
         CREATE TABLE app.today PARTITION OF app.days FOR VALUES IN (1);
         CREATE TABLE app.people (name text, tenant text); CREATE TABLE app.guests () INHERITS (app.people);
         DO $$ DECLARE name text; BEGIN FOREACH name IN ARRAY ARRAY['app.days', 'app.today', 'app.people', 'app.guests'] LOOP
           EXECUTE format('ALTER TABLE %1$s ENABLE ROW LEVEL SECURITY; ALTER TABLE %1$s FORCE ROW LEVEL SECURITY;
             CREATE POLICY own ON %1$s USING (tenant = (SELECT stockade.claims() ->> ''tenant'')); GRANT SELECT ON %1$s TO test_reader', name);
         END LOOP; END $$;
         INSERT INTO app.days VALUES (1, 'a'); INSERT INTO app.guests VALUES ('x', 'a');
         SELECT stockade.watch('app.days'), stockade.watch('app.people')",
    )
    .await;
    for (count, write, expected) in [
        ("SELECT count(*) FROM app.today", "INSERT INTO app.days VALUES (1, 'a')", (1, 2)),
        ("SELECT count(*) FROM app.today", "DELETE FROM app.days", (2, 0)),
        ("SELECT count(*) FROM app.guests", "UPDATE app.people SET tenant = 'b'", (1, 0)),
    ] {
        let ask = async || number(&bed.session("a").query_cached(sql(count), 10, TTL_S).await.unwrap());
        let hits = stats(&bed.database).hits;
        let kept = async {
            while stats(&bed.database).hits == hits {
                assert_eq!(ask().await, expected.0, "{count}")
            }
        };
        tokio::time::timeout(Duration::from_secs(30), kept).await.expect("kept");
        change(&bed, write).await;
        let changed = async { while ask().await != expected.1 {} };
        tokio::time::timeout(Duration::from_secs(30), changed).await.unwrap_or_else(|_| panic!("{write}: {count}"));
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn an_empty_result_has_the_columns_of_its_definitions() {
    let bed = bed().await;
    let none = "SELECT * FROM app.notes WHERE id > 1000";
    let columns = async || bed.session("a").query_cached(sql(none), 10, TTL_S).await.unwrap().columns.len();
    assert_eq!(columns().await, 3);
    change(&bed, "ALTER TABLE app.notes ADD COLUMN more int").await;
    let changed = async { while columns().await != 4 {} };
    tokio::time::timeout(Duration::from_secs(30), changed).await.expect("four columns");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_change_shows_though_a_dumps_rows_have_its_transactions_number() {
    let bed = bed().await;
    let version = async || -> String {
        let version = "SELECT version FROM stockade.table_versions WHERE relation = 'app.notes'::regclass::int8";
        sqlx::query_scalar(version).fetch_one(&bed.admin).await.unwrap()
    };
    change(&bed, "UPDATE app.notes SET body = 'x' WHERE id = 1").await;
    change(
        &bed,
        "DELETE FROM stockade.table_changes WHERE relation = 'app.notes'::regclass;
         INSERT INTO stockade.table_changes
         SELECT 'app.notes'::regclass, (n::text)::xid8, 1 FROM generate_series(pg_current_xact_id()::text::int8 + 1, pg_current_xact_id()::text::int8 + 5000) AS n",
    )
    .await;
    let before = version().await;
    change(&bed, "UPDATE app.notes SET body = 'y' WHERE id = 1; UPDATE app.notes SET body = 'z' WHERE id = 2").await;
    assert_ne!(version().await, before);
}
