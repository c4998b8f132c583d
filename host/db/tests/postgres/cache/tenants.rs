//! One tenant never gets another's entry.
use rand::{RngExt, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use stockade_db::{Identity, SessionLimits, SqlScope, Value};

use super::{TTL_S, bed, stats};
use crate::bed::sql_with;

fn of<T: Clone>(choice: Option<&T>) -> T {
    choice.expect("there is a choice").clone()
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn whoever_asks_gets_what_the_database_would_give_them() {
    let bed = bed().await;
    let mut dice = ChaCha8Rng::seed_from_u64(20_261_124);
    let statements = [
        ("SELECT min(id), max(id), count(*) FROM app.notes WHERE id <> $1", vec![Value::Integer(1)]),
        ("SELECT min(id), max(id), count(*) FROM app.notes WHERE id <> $1", vec![Value::Integer(150)]),
        ("SELECT tenant, body FROM app.notes WHERE id = $1", vec![Value::Integer(150)]),
        ("SELECT tenant, body FROM app.notes WHERE body = $1", vec![Value::Text("note 7".into())]),
    ];
    for _ in 0..400 {
        // Names that could run into each other, and tenants who see nothing.
        let identity = Identity {
            tenant: of(["a", "b", "ab", "A"].choose(&mut dice)).parse().unwrap(),
            principal: of(["a", "b", "ba"].choose(&mut dice)).parse().unwrap(),
            roles: of([vec![], vec!["a".to_owned()], vec!["a".to_owned(), "b".to_owned()]].choose(&mut dice)),
            reader_role: of(["test_reader", "test_reader_two"].choose(&mut dice)).parse().unwrap(),
        };
        let (text, parameters) = of(statements.choose(&mut dice));
        let mut limits: SessionLimits = limits();
        limits.cache.plugin_digest = [dice.random_range(0..2); 32];
        let session = bed.database.session(identity, limits);
        let statement = sql_with(text, parameters);
        let asked = session.query_cached(statement.clone(), 100, TTL_S).await.unwrap();
        let truth = session.query(statement, 100).await.unwrap();
        assert_eq!(asked, truth);
    }
    let now = stats(&bed.database);
    assert!(now.hits > 50 && now.misses > 100 && now.bypasses < 100, "both ways were taken: {now:?}");
}

pub(super) fn limits() -> SessionLimits {
    SessionLimits {
        rows_max: 1_000,
        bytes_max: 1 << 20,
        deadline: tokio::time::Instant::now() + std::time::Duration::from_secs(20),
        sql: std::sync::Arc::new(SqlScope { schemas: ["app".to_owned()].into(), ..SqlScope::default() }),
        collections: Default::default(),
        cache: Default::default(),
    }
}
