//! Loading the generated data.

mod copy;
mod embed;
mod embeddings;
mod rows;
mod set_aside;
mod tables;

use std::sync::Arc;

use jiff::civil::Date;
use sqlx::{Connection, Executor, PgConnection, PgPool, Row};

use crate::RetailError;
use crate::connection::{administrator, owner_pool, owner_with_lock};
use crate::error::Doing;
use crate::generate::{Customers, World};
use crate::options::{LoadOptions, Size};

pub use embed::{BoxError, Embedder, FnEmbedder};

/// Dimension of the embeddings: that of all-MiniLM-L6-v2. For another model change it here, in
/// `sql/0004_search.sql` and in the collection of the host's configuration.
pub const EMBEDDING_DIMENSION: usize = 384;

/// Key of the advisory lock that one load at a time holds ("zavaload" in ASCII).
const LOCK_KEY: i64 = 0x7a61_7661_6c6f_6164;

/// What a load is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Rows of `customers`.
    Customers,
    /// Rows of `orders`; their items are loaded beside them.
    Orders,
    /// Rows of `inventory`.
    Inventory,
    /// Product descriptions embedded.
    Embeddings,
    /// Indexes and foreign keys built.
    Indexes,
    /// Statistics gathered: the last stage, of one step.
    Statistics,
}

/// How far a stage has come. Stages before [`Stage::Indexes`] run at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Which stage.
    pub stage: Stage,
    /// Done so far, up to `total`.
    pub done: u64,
    /// The whole.
    pub total: u64,
}

/// What is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedInfo {
    /// The options of the load.
    pub options: LoadOptions,
    /// The model that made the embeddings.
    pub embedding_model: String,
    /// Number of products.
    pub products: u64,
    /// Number of customers.
    pub customers: u64,
    /// Number of orders.
    pub orders: u64,
    /// Number of order items.
    pub order_items: u64,
}

/// What is loaded in the database, or `None` where nothing is: before [`migrate`](crate::migrate),
/// before a load, and after a load that did not come to its end.
///
/// # Errors
/// [`RetailError::Database`] when the database cannot be asked.
pub async fn loaded(admin_url: &str) -> Result<Option<LoadedInfo>, RetailError> {
    let doing = "asking what is loaded";
    let mut connection = administrator(admin_url).await?;
    let migrated: bool = sqlx::query_scalar("SELECT to_regclass('zava_setup.loads') IS NOT NULL")
        .fetch_one(&mut connection)
        .await
        .doing(doing)?;
    if !migrated {
        connection.close().await.doing(doing)?;
        return Ok(None);
    }
    connection.execute("SET ROLE zava_owner").await.doing(doing)?;
    let row = sqlx::query(
        "SELECT size, today - date '1970-01-01' AS today, seed, embedding_model, products, customers, orders, order_items \
         FROM zava_setup.loads",
    )
    .fetch_optional(&mut connection)
    .await
    .doing(doing)?;
    connection.close().await.doing(doing)?;
    let Some(row) = row else { return Ok(None) };
    let count = |column: &str| row.try_get::<i64, _>(column).map(i64::unsigned_abs);
    let read = || -> Result<LoadedInfo, sqlx::Error> {
        let size = if row.try_get::<&str, _>("size")? == Size::Full.name() { Size::Full } else { Size::Small };
        let today = Date::constant(1970, 1, 1).saturating_add(jiff::Span::new().days(row.try_get::<i32, _>("today")?));
        Ok(LoadedInfo {
            options: LoadOptions { size, today, seed: count("seed")? },
            embedding_model: row.try_get("embedding_model")?,
            products: count("products")?,
            customers: count("customers")?,
            orders: count("orders")?,
            order_items: count("order_items")?,
        })
    };
    read().map(Some).doing(doing)
}

/// Generate the data and load it, in place of whatever the tables hold.
///
/// Everything is done as `zava_owner`, by COPY, with foreign keys and indexes set aside meanwhile.
/// A load that is broken off leaves the database without data but in order: [`loaded`] gives
/// `None`, and the next load puts everything back. `progress` is called often, from several tasks.
///
/// # Errors
/// [`RetailError::Options`] for options that contradict the data, [`RetailError::Database`] when
/// the database fails, [`RetailError::Embedding`] and [`RetailError::EmbeddingShape`] when the
/// embedder does.
pub async fn load(
    admin_url: &str,
    options: LoadOptions,
    embedder: &dyn Embedder,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<LoadedInfo, RetailError> {
    let world = Arc::new(World::new(options)?);
    let mut control = owner_with_lock(admin_url, LOCK_KEY).await?;
    let pool = owner_pool(admin_url).await?;
    let result = load_into(&mut control, &pool, world, embedder, progress).await;
    pool.close().await;
    // The lock goes with the connection; what a failing goodbye would say adds nothing.
    let _ = control.close().await;
    result
}

async fn load_into(
    control: &mut PgConnection,
    pool: &PgPool,
    world: Arc<World>,
    embedder: &dyn Embedder,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<LoadedInfo, RetailError> {
    set_aside::take_away(control).await?;
    let customers = Arc::new(Customers::new(&world));
    tables::reference(control, &world).await?;
    let (order_items, ()) = tokio::try_join!(
        tables::rows(pool, &world, &customers, progress),
        embeddings::load(pool, &world, embedder, progress),
    )?;
    set_aside::put_back(pool, progress).await?;
    tables::statistics(control, progress).await?;
    let info = LoadedInfo {
        options: world.options,
        embedding_model: embedder.model().to_owned(),
        products: world.catalogue.products.len() as u64,
        customers: customers.all.len() as u64,
        orders: u64::from(world.options.size.orders()),
        order_items,
    };
    record(control, &info).await?;
    Ok(info)
}

async fn record(control: &mut PgConnection, info: &LoadedInfo) -> Result<(), RetailError> {
    sqlx::query(
        "INSERT INTO zava_setup.loads (size, today, seed, embedding_model, products, customers, orders, order_items) \
         VALUES ($1, $2::text::date, $3, $4, $5, $6, $7, $8)",
    )
    .bind(info.options.size.name())
    .bind(info.options.today.to_string())
    .bind(info.options.seed.cast_signed())
    .bind(&info.embedding_model)
    .bind(info.products.cast_signed())
    .bind(info.customers.cast_signed())
    .bind(info.orders.cast_signed())
    .bind(info.order_items.cast_signed())
    .execute(control)
    .await
    .map(|_| ())
    .doing("recording the load")
}
