//! Which table is filled when.

use std::sync::Arc;

use sqlx::{Executor, PgConnection, PgPool};
use tokio::sync::mpsc;

use crate::RetailError;
use crate::callers::demo_callers;
use crate::error::Doing;
use crate::generate::{Customers, Orders, World, inventory};

use super::copy::{Target, copy, copy_all};
use super::rows::Rows;
use super::{Progress, Stage};

/// Bytes of rows that are sent at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// Chunks that wait for the database.
const CHUNKS_WAITING_MAX: usize = 4;

const REFERENCE: [Target; 4] = [
    Target { table: "stores", columns: "store_id, store_name, location, manager_name, is_online, opened_on" },
    Target { table: "categories", columns: "category_id, category_name" },
    Target { table: "product_types", columns: "type_id, category_id, type_name" },
    Target {
        table: "products",
        columns: "product_id, sku, product_name, category_id, type_id, product_description, cost, base_price",
    },
];
const PRINCIPALS: Target = Target { table: "principals", columns: "principal_id, display_name, role" };
const PRINCIPAL_STORES: Target = Target { table: "principal_stores", columns: "principal_id, store_id" };
const CUSTOMERS: Target =
    Target { table: "customers", columns: "customer_id, store_id, first_name, last_name, email, phone, created_at" };
const INVENTORY: Target =
    Target { table: "inventory", columns: "store_id, product_id, stock_level, reorder_level, updated_at" };
const ORDERS: Target =
    Target { table: "orders", columns: "order_id, store_id, customer_id, order_date, total_amount, status" };
const ORDER_ITEMS: Target = Target {
    table: "order_items",
    columns: "order_item_id, order_id, store_id, product_id, quantity, unit_price, discount_percent, discount_amount, total_amount",
};

/// Stores, catalogue and principals.
pub(super) async fn reference(control: &mut PgConnection, world: &World) -> Result<(), RetailError> {
    let mut rows = Rows::default();
    for target in REFERENCE {
        rows.reference(target.table, world);
        copy_all(control, target, rows.take()).await?;
    }
    let callers = demo_callers();
    callers.iter().for_each(|caller| rows.principal(caller));
    copy_all(control, PRINCIPALS, rows.take()).await?;
    callers.iter().for_each(|caller| rows.principal_stores(caller));
    copy_all(control, PRINCIPAL_STORES, rows.take()).await?;
    Ok(())
}

/// Customers, inventory, and orders with their items, beside each other. Gives the number of items.
pub(super) async fn rows(
    pool: &PgPool,
    world: &Arc<World>,
    customers: &Arc<Customers>,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<u64, RetailError> {
    let (items, _, _) = tokio::try_join!(
        orders(pool, world, customers, progress),
        few(pool, CUSTOMERS, Stage::Customers, progress, || {
            let mut rows = Rows::default();
            customers.all.iter().for_each(|customer| rows.customer(customer));
            rows
        }),
        few(pool, INVENTORY, Stage::Inventory, progress, || {
            let mut rows = Rows::default();
            inventory(world).iter().for_each(|stock| rows.stock(world, stock));
            rows
        }),
    )?;
    Ok(items)
}

/// A table whose rows fit into memory.
async fn few(
    pool: &PgPool,
    target: Target,
    stage: Stage,
    progress: &(dyn Fn(Progress) + Send + Sync),
    rows: impl FnOnce() -> Rows,
) -> Result<(), RetailError> {
    let mut connection = pool.acquire().await.doing("connecting as zava_owner")?;
    let copied = copy_all(&mut connection, target, rows().take()).await?;
    progress(Progress { stage, done: copied, total: copied });
    Ok(())
}

/// Orders and items are generated on a thread of their own and stream into both tables.
async fn orders(
    pool: &PgPool,
    world: &Arc<World>,
    customers: &Arc<Customers>,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<u64, RetailError> {
    let doing = "connecting as zava_owner";
    let (mut for_orders, mut for_items) = tokio::try_join!(pool.acquire(), pool.acquire()).doing(doing)?;
    let (order_chunks, order_rows) = mpsc::channel(CHUNKS_WAITING_MAX);
    let (item_chunks, item_rows) = mpsc::channel(CHUNKS_WAITING_MAX);
    let (counts, mut counted) = mpsc::unbounded_channel();
    let (their_world, their_customers) = (Arc::clone(world), Arc::clone(customers));
    let generator = tokio::task::spawn_blocking(move || {
        generate(&their_world, &their_customers, &order_chunks, &item_chunks, &counts)
    });
    let total = u64::from(world.options.size.orders());
    let report = async {
        while let Some(done) = counted.recv().await {
            progress(Progress { stage: Stage::Orders, done, total });
        }
        Ok(())
    };
    let (_, items, ()) = tokio::try_join!(
        copy(&mut for_orders, ORDERS, order_rows),
        copy(&mut for_items, ORDER_ITEMS, item_rows),
        report
    )?;
    generator.await.map_err(|error| RetailError::Generator(error.to_string()))?;
    Ok(items)
}

/// Runs until the last order, or until a receiver is gone because its COPY failed.
fn generate(
    world: &World,
    customers: &Customers,
    order_chunks: &mpsc::Sender<Vec<u8>>,
    item_chunks: &mpsc::Sender<Vec<u8>>,
    counts: &mpsc::UnboundedSender<u64>,
) {
    let (mut orders, mut items, mut done) = (Rows::default(), Rows::default(), 0);
    let send = |rows: &mut Rows, chunks: &mpsc::Sender<Vec<u8>>, at_least: usize| {
        rows.len() < at_least || chunks.blocking_send(rows.take()).is_ok()
    };
    for day in Orders::new(world, customers) {
        done += day.len() as u64;
        for order in &day {
            orders.order(customers, order);
            items.items(world, order);
        }
        if !send(&mut orders, order_chunks, CHUNK_BYTES) || !send(&mut items, item_chunks, CHUNK_BYTES) {
            return;
        }
        let _ = counts.send(done);
    }
    send(&mut orders, order_chunks, 1);
    send(&mut items, item_chunks, 1);
}

/// What the planner needs, and the visibility map for scans of an index alone.
pub(super) async fn statistics(
    control: &mut PgConnection,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<(), RetailError> {
    control
        .execute(
            "VACUUM (ANALYZE) retail.stores, retail.categories, retail.product_types, retail.products, retail.customers, retail.inventory, \
             retail.orders, retail.order_items, retail.principals, retail.principal_stores, retail.product_description_embeddings",
        )
        .await
        .doing("gathering statistics")?;
    progress(Progress { stage: Stage::Statistics, done: 1, total: 1 });
    Ok(())
}
