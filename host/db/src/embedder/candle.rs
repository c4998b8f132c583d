//! A BERT sentence model in this process, on the CPU: mean pooling, normalised (as
//! all-MiniLM-L6-v2 was trained).
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use rayon::{ThreadPool, ThreadPoolBuildError};
use tokenizers::{PaddingParams, Tokenizer, TruncationParams};
use tokio::sync::{OnceCell, oneshot};

use super::Embedder;
use crate::background;
use crate::error::DbError;

/// Tokens kept of a text: what all-MiniLM-L6-v2 was trained on. The rest is cut.
const TOKENS_MAX: usize = 256;
/// Texts in one pass: memory for a pass grows with it.
const BATCH: usize = 16;

/// Of this process, whatever models it has: a machine has its processors once.
static THREADS: LazyLock<Result<ThreadPool, ThreadPoolBuildError>> = LazyLock::new(|| background::pool("embed"));

pub(super) struct CandleEmbedder {
    directory: PathBuf,
    model: OnceCell<Arc<Loaded>>,
}

struct Loaded {
    model: BertModel,
    tokenizer: Tokenizer,
}

impl CandleEmbedder {
    /// Reads nothing yet: the model is loaded with the first text.
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory, model: OnceCell::new() }
    }
}

#[async_trait::async_trait]
impl Embedder for CandleEmbedder {
    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, DbError> {
        let directory = self.directory.clone();
        let model = self
            .model
            .get_or_try_init(|| async { compute(move || Loaded::read(&directory)).await.map(Arc::new) })
            .await?;
        let mut vectors = Vec::with_capacity(texts.len());
        for batch in texts.chunks(BATCH) {
            let (model, batch) = (Arc::clone(model), batch.to_vec());
            vectors.extend(compute(move || model.embed(batch)).await?);
        }
        Ok(vectors)
    }
}

/// Computes to the end, whether it is waited for or not.
async fn compute<T: Send + 'static>(work: impl FnOnce() -> Result<T, DbError> + Send + 'static) -> Result<T, DbError> {
    let failed = |error: &dyn std::fmt::Display| DbError::internal(format!("embedding: {error}"));
    let (sender, receiver) = oneshot::channel();
    THREADS.as_ref().map_err(|error| failed(error))?.spawn(move || drop(sender.send(work())));
    receiver.await.map_err(|error| failed(&error))?
}

impl Loaded {
    fn read(directory: &Path) -> Result<Self, DbError> {
        let file = |name: &str| {
            let path = directory.join(name);
            std::fs::read(&path)
                .map_err(|error| DbError::unavailable(format!("embedding model: {}: {error}", path.display())))
        };
        let wrong = |what: &str, error: &dyn std::fmt::Display| {
            DbError::unavailable(format!("embedding model: {}: {what}: {error}", directory.display()))
        };
        let config: Config =
            serde_json::from_slice(&file("config.json")?).map_err(|error| wrong("config.json", &error))?;
        let mut tokenizer =
            Tokenizer::from_bytes(file("tokenizer.json")?).map_err(|error| wrong("tokenizer.json", &error))?;
        tokenizer.with_padding(Some(PaddingParams::default()));
        tokenizer
            .with_truncation(Some(TruncationParams { max_length: TOKENS_MAX, ..TruncationParams::default() }))
            .map_err(|error| wrong("tokenizer.json", &error))?;
        let weights = VarBuilder::from_buffered_safetensors(file("model.safetensors")?, DType::F32, &Device::Cpu)
            .map_err(|error| wrong("model.safetensors", &error))?;
        let model = BertModel::load(weights, &config).map_err(|error| wrong("model.safetensors", &error))?;
        Ok(Self { model, tokenizer })
    }

    fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, DbError> {
        let encodings = self
            .tokenizer
            .encode_batch(texts, true)
            .map_err(|error| DbError::internal(format!("tokenizer: {error}")))?;
        let ids: Vec<Vec<u32>> = encodings.iter().map(|encoding| encoding.get_ids().to_vec()).collect();
        let mask: Vec<Vec<u32>> = encodings.iter().map(|encoding| encoding.get_attention_mask().to_vec()).collect();
        self.forward(ids, mask).map_err(|error| DbError::internal(format!("embedding: {error}")))
    }

    fn forward(&self, ids: Vec<Vec<u32>>, mask: Vec<Vec<u32>>) -> candle_core::Result<Vec<Vec<f32>>> {
        let ids = Tensor::new(ids, &Device::Cpu)?;
        let mask = Tensor::new(mask, &Device::Cpu)?;
        let tokens = self.model.forward(&ids, &ids.zeros_like()?, Some(&mask))?;
        // The mean of the tokens that are no padding, scaled to length 1.
        let weights = mask.to_dtype(DType::F32)?.unsqueeze(2)?;
        let mean = tokens.broadcast_mul(&weights)?.sum(1)?.broadcast_div(&weights.sum(1)?)?;
        let length = mean.sqr()?.sum_keepdim(1)?.sqrt()?;
        mean.broadcast_div(&length)?.to_vec2()
    }
}
