//! Foreign keys and indexes, set aside while tables fill: building an index once is several times
//! faster than growing it, and a foreign key would make each table's load wait for another's.
//!
//! The migrations alone say what there is: definitions are read from the catalogue, kept in
//! `zava_setup.set_aside` while they are gone, and run again at the end.

use futures::future::try_join_all;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool};

use crate::RetailError;
use crate::error::Doing;

use super::copy::set_forced;
use super::{Progress, Stage};

/// Indexes are built on so many connections at once.
const BUILDERS: usize = 2;

/// Foreign keys between the application's tables, and indexes that no constraint stands on.
const REMEMBER: &str = "\
    INSERT INTO zava_setup.set_aside (kind, table_name, object_name, referenced_table, definition)
    SELECT 'constraint', t.relname, c.conname, r.relname, format('ALTER TABLE retail.%I ADD CONSTRAINT %I %s', t.relname, c.conname, pg_get_constraintdef(c.oid))
    FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid JOIN pg_class r ON r.oid = c.confrelid
    WHERE c.contype = 'f' AND t.relnamespace = 'retail'::regnamespace AND c.conparentid = 0
    UNION ALL
    SELECT 'index', t.relname, i.relname, NULL, pg_get_indexdef(x.indexrelid)
    FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
    WHERE t.relnamespace = 'retail'::regnamespace AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = x.indexrelid AND c.contype <> 'f')
    ON CONFLICT (table_name, object_name) DO UPDATE SET definition = excluded.definition";

const TAKE_AWAY: &str = "\
    SELECT CASE s.kind
      WHEN 'constraint' THEN format('ALTER TABLE retail.%I DROP CONSTRAINT IF EXISTS %I', s.table_name, s.object_name)
      ELSE format('DROP INDEX IF EXISTS retail.%I', s.object_name)
    END
    FROM zava_setup.set_aside s ORDER BY s.kind";

/// Empty all tables, and set aside what would slow their filling. All or nothing.
pub(super) async fn take_away(control: &mut PgConnection) -> Result<(), RetailError> {
    let doing = "emptying the tables";
    let mut transaction = control.begin().await.doing(doing)?;
    transaction.execute("DELETE FROM zava_setup.loads").await.doing(doing)?;
    transaction.execute(REMEMBER).await.doing(doing)?;
    let statements: Vec<String> = sqlx::query_scalar(TAKE_AWAY).fetch_all(&mut *transaction).await.doing(doing)?;
    for statement in statements {
        transaction.execute(AssertSqlSafe(statement)).await.doing(doing)?;
    }
    transaction
        .execute(
            "TRUNCATE retail.stores, retail.categories, retail.product_types, retail.products, retail.customers, retail.inventory, \
             retail.orders, retail.order_items, retail.principals, retail.principal_stores, retail.product_description_embeddings",
        )
        .await
        .doing(doing)?;
    transaction.commit().await.doing(doing)
}

/// Put everything back: indexes on several connections, then foreign keys one after the other.
pub(super) async fn put_back(pool: &PgPool, progress: &(dyn Fn(Progress) + Send + Sync)) -> Result<(), RetailError> {
    let doing = "reading what was set aside";
    let aside: Vec<Aside> = sqlx::query_as(
        "SELECT table_name, object_name, referenced_table, definition FROM zava_setup.set_aside ORDER BY table_name, object_name",
    )
    .fetch_all(pool)
    .await
    .doing(doing)?;
    let total = aside.len() as u64;
    let done = std::sync::atomic::AtomicU64::new(0);
    let report = || {
        let done = done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        progress(Progress { stage: Stage::Indexes, done, total });
    };
    let (constraints, indexes): (Vec<_>, Vec<_>) = aside.into_iter().partition(|one| one.referenced_table.is_some());
    let builders = (0..BUILDERS).map(|builder| {
        let share: Vec<_> = indexes.iter().skip(builder).step_by(BUILDERS).collect();
        let report = &report;
        async move {
            for index in share {
                restore(pool, index).await?;
                report();
            }
            Ok::<(), RetailError>(())
        }
    });
    try_join_all(builders).await?;
    for constraint in &constraints {
        restore(pool, constraint).await?;
        report();
    }
    Ok(())
}

/// Something that a load has set aside.
#[derive(Debug, sqlx::FromRow)]
struct Aside {
    table_name: String,
    object_name: String,
    /// Of a foreign key.
    referenced_table: Option<String>,
    definition: String,
}

/// The rows of a new foreign key are checked by a query of the owner's, to which FORCE ROW LEVEL
/// SECURITY shows none: it would find keys missing that are there, and none that are not. So FORCE
/// is lifted from both tables, within the transaction that locks them.
async fn restore(pool: &PgPool, aside: &Aside) -> Result<(), RetailError> {
    let doing = "building indexes and foreign keys";
    let mut transaction = pool.begin().await.doing(doing)?;
    let checked: Vec<&str> =
        aside.referenced_table.iter().flat_map(|other| [aside.table_name.as_str(), other]).collect();
    for table in &checked {
        set_forced(&mut transaction, table, false).await?;
    }
    transaction.execute(AssertSqlSafe(aside.definition.clone())).await.doing(doing)?;
    for table in &checked {
        set_forced(&mut transaction, table, true).await?;
    }
    sqlx::query("DELETE FROM zava_setup.set_aside WHERE table_name = $1 AND object_name = $2")
        .bind(&aside.table_name)
        .bind(&aside.object_name)
        .execute(&mut *transaction)
        .await
        .doing(doing)?;
    transaction.commit().await.doing(doing)
}
