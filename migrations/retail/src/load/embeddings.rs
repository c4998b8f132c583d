//! Embeddings of the products' names and descriptions.

use sqlx::PgPool;

use crate::RetailError;
use crate::error::Doing;
use crate::generate::World;

use super::copy::{Target, copy_all};
use super::rows::Rows;
use super::{EMBEDDING_DIMENSION, Embedder, Progress, Stage};

/// Texts embedded at once.
const BATCH: usize = 16;

const EMBEDDINGS: Target =
    Target { table: "product_description_embeddings", columns: "product_id, description_embedding, embedding_model" };

pub(super) async fn load(
    pool: &PgPool,
    world: &World,
    embedder: &dyn Embedder,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<(), RetailError> {
    let products = &world.catalogue.products;
    let total = products.len() as u64;
    let mut rows = Rows::default();
    let mut done = 0;
    for batch in products.chunks(BATCH) {
        let texts = batch.iter().map(|product| format!("{}. {}", product.name, product.description)).collect();
        let embeddings = embedder.embed(texts).await.map_err(RetailError::Embedding)?;
        if embeddings.len() != batch.len() {
            return Err(shape(format!("{} vectors", embeddings.len()), format!("{}, one a text", batch.len())));
        }
        for (product, embedding) in batch.iter().zip(&embeddings) {
            check(embedding)?;
            rows.embedding(product.id, embedding, embedder.model());
        }
        done += batch.len() as u64;
        progress(Progress { stage: Stage::Embeddings, done, total });
    }
    let mut connection = pool.acquire().await.doing("connecting as zava_owner")?;
    copy_all(&mut connection, EMBEDDINGS, rows.take()).await.map(|_| ())
}

fn check(embedding: &[f32]) -> Result<(), RetailError> {
    if embedding.len() != EMBEDDING_DIMENSION {
        return Err(shape(
            format!("a vector of {} elements", embedding.len()),
            format!("{EMBEDDING_DIMENSION}, the dimension of the column (sql/0004_search.sql)"),
        ));
    }
    if !embedding.iter().all(|element| element.is_finite()) || embedding.iter().all(|element| *element == 0.0) {
        return Err(shape(
            "a vector without a direction".to_owned(),
            "finite elements, one of them not zero".to_owned(),
        ));
    }
    Ok(())
}

fn shape(found: String, expected: String) -> RetailError {
    RetailError::EmbeddingShape { found, expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_vectors_of_the_column_pass() {
        assert!(check(&[0.5; EMBEDDING_DIMENSION]).is_ok());
        assert!(check(&[0.5; 3]).is_err());
        assert!(check(&[0.0; EMBEDDING_DIMENSION]).is_err());
        assert!(check(&[f32::NAN; EMBEDDING_DIMENSION]).is_err());
    }
}
