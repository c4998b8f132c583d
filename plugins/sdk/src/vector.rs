//! Embeddings and similarity search, as the caller. The manifest names the collections.

pub use crate::bindings::stockade::plugin::vector::SearchFor;
use crate::{Error, ResultSet, host::vector};

/// Embed texts with the collection's model, in order. At most 64 texts at once.
pub fn embed(collection: &str, texts: &[String]) -> Result<Vec<Vec<f32>>, Error> {
    vector::embed(collection, texts)
}

/// The rows nearest to `text` that the caller may see, nearest first: at most `rows_max`, each with a
/// cosine similarity of `similarity_min`, in [-1, 1], or more. The columns are the collection's, with
/// `similarity` among them.
pub fn search(collection: &str, text: &str, rows_max: u32, similarity_min: f64) -> Result<ResultSet, Error> {
    let what = SearchFor::Text(text.to_owned());
    vector::search(collection, &what, rows_max, similarity_min)
}

/// The same for an embedding of the collection's dimension, each element finite.
pub fn search_embedding(
    collection: &str,
    embedding: Vec<f32>,
    rows_max: u32,
    similarity_min: f64,
) -> Result<ResultSet, Error> {
    vector::search(collection, &SearchFor::Embedding(embedding), rows_max, similarity_min)
}
