//! `vector`: embeddings and similarity search, as the caller.

use super::convert::{HostError, HostResult, forbidden, result_set};
use crate::{
    bindings::stockade::plugin::{
        types::ResultSet,
        vector::{Comparison, Condition, Host, Operand, SearchFor},
    },
    state::{Call, CallState},
};

impl Host for CallState {
    async fn embed(&mut self, collection: String, texts: Vec<String>) -> HostResult<Vec<Vec<f32>>> {
        let call = self.enter()?;
        call.check_collection(&collection)?;
        call.embed(&collection, &texts).await
    }

    async fn search(
        &mut self,
        collection: String,
        what: SearchFor,
        rows_max: u32,
        similarity_min: f64,
    ) -> HostResult<ResultSet> {
        let call = self.enter()?;
        call.check_collection(&collection)?;
        let embedding = match what {
            SearchFor::Embedding(embedding) => embedding,
            SearchFor::Text(text) => call.embed(&collection, &[text]).await?.pop().unwrap_or_default(),
        };
        let outcome = call.session.search(&collection, embedding, rows_max, similarity_min).await;
        outcome.map(result_set).map_err(|e| call.database_error(e))
    }

    async fn search_hybrid(
        &mut self,
        collection: String,
        text: String,
        conditions: Vec<Condition>,
        rows_max: u32,
    ) -> HostResult<ResultSet> {
        let call = self.enter()?;
        call.check_collection(&collection)?;
        let texts = [text];
        let embedding = call.embed(&collection, &texts).await?.pop().unwrap_or_default();
        let [text] = texts;
        let conditions = conditions.into_iter().map(condition).collect();
        let outcome = call.session.search_hybrid(&collection, embedding, text, conditions, rows_max).await;
        outcome.map(result_set).map_err(|e| call.database_error(e))
    }
}

fn condition(condition: Condition) -> stockade_db::Condition {
    stockade_db::Condition {
        column: condition.column,
        comparison: match condition.comparison {
            Comparison::Equal => stockade_db::Comparison::Equal,
            Comparison::NotEqual => stockade_db::Comparison::NotEqual,
            Comparison::Less => stockade_db::Comparison::Less,
            Comparison::AtMost => stockade_db::Comparison::AtMost,
            Comparison::Greater => stockade_db::Comparison::Greater,
            Comparison::AtLeast => stockade_db::Comparison::AtLeast,
            Comparison::OneOf => stockade_db::Comparison::OneOf,
        },
        operand: match condition.operand {
            Operand::Boolean(v) => stockade_db::Value::Boolean(v),
            Operand::Integer(v) => stockade_db::Value::Integer(v),
            Operand::Float(v) => stockade_db::Value::Float(v),
            Operand::Text(v) => stockade_db::Value::Text(v),
            Operand::Uuid(v) => stockade_db::Value::Uuid(v),
            Operand::Date(v) => stockade_db::Value::Date(v),
            Operand::Timestamp(v) => stockade_db::Value::Timestamp(v),
            Operand::Integers(v) => stockade_db::Value::Integers(v),
            Operand::Texts(v) => stockade_db::Value::Texts(v),
        },
    }
}

impl Call {
    fn check_collection(&self, collection: &str) -> Result<(), HostError> {
        let granted = self.plugin.grants.vector.as_ref().is_some_and(|g| g.collections.contains(collection));
        if granted {
            return Ok(());
        }
        let shown: String = collection.chars().take(64).collect();
        Err(forbidden("COLLECTION_NOT_GRANTED", format!("the collection {shown:?} is not granted, or not there")))
    }

    async fn embed(&mut self, collection: &str, texts: &[String]) -> HostResult<Vec<Vec<f32>>> {
        let embedding = self.database.embed(&self.caller.identity.tenant, collection, texts);
        let outcome = tokio::time::timeout_at(self.deadline, embedding).await;
        let outcome = outcome.unwrap_or(Err(stockade_db::DbError::Timeout { code: "CALL_DEADLINE" }));
        outcome.map_err(|e| self.embedder_error(e))
    }
}
