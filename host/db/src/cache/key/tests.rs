//! No two questions share a key: every part decides, and no part runs into the next.
use std::collections::HashMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

/// Questions that are the same at every run.
struct Dice(ChaCha8Rng);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0.random_range(0..sides)
    }

    /// Few letters and short texts: neighbours that could run into each other are what we want.
    fn text(&mut self) -> String {
        (0..self.roll(4)).map(|_| ["a", "b", ".", "1"][self.roll(4)]).collect()
    }

    fn id<T: std::str::FromStr>(&mut self) -> T
    where
        T::Err: std::fmt::Debug,
    {
        format!("a{}", self.text().replace('.', "_")).parse().unwrap()
    }

    fn texts(&mut self) -> Vec<String> {
        (0..self.roll(3)).map(|_| self.text()).collect()
    }

    fn value(&mut self) -> Value {
        let number = self.roll(3) as i64;
        match self.roll(12) {
            0 => Value::Null,
            1 => Value::Boolean(number == 0),
            2 => Value::Integer(number),
            3 => Value::Float(number as f64 * -0.0),
            4 => Value::Text(self.text()),
            5 => Value::Uuid(self.text()),
            6 => Value::Date(number as i32),
            7 => Value::Timestamp(number),
            8 => Value::Bytes(self.text().into_bytes()),
            9 => Value::Floats(vec![number as f32; self.roll(3)]),
            10 => Value::Integers(vec![number; self.roll(3)]),
            _ => Value::Texts(self.texts()),
        }
    }

    fn asked(&mut self) -> Asked {
        Asked {
            identity: Identity { tenant: self.id(), principal: self.id(), roles: self.texts(), reader_role: self.id() },
            plugin_digest: [self.roll(2) as u8; 32],
            granted: self.texts(),
            search_path: self.texts(),
            statements: (0..self.roll(3))
                .map(|_| Statement { text: self.text(), parameters: (0..self.roll(3)).map(|_| self.value()).collect() })
                .collect(),
            isolation: [Isolation::ReadCommitted, Isolation::RepeatableRead][self.roll(2)],
            rows_max: self.roll(2) as u32,
            bytes_max: self.roll(2) as u64,
            ttl_s: self.roll(2) as u32,
            versions: (0..self.roll(3)).map(|_| (self.roll(2) as i64, self.text())).collect(),
        }
    }
}

#[derive(Clone, Debug)]
struct Asked {
    identity: Identity,
    plugin_digest: [u8; 32],
    granted: Vec<String>,
    search_path: Vec<String>,
    statements: Vec<Statement>,
    isolation: Isolation,
    rows_max: u32,
    bytes_max: u64,
    ttl_s: u32,
    versions: Vec<Version>,
}

impl Asked {
    fn key(&self) -> Key {
        let statements: Vec<&Statement> = self.statements.iter().collect();
        Question {
            identity: &self.identity,
            plugin_digest: &self.plugin_digest,
            granted: &self.granted,
            search_path: &self.search_path,
            statements: &statements,
            isolation: self.isolation,
            rows_max: self.rows_max,
            bytes_max: self.bytes_max,
            ttl_s: self.ttl_s,
            versions: &self.versions,
        }
        .key()
    }
}

#[test]
fn keys_are_equal_only_where_everything_is() {
    let mut dice = Dice(ChaCha8Rng::seed_from_u64(20_261_123));
    let mut seen: HashMap<Key, String> = HashMap::new();
    for _ in 0..50_000 {
        let asked = dice.asked();
        // Debug tells every value and every float's sign apart, and never two things alike.
        let text = format!("{asked:?}");
        let other = seen.entry(asked.key()).or_insert_with(|| text.clone());
        assert_eq!(*other, text);
        let mut again = asked.clone();
        assert!(again.key() == asked.key(), "the same question has the same key");
        let change: fn(&mut Asked, &mut Dice) = [
            |a: &mut Asked, d: &mut Dice| a.identity.tenant = d.id(),
            |a: &mut Asked, d: &mut Dice| a.identity.principal = d.id(),
            |a: &mut Asked, d: &mut Dice| a.identity.reader_role = d.id(),
            |a: &mut Asked, d: &mut Dice| a.identity.roles = d.texts(),
            |a: &mut Asked, d: &mut Dice| a.granted = d.texts(),
            |a: &mut Asked, d: &mut Dice| a.search_path = d.texts(),
            |a: &mut Asked, d: &mut Dice| a.versions.push((0, d.text())),
            |a: &mut Asked, _: &mut Dice| a.plugin_digest[31] ^= 1,
        ][dice.roll(8)];
        change(&mut again, &mut dice);
        let same = format!("{again:?}") == text;
        assert_eq!(again.key() == asked.key(), same, "{text} / {again:?}");
    }
}
