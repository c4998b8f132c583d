//! Models that turn texts into vectors.
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::{CollectionConfig, DatabaseConfig, EmbedderConfig};
use crate::error::DbError;

mod candle;
mod openai;

/// The most texts of one call.
const TEXTS_MAX: usize = 64;
/// The longest text, in bytes. Models cut long before.
const TEXT_BYTES_MAX: usize = 8_192;

/// A model. Its vectors have one dimension and length 1.
#[async_trait::async_trait]
pub trait Embedder: Send + Sync {
    /// One vector a text, in order.
    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, DbError>;
}

/// The configured models, by name. Each is loaded when it is first used.
pub(crate) struct Embedders {
    by_name: BTreeMap<String, Arc<dyn Embedder>>,
}

impl Embedders {
    /// Checks the configuration and reads no model.
    pub(crate) fn new(config: &DatabaseConfig) -> Result<Self, DbError> {
        for (name, collection) in &config.collections {
            if !config.embedders.contains_key(&collection.embedder) {
                return Err(DbError::rejected(
                    "CONFIG_COLLECTION",
                    format!("[collections.{name}] embedder: there is no [embedders.{}]", collection.embedder),
                ));
            }
        }
        let mut by_name = BTreeMap::new();
        for (name, config) in &config.embedders {
            by_name.insert(name.clone(), build(name, config)?);
        }
        Ok(Self { by_name })
    }

    /// Embeds for a collection, and checks that the model gives what the collection needs.
    pub(crate) async fn embed(
        &self,
        collection: &CollectionConfig,
        texts: &[String],
    ) -> Result<Vec<Vec<f32>>, DbError> {
        if texts.len() > TEXTS_MAX {
            return Err(DbError::rejected(
                "ARGUMENT_TEXTS",
                format!("found {} texts, expected at most {TEXTS_MAX}", texts.len()),
            ));
        }
        if let Some(text) = texts.iter().find(|text| text.len() > TEXT_BYTES_MAX) {
            return Err(DbError::rejected(
                "ARGUMENT_TEXT_TOO_LONG",
                format!("a text has {} bytes, expected at most {TEXT_BYTES_MAX}", text.len()),
            ));
        }
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let name = &collection.embedder;
        let embedder =
            self.by_name.get(name).ok_or_else(|| DbError::internal(format!("there is no embedder {name}")))?;
        let vectors = embedder.embed(texts).await?;
        let fits =
            |vector: &Vec<f32>| vector.len() == collection.dimension as usize && vector.iter().all(|e| e.is_finite());
        if vectors.len() != texts.len() || !vectors.iter().all(fits) {
            return Err(DbError::internal(format!(
                "the embedder {name} gave vectors that do not fit: expected {} of dimension {}",
                texts.len(),
                collection.dimension
            )));
        }
        Ok(vectors)
    }
}

/// One model without a host around it, for whoever loads data. It is read when it is first used.
pub fn embedder(config: &EmbedderConfig) -> Result<Arc<dyn Embedder>, DbError> {
    build("of a caller", config)
}

fn build(name: &str, config: &EmbedderConfig) -> Result<Arc<dyn Embedder>, DbError> {
    Ok(match config {
        EmbedderConfig::Candle { directory, concurrency_max } => {
            Arc::new(candle::CandleEmbedder::new(directory.clone(), (*concurrency_max).max(1)))
        }
        EmbedderConfig::OpenAi { url, model, api_key_file, timeout_ms } => {
            Arc::new(openai::OpenAiEmbedder::new(name, url, model, api_key_file.as_deref(), *timeout_ms)?)
        }
    })
}
