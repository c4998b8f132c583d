//! (Re)builds a collection: embeds every row whose embedding is missing or another model's. An
//! administrator's act.
//!
//! Rows are done in batches, each in a transaction, so a run that is broken off leaves whole rows behind
//! it, and the next one goes on with the others.
use std::str::FromStr;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};

use super::{Record, VectorType, columns, record};
use crate::config::{CollectionConfig, EmbedderConfig, OpenAiConfig};
use crate::embedder::{Embedder, embedder};
use crate::error::DbError;
use crate::lease::quoted;

/// With nobody waiting for an answer, an endpoint has this long for a batch, all attempts together.
const PATIENCE_MS: u64 = 600_000;
/// Attempts at each request of a batch.
const ATTEMPTS: u32 = 10;

/// How [`rebuild`] goes about it.
#[derive(Debug, Clone, Copy)]
pub struct RebuildOptions {
    /// Rows of one transaction.
    pub batch_rows: u32,
}

impl Default for RebuildOptions {
    fn default() -> Self {
        Self { batch_rows: 256 }
    }
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RebuildProgress {
    /// Rows embedded by this run.
    pub done: u64,
    /// Rows that had no current embedding when it began.
    pub total: u64,
}

/// What a run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rebuilt {
    /// Rows embedded by this run.
    pub embedded: u64,
    /// Rows of the collection that have a current embedding now.
    pub current: u64,
}

/// Embeds the rows of the collection `name` that have no embedding, or another model's, and records the
/// model. Rows without a text have no embedding afterwards: what they have is of a text that is gone.
///
/// `admin_url` is an administrator's whom row security does not bind (a superuser, or BYPASSRLS), and who
/// may update the table.
pub async fn rebuild(
    admin_url: &str,
    name: &str,
    collection: &CollectionConfig,
    model: &EmbedderConfig,
    options: RebuildOptions,
    progress: &(dyn Fn(RebuildProgress) + Send + Sync),
) -> Result<Rebuilt, DbError> {
    collection.check(name)?;
    let connect = PgConnectOptions::from_str(admin_url).map_err(|error| DbError::unavailable(error.to_string()))?;
    let mut connection = PgConnection::connect_with(&connect.disable_statement_logging()).await.map_err(failed)?;
    let outcome = Run::prepare(&mut connection, name, collection, model).await;
    let outcome = match outcome {
        Ok(mut run) => run.run(options, progress).await,
        Err(error) => Err(error),
    };
    let _ = connection.close().await;
    outcome
}

/// Here the administrator is the reader of the message, so it is kept whole.
fn failed(error: sqlx::Error) -> DbError {
    DbError::unavailable(format!("embedding a collection failed: {error}"))
}

struct Run<'a> {
    connection: &'a mut PgConnection,
    collection: &'a CollectionConfig,
    embedder: std::sync::Arc<dyn Embedder>,
    model: &'a str,
    /// A batch of more would wait for its turn beyond any patience.
    texts_per_minute_max: u32,
    sql: Sql,
}

/// Rows of one batch, column by column, as parameters want them.
#[derive(Default)]
struct Batch {
    keys: Vec<String>,
    texts: Vec<String>,
}

impl<'a> Run<'a> {
    async fn prepare(
        connection: &'a mut PgConnection,
        name: &str,
        collection: &'a CollectionConfig,
        model: &'a EmbedderConfig,
    ) -> Result<Self, DbError> {
        let missing = |key: &str| {
            DbError::rejected(
                "CONFIG_COLLECTION",
                format!("[collections.{name}] {key}: is missing; `stockade embed` needs the name of a column there"),
            )
        };
        let text = collection.text.as_deref().ok_or_else(|| missing("text"))?;
        let made_by = collection.model.as_deref().ok_or_else(|| missing("model"))?;
        // Whoever row security binds would see some rows and take them for all: then it is an error.
        sqlx::raw_sql("SET row_security = off").execute(&mut *connection).await.map_err(failed)?;
        let lock = format!("stockade embed {} {}", collection.table, collection.embedding);
        let alone: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock(hashtextextended($1, 0))")
            .bind(lock)
            .fetch_one(&mut *connection)
            .await
            .map_err(failed)?;
        if !alone {
            return Err(DbError::unavailable(format!("another `stockade embed` is at work on {}", collection.table)));
        }
        let vectors = columns(connection, name, collection).await?;
        let extension: String = sqlx::query_scalar(
            "SELECT n.nspname::text FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
             WHERE e.extname = 'vector'",
        )
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
        let key_type: String = sqlx::query_scalar(
            "SELECT format_type(a.atttypid, a.atttypmod) FROM pg_attribute AS a
             WHERE a.attrelid = to_regclass($1) AND a.attname = $2",
        )
        .bind(&collection.table)
        .bind(&collection.key)
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
        let sql = Sql::new(collection, text, made_by, &key_type, vectors, &extension);
        let texts_per_minute_max = match model {
            EmbedderConfig::OpenAi(config) => config.texts_per_minute_max.unwrap_or(u32::MAX),
            EmbedderConfig::Candle { .. } => u32::MAX,
        };
        let embedder = embedder(&patient(model))?;
        Ok(Self { connection, collection, embedder, model: model.model(), texts_per_minute_max, sql })
    }

    async fn run(
        &mut self,
        options: RebuildOptions,
        progress: &(dyn Fn(RebuildProgress) + Send + Sync),
    ) -> Result<Rebuilt, DbError> {
        let known = record(self.connection, self.collection).await?;
        let dimension = i32::try_from(self.collection.dimension).unwrap_or(i32::MAX);
        let same = |known: &Record| known.model == self.model && known.dimension == dimension;
        if !known.as_ref().is_some_and(same) {
            // From the first row of another model on, the column cannot be searched.
            self.write_record(dimension, false).await?;
        }
        let total = self.count(self.sql.stale_count.clone()).await?;
        progress(RebuildProgress { done: 0, total });
        let batch_rows = options.batch_rows.min(self.texts_per_minute_max).max(1);
        let (mut done, mut last) = (0, None);
        loop {
            let batch = self.next(last.as_deref(), batch_rows).await?;
            let Some(key) = batch.keys.last().cloned() else { break };
            done += self.write(batch).await?;
            last = Some(key);
            progress(RebuildProgress { done, total });
        }
        let left = self.count(self.sql.stale_count.clone()).await?;
        if left > 0 {
            return Err(DbError::unavailable(format!(
                "{left} rows of {} were added or changed meanwhile, or could not be updated: run it again",
                self.collection.table
            )));
        }
        let forget = sqlx::query(AssertSqlSafe(self.sql.forget.clone()));
        forget.execute(&mut *self.connection).await.map_err(failed)?;
        self.write_record(dimension, true).await?;
        let current = self.count(self.sql.current_count.clone()).await?;
        Ok(Rebuilt { embedded: done, current })
    }

    async fn count(&mut self, sql: String) -> Result<u64, DbError> {
        let query = sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql)).bind(self.model);
        query.fetch_one(&mut *self.connection).await.map(i64::unsigned_abs).map_err(failed)
    }

    /// The next rows behind `last` that have no current embedding.
    async fn next(&mut self, last: Option<&str>, rows: u32) -> Result<Batch, DbError> {
        let sql = if last.is_some() { &self.sql.further } else { &self.sql.first };
        let query = sqlx::query(AssertSqlSafe(sql.clone())).bind(self.model).bind(i64::from(rows));
        let query = match last {
            Some(last) => query.bind(last.to_owned()),
            None => query,
        };
        let mut batch = Batch::default();
        for row in query.fetch_all(&mut *self.connection).await.map_err(failed)? {
            batch.keys.push(row.try_get(0)?);
            batch.texts.push(row.try_get(1)?);
        }
        Ok(batch)
    }

    /// Embeds a batch and writes it: all of its rows or none. A row whose text has changed meanwhile stays
    /// as it is.
    async fn write(&mut self, batch: Batch) -> Result<u64, DbError> {
        let vectors = self.embedder.embed(&batch.texts).await?;
        let dimension = self.collection.dimension as usize;
        if vectors.len() != batch.texts.len() || vectors.iter().any(|vector| vector.len() != dimension) {
            return Err(DbError::unavailable(format!(
                "the model {} gave {} vectors of {} elements for {} texts, expected {dimension} elements: \
                 is `dimension` or the model's name wrong?",
                self.model,
                vectors.len(),
                vectors.first().map_or(0, Vec::len),
                batch.texts.len(),
            )));
        }
        let vectors: Vec<String> = vectors.iter().map(|vector| as_text(vector)).collect();
        let written = sqlx::query(AssertSqlSafe(self.sql.update.clone()))
            .bind(self.model)
            .bind(batch.keys)
            .bind(batch.texts)
            .bind(vectors)
            .execute(&mut *self.connection)
            .await
            .map_err(failed)?;
        Ok(written.rows_affected())
    }

    async fn write_record(&mut self, dimension: i32, complete: bool) -> Result<(), DbError> {
        sqlx::query(
            "INSERT INTO stockade.collections (table_name, column_name, model, dimension, complete)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (table_name, column_name) DO UPDATE SET
               model = excluded.model, dimension = excluded.dimension, complete = excluded.complete,
               changed_at = clock_timestamp()",
        )
        .bind(&self.collection.table)
        .bind(&self.collection.embedding)
        .bind(self.model)
        .bind(dimension)
        .bind(complete)
        .execute(&mut *self.connection)
        .await
        .map_err(failed)?;
        Ok(())
    }
}

/// PostgreSQL's form of a vector.
fn as_text(vector: &[f32]) -> String {
    let elements: Vec<String> = vector.iter().map(ToString::to_string).collect();
    format!("[{}]", elements.join(","))
}

fn patient(model: &EmbedderConfig) -> EmbedderConfig {
    match model {
        EmbedderConfig::OpenAi(config) => EmbedderConfig::OpenAi(OpenAiConfig {
            deadline_ms: config.deadline_ms.max(PATIENCE_MS),
            attempts_max: config.attempts_max.max(ATTEMPTS),
            ..config.clone()
        }),
        model @ EmbedderConfig::Candle { .. } => model.clone(),
    }
}

/// The run's statements; `$1` is the model in all of them but the last.
struct Sql {
    stale_count: String,
    current_count: String,
    first: String,
    further: String,
    update: String,
    /// Takes away the embeddings of rows that have no text any more, whichever model made them.
    forget: String,
}

impl Sql {
    fn new(
        collection: &CollectionConfig,
        text: &str,
        made_by: &str,
        key_type: &str,
        vectors: VectorType,
        extension: &str,
    ) -> Self {
        let table = collection.table.split('.').map(quoted).collect::<Vec<_>>().join(".");
        let (key, embedding) = (quoted(&collection.key), quoted(&collection.embedding));
        let (text, made_by) = (quoted(text), quoted(made_by));
        let extension = format!("\"{}\"", extension.replace('"', "\"\""));
        let vector = format!("{extension}.{}", vectors.name());
        // A column of no dimension takes any.
        let fits = format!("{extension}.vector_dims(t.{embedding}) = {}", collection.dimension);
        let current = format!("t.{embedding} IS NOT NULL AND t.{made_by} = $1 AND {fits}");
        let stale = format!("t.{text} <> '' AND ({current}) IS NOT TRUE");
        let select = format!("SELECT t.{key}::text, t.{text}::text FROM {table} AS t WHERE {stale}");
        Self {
            stale_count: format!("SELECT count(*) FROM {table} AS t WHERE {stale}"),
            current_count: format!("SELECT count(*) FROM {table} AS t WHERE {current}"),
            first: format!("{select} ORDER BY t.{key} LIMIT $2"),
            further: format!("{select} AND t.{key} > $3::text::{key_type} ORDER BY t.{key} LIMIT $2"),
            update: format!(
                "UPDATE {table} AS t SET {embedding} = v.made::{vector}, {made_by} = $1 \
                 FROM unnest($2::text[], $3::text[], $4::text[]) AS v (key, body, made) \
                 WHERE t.{key} = v.key::{key_type} AND t.{text} = v.body"
            ),
            forget: format!(
                "UPDATE {table} AS t SET {embedding} = NULL \
                 WHERE t.{embedding} IS NOT NULL AND (t.{text} <> '') IS NOT TRUE"
            ),
        }
    }
}
