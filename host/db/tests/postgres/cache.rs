//! Results that are kept: who gets them, and when nobody does any more.
use std::time::Duration;

use sqlx::AssertSqlSafe;
use stockade_db::{CacheConfig, CacheStats, ColumnValues, Database, ResultSet, Session};

use crate::bed::{Bed, sql};

#[path = "cache/flight.rs"]
mod flight;
#[path = "cache/kept.rs"]
mod kept;
#[path = "cache/redis.rs"]
mod redis_tier;
#[path = "cache/tenants.rs"]
mod tenants;
#[path = "cache/versions.rs"]
mod versions;
#[path = "cache/writers.rs"]
mod writers;

const COUNT: &str = "SELECT count(*) FROM app.notes";
const TTL_S: u32 = 300;

fn config() -> CacheConfig {
    CacheConfig { bytes_max: 1 << 20, entry_bytes_max: 1 << 16, ttl_s_max: TTL_S, listen_url: None, redis: None }
}

/// `app.notes` is watched, and the host hears.
async fn bed() -> Bed {
    let bed = Bed::with(|bed| {
        bed.cache = Some(config());
        bed.connections_max = 4;
        bed.lock_timeout_ms = 20_000;
    })
    .await;
    change(&bed, "SELECT stockade.watch('app.notes')").await;
    until(&bed.database, |stats| stats.hearing).await;
    // The trigger is a new definition; it is heard of when a result is kept.
    while stats(&bed.database).stores == 0 {
        count(&bed.session("b")).await;
    }
    bed
}

fn stats(database: &Database) -> CacheStats {
    database.cache_stats().unwrap()
}

/// Waits until the cache's numbers are such.
async fn until(database: &Database, such: impl Fn(&CacheStats) -> bool) {
    let wait = async {
        while !such(&stats(database)) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), wait).await;
    waited.unwrap_or_else(|_| panic!("{:?}", stats(database)));
}

async fn change(bed: &Bed, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&bed.admin).await.unwrap();
}

async fn count(session: &Session) -> i64 {
    number(&session.query_cached(sql(COUNT), 10, TTL_S).await.unwrap_or_else(|error| panic!("{}", error.for_log())))
}

/// Asks until the count is `expected`: a notification has a way to go.
async fn until_count(bed: &Bed, tenant: &str, expected: i64) {
    let wait = async { while count(&bed.session(tenant)).await != expected {} };
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap_or_else(|_| panic!("never {expected}"));
}

fn number(result: &ResultSet) -> i64 {
    let ColumnValues::Integers(values) = &result.columns[0].values else { panic!("{result:?}") };
    values[0]
}
