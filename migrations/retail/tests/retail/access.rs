//! What each caller sees: attacks on the policies, with every check of the host taken away.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use zava_retail::{READER_ROLES, StoreKey, demo_callers, store_id};

use crate::cluster::{Context, connect, count, full, reader, run};

/// Rows of each tenant table that a reader sees, and whether all of them are of the stores given.
const SEEN: &str = "\
    SELECT * FROM (
      SELECT 'stores' AS table_name, count(*), coalesce(bool_and(store_id = ANY ($1)), true) FROM retail.stores
      UNION ALL SELECT 'customers', count(*), coalesce(bool_and(store_id = ANY ($1)), true) FROM retail.customers
      UNION ALL SELECT 'inventory', count(*), coalesce(bool_and(store_id = ANY ($1)), true) FROM retail.inventory
      UNION ALL SELECT 'orders', count(*), coalesce(bool_and(store_id = ANY ($1)), true) FROM retail.orders
      UNION ALL SELECT 'order_items', count(*), coalesce(bool_and(store_id = ANY ($1)), true) FROM retail.order_items
    ) t";

const THERE: &str = "\
    SELECT 'stores' AS table_name, count(*) FROM retail.stores WHERE store_id = ANY ($1)
    UNION ALL SELECT 'customers', count(*) FROM retail.customers WHERE store_id = ANY ($1)
    UNION ALL SELECT 'inventory', count(*) FROM retail.inventory WHERE store_id = ANY ($1)
    UNION ALL SELECT 'orders', count(*) FROM retail.orders WHERE store_id = ANY ($1)
    UNION ALL SELECT 'order_items', count(*) FROM retail.order_items WHERE store_id = ANY ($1)";

type Counts = BTreeMap<String, i64>;

async fn there(admin: &mut PgConnection, stores: &[StoreKey]) -> Counts {
    let ids: Vec<_> = stores.iter().map(|store| store_id(*store)).collect();
    sqlx::query_as::<_, (String, i64)>(THERE).bind(ids).fetch_all(admin).await.unwrap().into_iter().collect()
}

/// What `context` sees under `role`; panics on a row of another store than `stores`.
async fn seen(connection: &mut PgConnection, role: &str, context: Option<&Context>, stores: &[StoreKey]) -> Counts {
    let ids: Vec<_> = stores.iter().map(|store| store_id(*store)).collect();
    let mut transaction = reader(connection, role, context).await;
    let rows: Vec<(String, i64, bool)> = sqlx::query_as(SEEN).bind(ids).fetch_all(&mut *transaction).await.unwrap();
    for (table, _, own) in &rows {
        assert!(own, "{table} shows rows of other stores under {role} to {context:?}");
    }
    rows.into_iter().map(|(table, count, _)| (table, count)).collect()
}

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
fn every_caller_sees_their_stores_under_their_role_and_nothing_under_another() {
    run(async {
        let mut connection = connect(full().await).await;
        for caller in demo_callers() {
            for role in READER_ROLES {
                let stores: &[StoreKey] = if role == caller.reader_role { &caller.stores } else { &[] };
                let expected = there(&mut connection, stores).await;
                let found = seen(&mut connection, role, Some(&Context::from(&caller)), stores).await;
                println!("{:<18} {role:<18} {found:?}", caller.key);
                assert_eq!(found, expected, "{} under {role}", caller.key);
                if role == caller.reader_role {
                    assert!(found.values().all(|count| *count > 0), "{} sees no {found:?}", caller.key);
                }
            }
        }
    });
}

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
fn a_context_that_is_not_the_callers_shows_nothing_and_says_nothing() {
    run(async {
        let mut connection = connect(full().await).await;
        let office = Context::from(&demo_callers()[0]);
        let seattle = Context::from(demo_callers().iter().find(|caller| caller.key == "seattle-store").unwrap());
        let strangers = [
            Context { tenant: "other".to_owned(), ..office.clone() },
            Context { tenant: "ZAVA".to_owned(), ..office.clone() },
            Context { roles: vec![], ..office.clone() },
            Context { roles: vec!["store_manager".to_owned()], ..office.clone() },
            // The claim promises what the table does not.
            Context { roles: vec!["head_office".to_owned()], ..seattle.clone() },
            Context { roles: vec!["regional_manager".to_owned()], ..seattle.clone() },
            Context { principal: "00000000-0000-4000-8000-000000000000".to_owned(), ..office.clone() },
            Context { principal: "not a uuid".to_owned(), ..office.clone() },
            Context { principal: String::new(), ..office.clone() },
            Context { principal: office.principal.to_uppercase(), ..office.clone() },
            Context { principal: format!("{} ", office.principal), ..office.clone() },
            Context { principal: format!("{}\n", office.principal), ..office.clone() },
            Context { principal: "' OR true --".to_owned(), ..office.clone() },
        ];
        let contexts = strangers.iter().map(Some).chain([None]);
        for context in contexts {
            for role in READER_ROLES {
                let found = seen(&mut connection, role, context, &[]).await;
                assert!(found.values().all(|count| *count == 0), "{context:?} under {role} sees {found:?}");
                let mut transaction = reader(&mut connection, role, context).await;
                for sql in [
                    "SELECT count(*) FROM retail.products",
                    "SELECT count(*) FROM retail.categories",
                    "SELECT count(*) FROM retail.product_types",
                    "SELECT count(*) FROM retail.product_description_embeddings",
                    "SELECT count(*) FROM retail.principals",
                    "SELECT count(*) FROM retail.principal_stores",
                ] {
                    assert_eq!(count(&mut transaction, sql).await, 0, "{context:?} under {role}: {sql}");
                }
            }
        }
    });
}

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
fn a_context_survives_neither_forgery_nor_its_transaction() {
    run(async {
        let mut connection = connect(full().await).await;
        let office = Context::from(&demo_callers()[0]);
        let mut transaction = reader(&mut connection, "zava_office_reader", Some(&office)).await;
        assert_eq!(count(&mut transaction, "SELECT count(*) FROM retail.stores").await, 8);
        let signed: String = sqlx::query_scalar("SELECT current_setting('stockade.context')")
            .fetch_one(&mut *transaction)
            .await
            .unwrap();
        transaction.commit().await.unwrap();

        let forged = format!("{}0", &signed[..signed.len() - 1]);
        for (what, token) in [
            ("replayed", signed.clone()),
            ("forged", forged),
            ("empty", String::new()),
            ("plain", "{\"tenant\":\"zava\"}".to_owned()),
        ] {
            let mut transaction = sqlx::Connection::begin(&mut connection).await.unwrap();
            sqlx::query("SELECT set_config('stockade.context', $1, true)")
                .bind(&token)
                .execute(&mut *transaction)
                .await
                .unwrap();
            sqlx::raw_sql("SET LOCAL ROLE zava_office_reader").execute(&mut *transaction).await.unwrap();
            assert_eq!(count(&mut transaction, "SELECT count(*) FROM retail.stores").await, 0, "{what}");
            assert_eq!(count(&mut transaction, "SELECT count(*) FROM retail.products").await, 0, "{what}");
        }
    });
}

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
fn the_catalogue_is_every_callers() {
    run(async {
        let mut connection = connect(full().await).await;
        for caller in demo_callers() {
            let mut transaction = reader(&mut connection, caller.reader_role, Some(&Context::from(&caller))).await;
            assert_eq!(count(&mut transaction, "SELECT count(*) FROM retail.products").await, 424);
            assert_eq!(count(&mut transaction, "SELECT count(*) FROM retail.categories").await, 9);
            assert_eq!(count(&mut transaction, "SELECT count(*) FROM retail.product_types").await, 53);
            assert_eq!(
                count(&mut transaction, "SELECT count(*) FROM retail.product_description_embeddings").await,
                424
            );
        }
    });
}

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
fn principals_see_themselves_and_head_office_all() {
    run(async {
        let mut connection = connect(full().await).await;
        let callers = demo_callers();
        for caller in &callers {
            let mut transaction = reader(&mut connection, caller.reader_role, Some(&Context::from(caller))).await;
            let seen: Vec<String> = sqlx::query_scalar("SELECT principal_id::text FROM retail.principals")
                .fetch_all(&mut *transaction)
                .await
                .unwrap();
            let stores = count(&mut transaction, "SELECT count(*) FROM retail.principal_stores").await;
            if caller.key == "head-office" {
                assert_eq!(seen.len(), callers.len());
            } else {
                assert_eq!(seen, [caller.principal.to_string()]);
                assert_eq!(stores, caller.stores.len() as i64);
            }
        }
    });
}

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
fn a_locked_out_principal_and_a_store_manager_of_two_stores_see_nothing() {
    run(async {
        let url = crate::cluster::new_database("zava_locked_out").await;
        zava_retail::load(&url, zava_retail::LoadOptions::tests(), &crate::cluster::fingerprints(), &|_| {})
            .await
            .unwrap();
        let mut connection = connect(&url).await;
        let callers = demo_callers();
        let (office, seattle) = (&callers[0], callers.iter().find(|caller| caller.key == "seattle-store").unwrap());
        sqlx::query("UPDATE retail.principals SET is_active = false WHERE principal_id = $1::text::uuid")
            .bind(office.principal.to_string())
            .execute(&mut connection)
            .await
            .unwrap();
        sqlx::query("INSERT INTO retail.principal_stores VALUES ($1::text::uuid, $2::text::uuid)")
            .bind(seattle.principal.to_string())
            .bind(store_id(StoreKey::Online).to_string())
            .execute(&mut connection)
            .await
            .unwrap();
        for caller in [office, seattle] {
            let mut transaction = reader(&mut connection, caller.reader_role, Some(&Context::from(caller))).await;
            assert_eq!(count(&mut transaction, "SELECT count(*) FROM retail.orders").await, 0, "{}", caller.key);
        }
    });
}

/// Ways around a policy that reads by table: each counts rows that a Seattle caller must not see.
const DETOURS: [&str; 9] = [
    "SELECT count(*) FROM retail.order_items i WHERE i.store_id <> '5a7a0000-0001-4000-8000-000000000001'",
    "SELECT count(*) FROM retail.order_items i LEFT JOIN retail.orders o USING (order_id) WHERE o.order_id IS NULL",
    "SELECT count(*) FROM retail.orders o LEFT JOIN retail.customers c USING (customer_id) WHERE c.customer_id IS NULL",
    "SELECT count(*) FROM retail.customers c RIGHT JOIN retail.stores s USING (store_id) WHERE s.store_name NOT LIKE '%Seattle'",
    "SELECT count(*) FROM retail.principal_stores p WHERE p.store_id <> '5a7a0000-0001-4000-8000-000000000001'",
    "SELECT count(*) FROM (SELECT product_id FROM retail.inventory GROUP BY product_id HAVING count(*) > 1) p",
    "WITH x AS MATERIALIZED (SELECT * FROM retail.orders) SELECT count(*) FROM x WHERE store_id::text NOT LIKE '%0001'",
    "SELECT count(*) FROM retail.products p JOIN retail.order_items i USING (product_id) JOIN retail.stores s ON s.store_id = i.store_id AND s.is_online",
    "SELECT count(*) FROM retail.stores s, LATERAL (SELECT FROM retail.customers c WHERE c.store_id <> s.store_id) t",
];

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
fn no_join_leads_around_a_policy() {
    run(async {
        let mut connection = connect(full().await).await;
        let seattle = Context::from(demo_callers().iter().find(|caller| caller.key == "seattle-store").unwrap());
        let mut transaction = reader(&mut connection, "zava_store_reader", Some(&seattle)).await;
        for sql in DETOURS {
            assert_eq!(count(&mut transaction, sql).await, 0, "{sql}");
        }
    });
}

/// What no reader may do. Each must fail for want of a privilege.
const FORBIDDEN: [&str; 13] = [
    "INSERT INTO retail.customers SELECT gen_random_uuid(), store_id, 'a', 'b', 'c', NULL, now() FROM retail.stores",
    "UPDATE retail.stores SET manager_name = 'x'",
    "DELETE FROM retail.orders",
    "TRUNCATE retail.orders",
    "UPDATE retail.principals SET role = 'head_office'",
    "SELECT * FROM retail.orders FOR UPDATE",
    "LOCK TABLE retail.orders IN ACCESS EXCLUSIVE MODE",
    "SELECT * FROM retail.caller",
    "SELECT * FROM zava_setup.loads",
    "SELECT * FROM stockade.context_keys",
    "CREATE TABLE retail.mine (a int)",
    "ALTER TABLE retail.orders DISABLE ROW LEVEL SECURITY",
    "CREATE FUNCTION retail.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
];

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
fn readers_read_and_nothing_else() {
    run(async {
        let mut connection = connect(full().await).await;
        let office = Context::from(&demo_callers()[0]);
        for role in READER_ROLES {
            for sql in FORBIDDEN {
                let mut transaction = reader(&mut connection, role, Some(&office)).await;
                let error = sqlx::raw_sql(sql).execute(&mut *transaction).await.unwrap_err();
                let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default();
                assert_eq!(code, "42501", "{role}: {sql}: {error}");
            }
        }
    });
}

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
fn the_owner_is_under_the_policies_too() {
    run(async {
        let mut connection = connect(full().await).await;
        let office = Context::from(&demo_callers()[0]);
        let mut transaction = reader(&mut connection, "zava_owner", Some(&office)).await;
        for sql in [
            "SELECT count(*) FROM retail.orders",
            "SELECT count(*) FROM retail.customers",
            "SELECT count(*) FROM retail.products",
        ] {
            assert_eq!(count(&mut transaction, sql).await, 0, "{sql}");
        }
    });
}
