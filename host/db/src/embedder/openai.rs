//! An endpoint that speaks OpenAI's `/embeddings`.
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Embedder;
use crate::error::DbError;
use crate::secret::Secret;

/// The longest answer that is read, in bytes: 64 vectors of 4,096 numbers as text, and room.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

pub(super) struct OpenAiEmbedder {
    client: reqwest::Client,
    name: String,
    url: reqwest::Url,
    model: String,
    api_key: Option<Secret>,
}

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    input: &'a [String],
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    embedding: Vec<f32>,
}

impl OpenAiEmbedder {
    pub(super) fn new(
        name: &str,
        url: &str,
        model: &str,
        api_key_file: Option<&Path>,
        timeout_ms: u64,
    ) -> Result<Self, DbError> {
        let wrong = |message: String| DbError::rejected("CONFIG_EMBEDDER", format!("[embedders.{name}] {message}"));
        let url = reqwest::Url::parse(url).map_err(|error| wrong(format!("url: {error}")))?;
        let api_key = api_key_file
            .map(|path| {
                std::fs::read_to_string(path)
                    .map(|text| Secret::new(text.trim()))
                    .map_err(|error| wrong(format!("api_key_file: {}: {error}", path.display())))
            })
            .transpose()?;
        let client = reqwest::Client::builder()
            .timeout(Duration::from_millis(timeout_ms))
            // A redirect would carry the texts, and with them what callers ask, to a host nobody configured.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| wrong(error.to_string()))?;
        Ok(Self { client, name: name.to_owned(), url, model: model.to_owned(), api_key })
    }

    fn failed(&self, message: &str) -> DbError {
        DbError::unavailable(format!("embedder {}: {message}", self.name))
    }
}

#[async_trait::async_trait]
impl Embedder for OpenAiEmbedder {
    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, DbError> {
        let mut request = self.client.post(self.url.clone()).json(&Request { model: &self.model, input: texts });
        if let Some(key) = &self.api_key {
            request = request.bearer_auth(key.expose());
        }
        let failed = |error: reqwest::Error| self.failed(&error.without_url().to_string());
        let mut response = request.send().await.map_err(failed)?.error_for_status().map_err(failed)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(self.failed(&format!("the answer is longer than {ANSWER_BYTES_MAX} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        let mut answer: Answer = serde_json::from_slice(&body).map_err(|error| self.failed(&error.to_string()))?;
        answer.data.sort_by_key(|item| item.index);
        answer
            .data
            .into_iter()
            .map(|item| normalised(item.embedding).ok_or_else(|| self.failed("a vector of length 0")))
            .collect()
    }
}

fn normalised(mut vector: Vec<f32>) -> Option<Vec<f32>> {
    let length = vector.iter().map(|element| f64::from(*element).powi(2)).sum::<f64>().sqrt();
    if !length.is_finite() || length == 0.0 {
        return None;
    }
    for element in &mut vector {
        *element = (f64::from(*element) / length) as f32;
    }
    Some(vector)
}
