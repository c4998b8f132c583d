//! Search by meaning, as the caller: a statement that the host makes, through the same session, role,
//! context and caps as a plugin's own.
//!
//! An HNSW index finds the rows nearest of all tenants', and row security takes others' away after: a
//! caller who sees one row in a hundred gets next to nothing. So whoever sees few rows is searched for
//! exactly, which is fast then and misses nothing; the index, told to go on until enough rows passed,
//! serves those who see many.
use super::{Admitted, Isolation, Session, cursor_name};
use crate::collection::SeenBy;
use crate::config::CollectionConfig;
use crate::error::DbError;
use crate::value::{ColumnValues, ResultSet, Statement, Value};

mod condition;
mod statement;
#[cfg(test)]
mod tests;

pub use condition::{Comparison, Condition};
use statement::{How, Plan};

impl Session {
    /// The collection's rows nearest to `embedding` that the caller may see, nearest first, each with a
    /// cosine similarity of `similarity_min` or more. At most `rows_max` are asked for, so the result is
    /// never truncated by it.
    pub async fn search(
        &self,
        collection: &str,
        embedding: Vec<f32>,
        rows_max: u32,
        similarity_min: f64,
    ) -> Result<ResultSet, DbError> {
        let (config, plan) = self.plan(collection, &embedding, rows_max).await?;
        if !(-1.0..=1.0).contains(&similarity_min) {
            return Err(DbError::rejected("ARGUMENT_SIMILARITY", "similarity-min: expected a number from -1 to 1"));
        }
        let text = plan.nearest(config);
        self.run_search(text, vec![Value::Floats(embedding), Value::Float(similarity_min)], &plan).await
    }

    /// The rows that fit `text` best, by meaning and by words together, among those that satisfy all
    /// `conditions`: two rankings, made one by reciprocal-rank fusion (Cormack, Clarke and Büttcher 2009).
    /// `embedding` is that of `text`.
    pub async fn search_hybrid(
        &self,
        collection: &str,
        embedding: Vec<f32>,
        text: String,
        conditions: Vec<Condition>,
        rows_max: u32,
    ) -> Result<ResultSet, DbError> {
        let (config, plan) = self.plan(collection, &embedding, rows_max).await?;
        let Some(words) = &config.words else {
            return Err(DbError::rejected(
                "ARGUMENT_COLLECTION",
                format!("the collection {collection} has no words to search for: use search"),
            ));
        };
        condition::check(config, &conditions)?;
        let statement = plan.hybrid(config, words, &conditions);
        let mut parameters = vec![Value::Floats(embedding), Value::Text(text)];
        parameters.extend(conditions.into_iter().map(|condition| condition.operand));
        self.run_search(statement, parameters, &plan).await
    }

    /// Checks what every search needs, and chooses how to search.
    async fn plan(
        &self,
        collection: &str,
        embedding: &[f32],
        rows_max: u32,
    ) -> Result<(&CollectionConfig, Plan), DbError> {
        if !self.limits.collections.contains(collection) {
            return Err(DbError::forbidden(
                "COLLECTION_NOT_GRANTED",
                format!("the collection {collection} was not granted"),
            ));
        }
        let config = self.database.collection(collection)?;
        if embedding.len() != config.dimension as usize || !embedding.iter().all(|element| element.is_finite()) {
            return Err(DbError::rejected(
                "ARGUMENT_EMBEDDING",
                format!("expected {} finite elements, found {}", config.dimension, embedding.len()),
            ));
        }
        let vectors = self.in_time(self.database.collection_ready(collection, config)).await?;
        let seen = self.rows_seen(collection, config).await?;
        let how = if seen <= config.exact_rows_max { How::Exactly } else { How::ByIndex };
        tracing::debug!(collection, seen, ?how, "search");
        let rows_max = rows_max.min(self.limits.rows_max);
        Ok((config, Plan { how, vectors, rows_max, scan_rows_max: config.scan_rows_max }))
    }

    /// How many rows of the collection the caller sees, counted up to one more than `exact_rows_max`.
    async fn rows_seen(&self, collection: &str, config: &CollectionConfig) -> Result<u32, DbError> {
        let seen = &self.database.collections().seen;
        let key = SeenBy::new(collection, self.identity());
        if let Some(known) = seen.get(&key) {
            return Ok(known);
        }
        let statement = Statement { text: statement::count(config), parameters: Vec::new() };
        let admitted = Admitted { cursor: cursor_name(0, &[]), statement };
        let counted = self.run(&[admitted], 1, Isolation::ReadCommitted).await?.results.pop().unwrap_or_default();
        let count = match counted.columns.first().map(|column| &column.values) {
            Some(ColumnValues::Integers(values)) => values.first().and_then(|count| u32::try_from(*count).ok()),
            _ => None,
        };
        let count = count.ok_or_else(|| DbError::internal("a count without a number"))?;
        seen.insert(key, count);
        Ok(count)
    }

    async fn run_search(&self, text: String, parameters: Vec<Value>, plan: &Plan) -> Result<ResultSet, DbError> {
        let admitted = Admitted { cursor: cursor_name(0, &parameters), statement: Statement { text, parameters } };
        let settings = plan.settings();
        let asked = self.run_under(&settings, &[admitted], plan.rows_max, Isolation::ReadCommitted).await?;
        let mut results = asked.results;
        results.pop().ok_or_else(|| DbError::internal("a search without a result"))
    }
}
