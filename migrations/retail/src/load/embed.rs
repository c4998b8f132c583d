//! How the crate gets embeddings, without knowing who makes them.

use futures::FutureExt;
use futures::future::BoxFuture;

/// Any error of an embedder.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Makes embeddings.
pub trait Embedder: Send + Sync {
    /// Name of the model, kept beside every vector.
    fn model(&self) -> &str;

    /// An embedding of each text, in order, of [`EMBEDDING_DIMENSION`](crate::EMBEDDING_DIMENSION)
    /// finite elements. At most 16 texts come at once.
    fn embed(&self, texts: Vec<String>) -> BoxFuture<'_, Result<Vec<Vec<f32>>, BoxError>>;
}

/// An [`Embedder`] from a closure.
#[derive(Debug, Clone)]
pub struct FnEmbedder<F> {
    model: String,
    embed: F,
}

impl<F, Made> FnEmbedder<F>
where
    F: Fn(Vec<String>) -> Made + Send + Sync,
    Made: Future<Output = Result<Vec<Vec<f32>>, BoxError>> + Send,
{
    /// `embed` does what [`Embedder::embed`] says.
    pub fn new(model: impl Into<String>, embed: F) -> Self {
        Self { model: model.into(), embed }
    }
}

impl<F, Made> Embedder for FnEmbedder<F>
where
    F: Fn(Vec<String>) -> Made + Send + Sync,
    Made: Future<Output = Result<Vec<Vec<f32>>, BoxError>> + Send,
{
    fn model(&self) -> &str {
        &self.model
    }

    fn embed(&self, texts: Vec<String>) -> BoxFuture<'_, Result<Vec<Vec<f32>>, BoxError>> {
        // The closure runs when the future is first polled.
        async move { (self.embed)(texts).await }.boxed()
    }
}
