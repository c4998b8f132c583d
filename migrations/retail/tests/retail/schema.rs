//! What the migrations make.

use crate::cluster::{connect, count, full, run};

/// Each counts what must not be there.
const FAULTS: [(&str, &str); 9] = [
    (
        "tables without forced row security",
        "SELECT count(*) FROM pg_class WHERE relnamespace = 'retail'::regnamespace AND relkind IN ('r', 'p') AND NOT (relrowsecurity AND relforcerowsecurity)",
    ),
    (
        "tables that are not zava_owner's",
        "SELECT count(*) FROM pg_class WHERE relnamespace = 'retail'::regnamespace AND relowner <> 'zava_owner'::regrole",
    ),
    (
        "functions that are not zava_owner's, or that anybody may execute",
        "SELECT count(*) FROM pg_proc p WHERE pronamespace = 'retail'::regnamespace AND (proowner <> 'zava_owner'::regrole OR EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0))",
    ),
    (
        "definer functions without a pinned search path",
        "SELECT count(*) FROM pg_proc WHERE pronamespace = 'retail'::regnamespace AND prosecdef AND NOT coalesce(proconfig @> ARRAY['search_path=pg_catalog, pg_temp'], false)",
    ),
    (
        "tables, views and their columns without a comment, but for the view behind the policies",
        "SELECT count(*) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped AND a.attnum > 0 WHERE c.relnamespace = 'retail'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') AND c.relname <> 'caller' AND (obj_description(c.oid, 'pg_class') IS NULL OR col_description(c.oid, a.attnum) IS NULL)",
    ),
    (
        "rights of the owner that it needs not",
        "SELECT count(*) FROM pg_roles WHERE rolname = 'zava_owner' AND (rolsuper OR rolbypassrls OR rolcanlogin OR rolcreaterole OR rolcreatedb)",
    ),
    (
        "uniqueness over all stores that a value chosen by people could meet",
        "SELECT count(*) FROM pg_constraint k WHERE k.contype IN ('u', 'p') AND k.conrelid IN ('retail.customers'::regclass, 'retail.orders'::regclass, 'retail.order_items'::regclass, 'retail.inventory'::regclass) AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey) AND a.attname = 'store_id') AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey) AND a.atttypid <> 'uuid'::regtype)",
    ),
    (
        "foreign keys between tenant tables without store_id",
        "SELECT count(*) FROM pg_constraint k WHERE k.contype = 'f' AND k.conrelid IN ('retail.orders'::regclass, 'retail.order_items'::regclass) AND k.confrelid IN ('retail.orders'::regclass, 'retail.customers'::regclass) AND array_length(k.conkey, 1) < 2",
    ),
    (
        "foreign keys whose columns no index begins with",
        "SELECT count(*) FROM pg_constraint k WHERE k.contype = 'f' AND k.connamespace = 'retail'::regnamespace AND NOT EXISTS (SELECT FROM pg_index x WHERE x.indrelid = k.conrelid AND (x.indkey::int2[])[0:array_length(k.conkey, 1) - 1] @> k.conkey) AND k.conrelid::regclass::text NOT LIKE '%orders'",
    ),
];

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
fn the_schema_keeps_its_rules() {
    run(async {
        let mut connection = connect(full().await).await;
        for (fault, sql) in FAULTS {
            assert_eq!(count(&mut connection, sql).await, 0, "{fault}");
        }
    });
}

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
fn migrating_again_changes_nothing() {
    run(async {
        let url = full().await;
        zava_retail::migrate(url).await.unwrap();
        let mut connection = connect(url).await;
        assert_eq!(count(&mut connection, "SELECT count(*) FROM zava_setup.migrations WHERE success").await, 7);
        assert_eq!(count(&mut connection, "SELECT count(*) FROM retail.orders").await, 200_000);
    });
}
