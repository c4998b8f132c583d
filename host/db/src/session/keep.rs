//! Answers out of the cache, charged as if they came from the database.
use super::{Admitted, Session};
use crate::cache::{Answer, Key, QueryCache, Question};
use crate::error::DbError;
use crate::guard::names_a_moment;
use crate::lease::Isolation;
use crate::value::{ResultSet, Statement, Value};

impl Session {
    /// Runs statements in one transaction, or gives what is kept of them: for at most `ttl_s` seconds, where
    /// there is a cache and `ttl_s` is given.
    pub(super) async fn run_kept(
        &self,
        admitted: Vec<Admitted>,
        rows_max: u32,
        isolation: Isolation,
        ttl_s: Option<u32>,
    ) -> Result<Vec<ResultSet>, DbError> {
        let rows_max = rows_max.min(self.limits.rows_max);
        // On the heap: three of them would fill a small stack.
        let run = || Box::pin(self.run(&admitted, rows_max, isolation));
        let question = self.database.inner.cache.as_deref().zip(ttl_s).and_then(|(cache, ttl_s)| {
            let ttl_s = cache.ttl_s(ttl_s);
            Some((cache, self.key(cache, &admitted, rows_max, isolation, ttl_s)?, ttl_s))
        });
        let Some((cache, key, ttl_s)) = question else {
            return Ok(run().await?.results);
        };
        let asked = async {
            // A replica may not have yet what the versions tell of.
            self.leave_replica();
            run().await
        };
        match self.in_time(cache.answer(key, ttl_s, asked)).await? {
            Answer::Fresh(entry) => Ok(entry.take()),
            Answer::Kept(entry) if self.meter.answer(admitted.len(), entry.rows(), entry.bytes) => Ok(entry.take()),
            // What does not fit into what is left of the budget is cut where rows are counted.
            Answer::Kept(_) | Answer::AskYourself => Ok(run().await?.results),
        }
    }

    /// What the statements' results are known by; none where they cannot be kept.
    fn key(
        &self,
        cache: &QueryCache,
        admitted: &[Admitted],
        rows_max: u32,
        isolation: Isolation,
        ttl_s: u32,
    ) -> Option<Key> {
        let statements: Vec<&Statement> = admitted.iter().map(|one| &one.statement).collect();
        let versions = cache.versions(|| {
            let reads = |statement: &&Statement| match statement.parameters.iter().any(is_a_moment) {
                true => None,
                false => self.database.reads(&statement.text),
            };
            statements.iter().map(reads).collect::<Option<Vec<_>>>().map(|all| all.concat())
        })?;
        let (schemas, tables) = (&self.limits.sql.schemas, &self.limits.sql.tables);
        let granted: Vec<String> = schemas.iter().cloned().chain(tables.iter().map(ToString::to_string)).collect();
        let question = Question {
            identity: self.identity(),
            plugin_digest: &self.limits.cache.plugin_digest,
            granted: &granted,
            search_path: &self.database.inner.config.search_path,
            statements: &statements,
            isolation,
            rows_max,
            bytes_max: self.limits.bytes_max,
            ttl_s,
            versions: &versions,
        };
        Some(question.key())
    }
}

/// Whether PostgreSQL may read the parameter as the present moment.
fn is_a_moment(value: &Value) -> bool {
    match value {
        Value::Text(text) => names_a_moment(text),
        Value::Texts(texts) => texts.iter().any(|text| names_a_moment(text)),
        _ => false,
    }
}
