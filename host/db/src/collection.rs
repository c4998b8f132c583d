//! What the database says of a collection: its columns, and which model made its embeddings.
//!
//! Vectors of two models cannot be compared, and nothing in a vector tells who made it. So
//! `stockade embed` records the model in `stockade.collections`, and a collection whose record is
//! missing, unfinished or another model's is neither started with nor searched.
use std::collections::HashMap;
use std::time::Duration;

use sqlx::Row;
use sqlx::postgres::PgConnection;

use crate::config::{CollectionConfig, DatabaseConfig};
use crate::error::DbError;
use crate::identity::Identity;

mod rebuild;

pub use rebuild::{RebuildOptions, RebuildProgress, Rebuilt, rebuild};

/// What was found about a collection is believed for this long.
const READY_AGE_MAX: Duration = Duration::from_secs(10);
/// How many rows a caller sees is believed for this long.
const SEEN_AGE_MAX: Duration = Duration::from_secs(60);
/// Callers whose counts are remembered; beyond it the least used are counted again.
const SEEN_KEPT_MAX: u64 = 10_000;

/// How the column holds a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VectorType {
    /// Four bytes an element.
    Single,
    /// Two bytes an element.
    Half,
}

impl VectorType {
    /// PostgreSQL's name of the type.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Single => "vector",
            Self::Half => "halfvec",
        }
    }
}

/// Who sees how many rows of which collection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct SeenBy {
    collection: String,
    tenant: String,
    principal: String,
    roles: Vec<String>,
    reader_role: String,
}

impl SeenBy {
    pub(crate) fn new(collection: &str, identity: &Identity) -> Self {
        Self {
            collection: collection.to_owned(),
            tenant: identity.tenant.to_string(),
            principal: identity.principal.to_string(),
            roles: identity.roles.clone(),
            reader_role: identity.reader_role.to_string(),
        }
    }
}

/// What is remembered of the collections, for a while.
pub(crate) struct Collections {
    ready: moka::sync::Cache<String, VectorType>,
    /// At most one more than `exact_rows_max`.
    pub(crate) seen: moka::sync::Cache<SeenBy, u32>,
}

impl Collections {
    pub(crate) fn new() -> Self {
        let cache = moka::sync::Cache::builder();
        Self {
            ready: cache.time_to_live(READY_AGE_MAX).build(),
            seen: moka::sync::Cache::builder().max_capacity(SEEN_KEPT_MAX).time_to_live(SEEN_AGE_MAX).build(),
        }
    }

    /// How the collection holds its vectors, once it is known to be fit for a search.
    pub(crate) async fn ready(
        &self,
        control: &sqlx::postgres::PgPool,
        config: &DatabaseConfig,
        name: &str,
        collection: &CollectionConfig,
    ) -> Result<VectorType, DbError> {
        if let Some(known) = self.ready.get(name) {
            return Ok(known);
        }
        // In a transaction: a pooler could send what is prepared and what is bound to two backends.
        let mut transaction = control.begin().await?;
        let vectors = columns(&mut transaction, name, collection).await?;
        let record = record(&mut transaction, collection).await?;
        transaction.commit().await?;
        let model = config.embedders.get(&collection.embedder).map(|embedder| embedder.model()).unwrap_or_default();
        fit(name, collection, model, record.as_ref()).map_err(DbError::unavailable)?;
        self.ready.insert(name.to_owned(), vectors);
        Ok(vectors)
    }
}

/// What was recorded when the embeddings were made.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) model: String,
    pub(crate) dimension: i32,
    /// False from the first row that a new model embeds to the last.
    pub(crate) complete: bool,
}

pub(crate) async fn record(
    connection: &mut PgConnection,
    collection: &CollectionConfig,
) -> Result<Option<Record>, DbError> {
    let row = sqlx::query(
        "SELECT model, dimension, complete FROM stockade.collections WHERE table_name = $1 AND column_name = $2",
    )
    .persistent(false)
    .bind(&collection.table)
    .bind(&collection.embedding)
    .fetch_optional(connection)
    .await?;
    let read = |row: sqlx::postgres::PgRow| -> Result<Record, sqlx::Error> {
        Ok(Record { model: row.try_get(0)?, dimension: row.try_get(1)?, complete: row.try_get(2)? })
    };
    Ok(row.map(read).transpose()?)
}

/// Whether the configured model made the embeddings; if not, what to do.
fn fit(name: &str, collection: &CollectionConfig, model: &str, record: Option<&Record>) -> Result<(), String> {
    let place = format!("{}.{}", collection.table, collection.embedding);
    let embed = format!("`stockade embed --collection {name}`");
    match record {
        None => Err(format!(
            "[collections.{name}]: no record says which model made the embeddings in {place}: run {embed}, which \
             keeps those of {model} and makes the others"
        )),
        Some(record) if record.model != model || i64::from(record.dimension) != i64::from(collection.dimension) => {
            Err(format!(
                "[collections.{name}]: the embeddings in {place} were made by {} with {} dimensions, and the \
                 configuration says {model} with {}: configure the former, or run {embed} to make them anew",
                record.model, record.dimension, collection.dimension
            ))
        }
        Some(record) if !record.complete => Err(format!(
            "[collections.{name}]: the embeddings in {place} are being made anew by {model}, and are not complete: \
             wait for {embed}, or run it again where it was broken off"
        )),
        Some(_) => Ok(()),
    }
}

/// Checks that every column that the configuration names is there and of its type.
pub(crate) async fn columns(
    connection: &mut PgConnection,
    name: &str,
    collection: &CollectionConfig,
) -> Result<VectorType, DbError> {
    let (schema, table) = collection.table.split_once('.').unwrap_or_default();
    let rows = sqlx::query(
        "SELECT a.attname::text, t.typname::text, a.atttypmod
         FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
         JOIN pg_type AS t ON t.oid = a.atttypid
         WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped",
    )
    .persistent(false)
    .bind(schema)
    .bind(table)
    .fetch_all(connection)
    .await?;
    let mut found: HashMap<String, (String, i32)> = HashMap::new();
    for row in rows {
        found.insert(row.try_get(0)?, (row.try_get(1)?, row.try_get(2)?));
    }
    judge_columns(name, collection, &found).map_err(DbError::unavailable)
}

fn judge_columns(
    name: &str,
    collection: &CollectionConfig,
    found: &HashMap<String, (String, i32)>,
) -> Result<VectorType, String> {
    if found.is_empty() {
        return Err(format!("[collections.{name}] table: there is no table or view {}", collection.table));
    }
    if let Some((column, key)) = collection.named_columns().find(|(column, _)| !found.contains_key(*column)) {
        return Err(format!("[collections.{name}] {key}: {} has no column {column}", collection.table));
    }
    let words = collection.words.as_ref().and_then(|column| found.get(column));
    if let Some((other, _)) = words.filter(|(type_name, _)| type_name != "tsvector") {
        return Err(format!("[collections.{name}] words: expected a column of type tsvector, found {other}"));
    }
    let (type_name, modifier) = found.get(&collection.embedding).cloned().unwrap_or_default();
    // The modifier of both types is their dimension, -1 where the column has none.
    if modifier != -1 && i64::from(modifier) != i64::from(collection.dimension) {
        return Err(format!(
            "[collections.{name}] dimension: the configuration says {}, the column {} has {modifier}",
            collection.dimension, collection.embedding
        ));
    }
    match type_name.as_str() {
        "vector" => Ok(VectorType::Single),
        "halfvec" => Ok(VectorType::Half),
        other => Err(format!("[collections.{name}] embedding: expected a vector or halfvec, found {other}")),
    }
}
