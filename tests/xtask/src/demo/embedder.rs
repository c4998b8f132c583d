//! The model that embeds the product descriptions, and the collection that is searched by it: the ones of the
//! demo's server.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};
use stockade_db::{CollectionConfig, EmbedderConfig, RebuildOptions};
use zava_retail::{BoxError, Embedder, FnEmbedder};

/// The model's name in the database and in the configuration.
const MODEL: &str = "all-MiniLM-L6-v2";
/// The collection's name in the configuration.
pub(super) const COLLECTION: &str = "products";

/// `[embedders.minilm]`.
pub(super) fn configuration(directory: &Path) -> Value {
    json!({ "kind": "candle", "model": MODEL, "directory": directory })
}

/// `[collections.products]`.
pub(super) fn collection() -> Value {
    let shown = ["product_id", "sku", "product_name", "product_description", "category_name", "base_price"];
    json!({
        "table": "retail.product_search",
        "key": "product_id",
        "embedding": "description_embedding",
        "columns": shown,
        "embedder": "minilm",
        "dimension": zava_retail::EMBEDDING_DIMENSION,
        "words": "search_words",
        "filters": ["category_name", "base_price"],
        "text": "search_text",
        "model": "embedding_model",
    })
}

/// The model in `directory`, for whoever loads data.
///
/// # Errors
/// Where its files are missing or damaged.
pub(super) fn load(directory: &Path) -> Result<impl Embedder + use<>> {
    let model = stockade_db::embedder(&parsed(directory)?).map_err(|error| anyhow!("{}", error.for_log()))?;
    Ok(FnEmbedder::new(MODEL, move |texts: Vec<String>| {
        let model = Arc::clone(&model);
        async move { model.embed(&texts).await.map_err(|error| BoxError::from(error.for_log())) }
    }))
}

/// Records which model made the embeddings, and makes those that are missing.
///
/// # Errors
/// Where the database refuses.
pub(super) async fn record(admin_url: &str, directory: &Path) -> Result<()> {
    let collection: CollectionConfig = serde_json::from_value(collection()).context("the collection")?;
    let model = parsed(directory)?;
    stockade_db::rebuild(admin_url, COLLECTION, &collection, &model, RebuildOptions::default(), &|_| {})
        .await
        .map_err(|error| anyhow!("{}", error.for_log()))?;
    Ok(())
}

fn parsed(directory: &Path) -> Result<EmbedderConfig> {
    serde_json::from_value(configuration(directory)).context("the embedder")
}
