//! The model that embeds the product descriptions: the one that the demo's server embeds questions with.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use stockade_db::EmbedderConfig;
use zava_retail::{BoxError, Embedder, FnEmbedder};

/// Texts that are embedded at the same time, in batches: one a processor is what helps.
const CONCURRENCY_MAX: usize = 2;

/// Loads the model in `directory`.
///
/// # Errors
/// Where its files are missing or damaged.
pub(super) fn load(directory: &Path) -> Result<impl Embedder + use<>> {
    let config = EmbedderConfig::Candle { directory: directory.to_owned(), concurrency_max: CONCURRENCY_MAX };
    let model = stockade_db::embedder(&config).map_err(|error| anyhow!("{}", error.for_log()))?;
    Ok(FnEmbedder::new("all-MiniLM-L6-v2", move |texts: Vec<String>| {
        let model = Arc::clone(&model);
        async move { model.embed(&texts).await.map_err(|error| BoxError::from(error.for_log())) }
    }))
}
