//! One tenant never gets another's entry.
use stockade_db::{Identity, SessionLimits, SqlScope, Value};

use super::{TTL_S, bed, stats};
use crate::bed::sql_with;

/// Numbers that look random and are the same at every run (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }

    fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.roll(choices.len())].clone()
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn whoever_asks_gets_what_the_database_would_give_them() {
    let bed = bed().await;
    let mut dice = Dice(20_261_124);
    let statements = [
        ("SELECT min(id), max(id), count(*) FROM app.notes WHERE id <> $1", vec![Value::Integer(1)]),
        ("SELECT min(id), max(id), count(*) FROM app.notes WHERE id <> $1", vec![Value::Integer(150)]),
        ("SELECT tenant, body FROM app.notes WHERE id = $1", vec![Value::Integer(150)]),
        ("SELECT tenant, body FROM app.notes WHERE body = $1", vec![Value::Text("note 7".into())]),
    ];
    for _ in 0..400 {
        // Names that could run into each other, and tenants who see nothing.
        let identity = Identity {
            tenant: dice.of(&["a", "b", "ab", "A"]).parse().unwrap(),
            principal: dice.of(&["a", "b", "ba"]).parse().unwrap(),
            roles: dice.of(&[vec![], vec!["a".to_owned()], vec!["a".to_owned(), "b".to_owned()]]),
            reader_role: dice.of(&["test_reader", "test_reader_two"]).parse().unwrap(),
        };
        let (text, parameters) = dice.of(&statements);
        let mut limits: SessionLimits = limits();
        limits.cache.plugin_digest = [dice.roll(2) as u8; 32];
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
