//! `vector`: embeddings and similarity search, as the caller.

use super::convert::{HostError, HostResult, forbidden, result_set};
use crate::{
    bindings::stockade::plugin::{
        types::ResultSet,
        vector::{Host, SearchFor},
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

    async fn embed(&self, collection: &str, texts: &[String]) -> HostResult<Vec<Vec<f32>>> {
        let embedded = tokio::time::timeout_at(self.deadline, self.database.embed(collection, texts)).await;
        let outcome = embedded.unwrap_or(Err(stockade_db::DbError::Timeout { code: "CALL_DEADLINE" }));
        outcome.map_err(|e| self.database_error(e))
    }
}
