//! Models that turn texts into vectors.
use crate::error::DbError;

/// A model. Its vectors have one dimension and length 1.
#[async_trait::async_trait]
pub trait Embedder: Send + Sync {
    /// Elements of each vector.
    fn dimension(&self) -> u32;

    /// One vector a text, in order.
    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, DbError>;
}
