//! An endpoint that speaks OpenAI's `/embeddings`: OpenAI's own, Azure's, or another's.
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue, RETRY_AFTER};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use self::pace::{Pace, Turn};
use super::Embedder;
use crate::config::OpenAiConfig;
use crate::error::DbError;
use crate::retry::full_jitter;

mod pace;

/// The longest answer that is read, in bytes: 64 vectors of 4,096 numbers as text, and room.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Before the second attempt at most this long is waited; before each further one twice as long.
const BACKOFF: Duration = Duration::from_millis(250);
/// And never longer than this.
const BACKOFF_MAX: Duration = Duration::from_secs(10);

pub(super) struct OpenAiEmbedder {
    client: reqwest::Client,
    name: String,
    url: reqwest::Url,
    key: Option<(HeaderName, HeaderValue)>,
    config: OpenAiConfig,
    permits: Arc<Semaphore>,
    pace: Option<Pace>,
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

/// Why an attempt gave nothing.
enum Failure {
    /// Another attempt may succeed; not before `after`, where the endpoint says so.
    Passing { reason: String, after: Option<Duration>, timed_out: bool },
    /// It will not.
    Lasting(String),
}

impl OpenAiEmbedder {
    pub(super) fn new(name: &str, config: &OpenAiConfig) -> Result<Self, DbError> {
        let wrong = |message: String| DbError::rejected("CONFIG_EMBEDDER", format!("[embedders.{name}] {message}"));
        let url = reqwest::Url::parse(&config.url).map_err(|error| wrong(format!("url: {error}")))?;
        let positive = [config.timeout_ms, config.deadline_ms, u64::from(config.attempts_max)];
        let counts = [config.batch_max, config.concurrency_max, config.texts_per_minute_max.unwrap_or(1) as usize];
        if positive.contains(&0) || counts.contains(&0) {
            return Err(wrong("expected every time-out and every …_max to be 1 or more".to_owned()));
        }
        let client = reqwest::Client::builder()
            .timeout(Duration::from_millis(config.timeout_ms))
            // A redirect would carry the texts, and with them what callers ask, to a host nobody configured.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| wrong(error.to_string()))?;
        Ok(Self {
            client,
            name: name.to_owned(),
            url,
            key: key(config).map_err(wrong)?,
            permits: Arc::new(Semaphore::new(config.concurrency_max)),
            pace: config.texts_per_minute_max.map(Pace::new),
            config: config.clone(),
        })
    }

    fn failed(&self, message: &str) -> DbError {
        DbError::unavailable(format!("embedder {}: {message}", self.name))
    }

    /// Turns for so many texts each.
    fn turns(&self, batches: &[usize], deadline: Instant) -> Result<Vec<Option<Turn<'_>>>, DbError> {
        let Some(pace) = &self.pace else { return Ok(batches.iter().map(|_| None).collect()) };
        let turns = pace.turns(batches, deadline).ok_or_else(|| {
            tracing::warn!(embedder = %self.name, "embedding refused: texts_per_minute_max leaves no room before the deadline");
            DbError::Timeout { code: "EMBEDDING_TIMEOUT" }
        })?;
        Ok(turns.into_iter().map(Some).collect())
    }

    /// One request's texts, until they are embedded or there is no use in trying again.
    async fn request(
        &self,
        texts: &[String],
        mut turn: Option<Turn<'_>>,
        deadline: Instant,
    ) -> Result<Vec<Vec<f32>>, DbError> {
        let mut attempt = 1;
        loop {
            if let Some(turn) = turn.take() {
                turn.come().await;
            }
            let failure = match self.attempt(texts).await {
                Ok(vectors) => return Ok(vectors),
                Err(failure) => failure,
            };
            let (reason, after, timed_out) = match failure {
                Failure::Passing { reason, after, timed_out } => (reason, after, timed_out),
                Failure::Lasting(reason) => return Err(self.failed(&reason)),
            };
            let wait = after.unwrap_or_else(|| full_jitter(backoff(attempt)));
            if attempt >= self.config.attempts_max || Instant::now() + wait >= deadline {
                tracing::warn!(embedder = %self.name, attempt, reason, "embedding given up");
                return Err(if timed_out {
                    DbError::Timeout { code: "EMBEDDING_TIMEOUT" }
                } else {
                    self.failed(&format!("{reason}, after {attempt} attempts"))
                });
            }
            tracing::info!(embedder = %self.name, attempt, reason, wait_ms = wait.as_millis(), "embedding tried again");
            tokio::time::sleep(wait).await;
            turn = self.turns(&[texts.len()], deadline)?.pop().flatten();
            attempt += 1;
        }
    }

    async fn attempt(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, Failure> {
        let _permit = self.permits.acquire().await.map_err(|error| Failure::Lasting(error.to_string()))?;
        let mut request = self.client.post(self.url.clone()).json(&Request { model: &self.config.model, input: texts });
        if let Some((name, value)) = &self.key {
            request = request.header(name, value);
        }
        let mut response = request.send().await.map_err(passing)?;
        let status = response.status();
        if !status.is_success() {
            return Err(refused(status, response.headers().get(RETRY_AFTER)));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(passing)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(Failure::Lasting(format!("the answer is longer than {ANSWER_BYTES_MAX} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        vectors(&body, texts.len()).map_err(Failure::Lasting)
    }
}

#[async_trait::async_trait]
impl Embedder for OpenAiEmbedder {
    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, DbError> {
        let time = Duration::from_millis(self.config.deadline_ms);
        let deadline = Instant::now() + time;
        // More than a minute's texts never go at once.
        let batch_max = self.config.texts_per_minute_max.map_or(usize::MAX, |max| max as usize);
        let batches: Vec<&[String]> = texts.chunks(self.config.batch_max.min(batch_max)).collect();
        let sizes: Vec<usize> = batches.iter().map(|batch| batch.len()).collect();
        let turns = self.turns(&sizes, deadline)?;
        let requests = batches.into_iter().zip(turns).map(|(batch, turn)| self.request(batch, turn, deadline));
        match tokio::time::timeout_at(deadline, try_join_all(requests)).await {
            Ok(batches) => Ok(batches?.concat()),
            Err(_) => {
                tracing::warn!(embedder = %self.name, deadline_ms = self.config.deadline_ms, "embedding out of time");
                Err(DbError::Timeout { code: "EMBEDDING_TIMEOUT" })
            }
        }
    }
}

/// The header that carries the key.
fn key(config: &OpenAiConfig) -> Result<Option<(HeaderName, HeaderValue)>, String> {
    let Some(path) = &config.api_key_file else { return Ok(None) };
    let text = std::fs::read_to_string(path).map_err(|error| format!("api_key_file: {}: {error}", path.display()))?;
    let text = text.trim();
    let (name, value) = match &config.api_key_header {
        None => (AUTHORIZATION, format!("Bearer {text}")),
        Some(header) => {
            let name = header.parse().map_err(|_| "api_key_header: expected the name of a header".to_owned())?;
            (name, text.to_owned())
        }
    };
    let mut value =
        HeaderValue::from_str(&value).map_err(|_| format!("api_key_file: {}: not a key", path.display()))?;
    value.set_sensitive(true);
    Ok(Some((name, value)))
}

/// No answer came, or not all of it.
fn passing(error: reqwest::Error) -> Failure {
    let timed_out = error.is_timeout();
    Failure::Passing { reason: error.without_url().to_string(), after: None, timed_out }
}

fn refused(status: StatusCode, retry_after: Option<&HeaderValue>) -> Failure {
    let reason = format!("the endpoint answered {status}");
    match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {}
        _ if status.is_server_error() => {}
        _ => return Failure::Lasting(format!("{reason}: check url, model and api_key_file")),
    }
    // In seconds; a date, which nobody sends with a 429, is as good as none.
    let after = retry_after.and_then(|value| value.to_str().ok()?.trim().parse().ok()).map(Duration::from_secs);
    Failure::Passing { reason, after, timed_out: false }
}

/// The bound on the time before the attempt after this one.
fn backoff(attempt: u32) -> Duration {
    BACKOFF.saturating_mul(2_u32.saturating_pow(attempt - 1)).min(BACKOFF_MAX)
}

fn vectors(body: &[u8], texts: usize) -> Result<Vec<Vec<f32>>, String> {
    let mut answer: Answer =
        serde_json::from_slice(body).map_err(|error| format!("the answer cannot be read: {error}"))?;
    answer.data.sort_by_key(|item| item.index);
    if !answer.data.iter().map(|item| item.index).eq(0..texts) {
        return Err(format!("expected one vector for each of {texts} texts, found {} vectors", answer.data.len()));
    }
    let unit = |item: Item| normalised(item.embedding).ok_or_else(|| "a vector of length 0".to_owned());
    answer.data.into_iter().map(unit).collect()
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
