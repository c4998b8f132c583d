//! `[embedders]` and `[collections]`: what is searched by meaning, and the models that it was embedded with.
use std::path::PathBuf;

use serde::Deserialize;

use crate::error::DbError;
use crate::identity::is_plain_identifier;

/// `[embedders.<name>]`: a model that turns texts into vectors.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum EmbedderConfig {
    /// A BERT model that runs in this process, on the CPU.
    Candle {
        /// The model's name, kept beside what it embeds.
        model: String,
        /// Holds `config.json`, `tokenizer.json` and `model.safetensors`.
        directory: PathBuf,
        /// Tenants' turns at the model at the same time; never more than one fewer than there are processors.
        #[serde(default = "default_candle_concurrency_max")]
        concurrency_max: usize,
        /// Bytes of vectors that are remembered, so that a text asked for again is not embedded again.
        #[serde(default = "default_cache_bytes_max")]
        cache_bytes_max: u64,
    },
    /// An endpoint that speaks OpenAI's `/embeddings`.
    OpenAi(OpenAiConfig),
}

impl EmbedderConfig {
    /// The model's name, kept beside what it embeds.
    pub fn model(&self) -> &str {
        match self {
            Self::Candle { model, .. } => model,
            Self::OpenAi(config) => &config.model,
        }
    }

    pub(crate) fn cache_bytes_max(&self) -> u64 {
        match self {
            Self::Candle { cache_bytes_max, .. } => *cache_bytes_max,
            Self::OpenAi(config) => config.cache_bytes_max,
        }
    }
}

/// An endpoint that speaks OpenAI's `/embeddings`, OpenAI's own, Azure's or another's.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenAiConfig {
    /// The whole address, e.g. `https://host/v1/embeddings`, or Azure's
    /// `https://RESOURCE.openai.azure.com/openai/deployments/DEPLOYMENT/embeddings?api-version=VERSION`.
    pub url: String,
    /// The model's name: sent with every request, and kept beside what it embeds.
    pub model: String,
    /// The file with the key; without it none is sent.
    pub api_key_file: Option<PathBuf>,
    /// The header that carries the key as it is (Azure: `api-key`). Without it: `Authorization: Bearer KEY`.
    pub api_key_header: Option<String>,
    /// The endpoint has this many milliseconds to answer one request.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
    /// All attempts together have this many milliseconds, with all waiting.
    #[serde(default = "default_deadline_ms")]
    pub deadline_ms: u64,
    /// Attempts at a request that meets 408, 429, 5xx, a time-out or a broken connection.
    #[serde(default = "default_attempts_max")]
    pub attempts_max: u32,
    /// Texts of one request; more texts are several requests.
    #[serde(default = "default_batch_max")]
    pub batch_max: usize,
    /// Requests under way at the same time; further ones wait.
    #[serde(default = "default_concurrency_max")]
    pub concurrency_max: usize,
    /// Texts sent in a minute, attempts included; a whole minute's may go at once. No limit by default.
    pub texts_per_minute_max: Option<u32>,
    /// Bytes of vectors that are remembered, so that a text asked for again is not sent again.
    #[serde(default = "default_cache_bytes_max")]
    pub cache_bytes_max: u64,
}

fn default_candle_concurrency_max() -> usize {
    2
}
fn default_cache_bytes_max() -> u64 {
    16 * 1024 * 1024
}
fn default_timeout_ms() -> u64 {
    10_000
}
fn default_deadline_ms() -> u64 {
    20_000
}
fn default_attempts_max() -> u32 {
    3
}
fn default_batch_max() -> usize {
    64
}
fn default_concurrency_max() -> usize {
    4
}

/// `[collections.<name>]`: rows with embeddings, and the one model that made them. All names are
/// identifiers of a-z, 0-9 and _.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectionConfig {
    /// `schema.name` of a table, or of a view with `security_invoker`.
    pub table: String,
    /// The column that tells its rows apart.
    pub key: String,
    /// The column of the embeddings, `vector` or `halfvec`.
    pub embedding: String,
    /// The columns that a search returns, `similarity` beside them.
    pub columns: Vec<String>,
    /// The name of the embedder.
    pub embedder: String,
    /// Elements of each vector.
    pub dimension: u32,
    /// A caller who sees at most this many rows is searched for exactly, others by the index.
    #[serde(default = "default_exact_rows_max")]
    pub exact_rows_max: u32,
    /// Rows of the index that one search looks at before it gives the index up (`hnsw.max_scan_tuples`).
    #[serde(default = "default_scan_rows_max")]
    pub scan_rows_max: u32,
    /// The column of type `tsvector` that hybrid search looks for words in; without it there is none.
    pub words: Option<String>,
    /// The text search configuration by which a question's words are read.
    #[serde(default = "default_language")]
    pub language: String,
    /// The columns that conditions of a hybrid search may name.
    #[serde(default)]
    pub filters: Vec<String>,
    /// The column with the text that `stockade embed` embeds.
    pub text: Option<String>,
    /// The column in which `stockade embed` keeps the name of the model that made the row's embedding.
    pub model: Option<String>,
}

fn default_exact_rows_max() -> u32 {
    10_000
}
fn default_scan_rows_max() -> u32 {
    20_000
}
fn default_language() -> String {
    "english".to_owned()
}

/// What a search adds to the collection's columns.
const ADDED: [&str; 2] = ["similarity", "score"];

impl CollectionConfig {
    /// These names go into host-made SQL: their alphabet is part of the wall.
    pub(crate) fn check(&self, name: &str) -> Result<(), DbError> {
        let wrong = |what: String| Err(DbError::rejected("CONFIG_COLLECTION", format!("[collections.{name}] {what}")));
        if self.table.split('.').count() != 2 || !self.table.split('.').all(is_plain_identifier) {
            return wrong("table: expected schema.name".to_owned());
        }
        for (column, _) in self.named_columns() {
            if !is_plain_identifier(column) {
                return wrong(format!("expected column names of a-z, 0-9 and _, found {column:?}"));
            }
        }
        if !is_plain_identifier(&self.language) {
            return wrong("language: expected the name of a text search configuration, as english".to_owned());
        }
        if self.columns.is_empty() || self.columns.iter().any(|column| ADDED.contains(&column.as_str())) {
            return wrong(format!("columns: expected at least one, and none of {}", ADDED.join(", ")));
        }
        if self.dimension == 0 || self.scan_rows_max == 0 || i32::try_from(self.scan_rows_max).is_err() {
            return wrong("dimension, scan_rows_max: expected 1 or more".to_owned());
        }
        Ok(())
    }

    /// Every column that is named, and under which key.
    pub(crate) fn named_columns(&self) -> impl Iterator<Item = (&str, &'static str)> {
        let one = [(Some(&self.key), "key"), (Some(&self.embedding), "embedding"), (self.words.as_ref(), "words")];
        let one = one.into_iter().chain([(self.text.as_ref(), "text"), (self.model.as_ref(), "model")]);
        let lists = self.columns.iter().map(|column| (Some(column), "columns"));
        let lists = lists.chain(self.filters.iter().map(|column| (Some(column), "filters")));
        one.chain(lists).filter_map(|(column, key)| column.map(|column| (column.as_str(), key)))
    }
}
