//! Models that turn texts into vectors.
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::{CollectionConfig, DatabaseConfig, EmbedderConfig};
use crate::error::DbError;
use crate::identity::TenantId;

mod candle;
mod openai;
mod remembered;

use remembered::Remembered;

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
    by_name: BTreeMap<String, Remembered>,
}

impl Embedders {
    /// Checks the configuration and reads no model.
    pub(crate) fn new(config: &DatabaseConfig) -> Result<Self, DbError> {
        let mut dimensions: BTreeMap<&str, u32> = BTreeMap::new();
        for (name, collection) in &config.collections {
            let wrong = |message: String| {
                Err(DbError::rejected("CONFIG_COLLECTION", format!("[collections.{name}] {message}")))
            };
            let embedder = &collection.embedder;
            if !config.embedders.contains_key(embedder) {
                return wrong(format!("embedder: there is no [embedders.{embedder}]"));
            }
            let dimension = *dimensions.entry(embedder).or_insert(collection.dimension);
            if dimension != collection.dimension {
                return wrong(format!(
                    "dimension: another collection of [embedders.{embedder}] has {dimension}, this one {}",
                    collection.dimension
                ));
            }
        }
        let mut by_name = BTreeMap::new();
        for (name, embedder) in &config.embedders {
            let dimension = dimensions.get(name.as_str()).copied();
            let remembered = Remembered::new(name, build(name, embedder)?, dimension, embedder);
            by_name.insert(name.clone(), remembered);
        }
        Ok(Self { by_name })
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.by_name.keys().cloned().collect()
    }

    /// Embeds a word.
    pub(crate) async fn probe(&self, name: &str) -> Result<(), DbError> {
        let embedder =
            self.by_name.get(name).ok_or_else(|| DbError::internal(format!("there is no embedder {name}")))?;
        embedder.probe().await
    }

    /// Embeds for a collection, for one of the tenant's calls.
    pub(crate) async fn embed(
        &self,
        tenant: &TenantId,
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
        let name = &collection.embedder;
        let embedder =
            self.by_name.get(name).ok_or_else(|| DbError::internal(format!("there is no embedder {name}")))?;
        embedder.embed(tenant, texts).await
    }
}

/// One model without a host around it, for whoever loads data. It is read when it is first used.
pub fn embedder(config: &EmbedderConfig) -> Result<Arc<dyn Embedder>, DbError> {
    build("of a caller", config)
}

fn build(name: &str, config: &EmbedderConfig) -> Result<Arc<dyn Embedder>, DbError> {
    Ok(match config {
        EmbedderConfig::Candle { directory, .. } => Arc::new(candle::CandleEmbedder::new(directory.clone())),
        EmbedderConfig::OpenAi(config) => Arc::new(openai::OpenAiEmbedder::new(name, config)?),
    })
}
