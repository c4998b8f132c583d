//! A host for tests, outside WebAssembly: plain answers for a plugin's calls.
//!
//! ```
//! use stockade_sdk::{sql, testing::{self, Host}};
//!
//! let host = Host::new().on_query(|statement, _rows_max| {
//!     assert!(statement.text.contains("stores"));
//!     Ok(testing::result([testing::integers("stores", [Some(8)])]))
//! });
//! let stores: i64 = host.run(|| sql::query("SELECT count(*) FROM retail.stores", ())?.one())?;
//! assert_eq!(stores, 8);
//! # Ok::<(), stockade_sdk::Error>(())
//! ```

pub(crate) mod imports;
mod results;

pub use results::{booleans, dates, decimals, floats, integers, json, result, texts, timestamps, truncated};

use std::cell::RefCell;

use jiff::Timestamp;

use crate::log::Level;
use crate::sql::{Statement, Value};
use crate::vector::{Condition, SearchFor};
use crate::{Error, ResultSet, Tool};

type OnQuery = Box<dyn FnMut(&Statement, u32) -> Result<ResultSet, Error>>;
type OnSearch = Box<dyn FnMut(&str, &SearchFor, u32, f64) -> Result<ResultSet, Error>>;
type OnSearchHybrid = Box<dyn FnMut(&str, &str, &[Condition], u32) -> Result<ResultSet, Error>>;

thread_local! {
    static CURRENT: RefCell<Option<Host>> = const { RefCell::new(None) };
}

/// What answers a plugin's calls while [`Host::run`] runs. A call that it has no answer for fails the
/// test.
pub struct Host {
    now: Timestamp,
    query: OnQuery,
    search: OnSearch,
    search_hybrid: OnSearchHybrid,
    cache: std::collections::HashMap<String, Vec<u8>>,
    log: Vec<(Level, String)>,
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

impl Host {
    /// A host whose clock stands at 2026-11-23T12:00:00Z, with an empty cache and no database.
    pub fn new() -> Self {
        Self {
            now: Timestamp::constant(1_795_435_200, 0),
            query: Box::new(|statement, _| {
                Err(Error::unexpected("NO_ANSWER", format!("no answer for {}", statement.text)))
            }),
            search: Box::new(|collection, _, _, _| {
                Err(Error::unexpected("NO_ANSWER", format!("no answer for {collection}")))
            }),
            search_hybrid: Box::new(|collection, _, _, _| {
                Err(Error::unexpected("NO_ANSWER", format!("no answer for {collection}")))
            }),
            cache: std::collections::HashMap::new(),
            log: Vec::new(),
        }
    }

    /// Set the clock.
    #[must_use]
    pub fn now(self, now: Timestamp) -> Self {
        Self { now, ..self }
    }

    /// Answer statements: each of `query-all` in turn, and a cursor's, whose rows all come in its first
    /// batch.
    #[must_use]
    pub fn on_query(self, query: impl FnMut(&Statement, u32) -> Result<ResultSet, Error> + 'static) -> Self {
        Self { query: Box::new(query), ..self }
    }

    /// Answer searches: collection, what for, rows at most, similarity at least.
    #[must_use]
    pub fn on_search(
        self,
        search: impl FnMut(&str, &SearchFor, u32, f64) -> Result<ResultSet, Error> + 'static,
    ) -> Self {
        Self { search: Box::new(search), ..self }
    }

    /// Answer hybrid searches: collection, text, conditions, rows at most.
    #[must_use]
    pub fn on_search_hybrid(
        self,
        search: impl FnMut(&str, &str, &[Condition], u32) -> Result<ResultSet, Error> + 'static,
    ) -> Self {
        Self { search_hybrid: Box::new(search), ..self }
    }

    /// Run `body` with this host.
    pub fn run<T>(self, body: impl FnOnce() -> T) -> T {
        self.run_logged(body).0
    }

    /// Run `body` with this host, and give what it logged.
    pub fn run_logged<T>(self, body: impl FnOnce() -> T) -> (T, Vec<(Level, String)>) {
        CURRENT.with(|current| *current.borrow_mut() = Some(self));
        let result = body();
        let host = CURRENT.with(|current| current.borrow_mut().take());
        (result, host.map(|host| host.log).unwrap_or_default())
    }

    /// Call a tool as the host does, with JSON in and out.
    pub fn call<T: Tool>(self, arguments: serde_json::Value) -> Result<serde_json::Value, Error> {
        let output = self.run(|| crate::tool::run::<T>(&arguments.to_string()))?;
        serde_json::from_str(&output.structured)
            .map_err(|error| Error::unexpected("OUTPUT_NOT_JSON", error.to_string()))
    }
}

/// A tool's input and output schemas.
pub fn schemas<T: Tool>() -> (serde_json::Value, serde_json::Value) {
    let tool = crate::tool::describe::<T>();
    let parse = |text: &str| serde_json::from_str(text).unwrap_or(serde_json::Value::Null);
    (parse(&tool.input_schema), parse(&tool.output_schema))
}

/// A parameter's text, for tests that look at what a plugin asks.
pub fn text_of(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) | Value::Uuid(text) => Some(text),
        _ => None,
    }
}
