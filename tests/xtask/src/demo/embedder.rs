//! The model that embeds the product descriptions: the one that the demo's server embeds questions with.
use anyhow::Result;
use std::path::Path;
use zava_retail::{Embedder, FnEmbedder};
pub(super) fn load(_model: &Path) -> Result<impl Embedder + use<>> {
    Ok(FnEmbedder::new("x", |t: Vec<String>| async move {
        let _ = t;
        Ok(Vec::new())
    }))
}
