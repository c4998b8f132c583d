//! The host's functions, answered by the [`Host`](super::Host) that runs.

use super::{CURRENT, Host};

/// # Panics
/// Without a host: the test forgot it.
#[expect(clippy::panic, reason = "a test without a host must fail, and say why")]
fn with<T>(body: impl FnOnce(&mut Host) -> T) -> T {
    CURRENT.with(|current| match current.borrow_mut().as_mut() {
        Some(host) => body(host),
        None => panic!("the host was called outside of testing::Host::run"),
    })
}

pub(crate) mod caller {
    pub(crate) fn display_name() -> String {
        "Test caller".into()
    }

    pub(crate) fn time_zone() -> String {
        "UTC".into()
    }

    pub(crate) fn request_id() -> String {
        "test-request".into()
    }

    pub(crate) fn now() -> i64 {
        super::with(|host| host.now.as_microsecond())
    }

    pub(crate) fn deadline_ms() -> u64 {
        10_000
    }
}

pub(crate) mod log {
    use crate::log::Level;

    pub(crate) fn write(level: Level, message: &str) {
        super::with(|host| host.log.push((level, message.to_owned())));
    }
}

pub(crate) mod metrics {
    pub(crate) fn add(_name: &str, _by: f64) {}

    pub(crate) fn record(_name: &str, _value: f64) {}
}

pub(crate) mod progress {
    pub(crate) fn report(_done: f64, _total: Option<f64>, _message: Option<&str>) {}
}

pub(crate) mod cache {
    use crate::Error;

    pub(crate) fn get(key: &str) -> Result<Option<Vec<u8>>, Error> {
        super::with(|host| Ok(host.cache.get(key).cloned()))
    }

    pub(crate) fn set(key: &str, value: &[u8], _ttl_s: u32) -> Result<(), Error> {
        super::with(|host| host.cache.insert(key.to_owned(), value.to_vec()));
        Ok(())
    }

    pub(crate) fn delete(key: &str) -> Result<(), Error> {
        super::with(|host| host.cache.remove(key));
        Ok(())
    }
}

pub(crate) mod sql {
    use crate::sql::Statement;
    use crate::{Error, ResultSet};

    pub(crate) fn query(statement: &Statement, rows_max: u32) -> Result<ResultSet, Error> {
        super::with(|host| (host.query)(statement, rows_max))
    }

    pub(crate) fn query_cached(statement: &Statement, rows_max: u32, _ttl_s: u32) -> Result<ResultSet, Error> {
        query(statement, rows_max)
    }

    pub(crate) fn query_all(statements: &[Statement], rows_max: u32) -> Result<Vec<ResultSet>, Error> {
        statements.iter().map(|statement| query(statement, rows_max)).collect()
    }

    #[derive(Debug)]
    pub(crate) struct Cursor(std::cell::RefCell<Option<ResultSet>>);

    impl Cursor {
        pub(crate) fn open(statement: &Statement) -> Result<Self, Error> {
            query(statement, u32::MAX).map(|rows| Self(std::cell::RefCell::new(Some(rows))))
        }

        pub(crate) fn fetch(&self, _rows_max: u32) -> Result<ResultSet, Error> {
            let rows = self.0.take();
            let empty = ResultSet { columns: Vec::new(), row_count: 0, truncated: false };
            Ok(rows.unwrap_or(empty))
        }
    }
}

pub(crate) mod vector {
    use crate::vector::{Condition, SearchFor};
    use crate::{Error, ResultSet};

    pub(crate) fn embed(_collection: &str, texts: &[String]) -> Result<Vec<Vec<f32>>, Error> {
        Ok(texts.iter().map(|_| vec![1.0, 0.0]).collect())
    }

    pub(crate) fn search(
        collection: &str,
        what: &SearchFor,
        rows_max: u32,
        similarity_min: f64,
    ) -> Result<ResultSet, Error> {
        super::with(|host| (host.search)(collection, what, rows_max, similarity_min))
    }

    pub(crate) fn search_hybrid(
        collection: &str,
        text: &str,
        conditions: &[Condition],
        rows_max: u32,
    ) -> Result<ResultSet, Error> {
        super::with(|host| (host.search_hybrid)(collection, text, conditions, rows_max))
    }
}
