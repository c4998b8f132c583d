//! How the planner runs the policies.

use serde_json::Value;
use zava_retail::demo_callers;

use crate::cluster::{Context, connect, full, reader, run};

const STATEMENTS: [&str; 4] = [
    "SELECT count(*), max(order_date) FROM retail.orders",
    "SELECT p.product_name, sum(i.total_amount) FROM retail.order_items i JOIN retail.orders o USING (store_id, order_id) JOIN retail.products p USING (product_id) GROUP BY 1",
    "SELECT * FROM retail.customers WHERE email = 'nobody@example.com'",
    "SELECT store_name, count(*) FROM retail.stores JOIN retail.inventory USING (store_id) GROUP BY 1",
];

/// All nodes of a plan.
fn nodes<'a>(plan: &'a Value, into: &mut Vec<&'a Value>) {
    into.push(plan);
    for child in plan["Plans"].as_array().into_iter().flatten() {
        nodes(child, into);
    }
}

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
fn a_policy_asks_who_is_calling_once_a_statement() {
    run(async {
        let mut connection = connect(full().await).await;
        for key in ["seattle-store", "northwest-region", "head-office"] {
            let caller = demo_callers().into_iter().find(|caller| caller.key == key).unwrap();
            for statement in STATEMENTS {
                let mut transaction = reader(&mut connection, caller.reader_role, Some(&Context::from(&caller))).await;
                let explain =
                    sqlx::AssertSqlSafe(format!("EXPLAIN (ANALYZE, FORMAT JSON, VERBOSE, TIMING off) {statement}"));
                let plan: Value = sqlx::query_scalar(explain).fetch_one(&mut *transaction).await.unwrap();
                let mut all = Vec::new();
                nodes(&plan[0]["Plan"], &mut all);
                let mut asked = 0;
                for node in all {
                    let text = node.to_string();
                    assert_ne!(node["Parent Relationship"], "SubPlan", "{key}: {statement}: {text}");
                    if node["Parent Relationship"] == "InitPlan" {
                        assert!(node["Actual Loops"].as_f64() <= Some(1.0), "{key}: {statement}: {text}");
                        asked += usize::from(node["Output"].to_string().contains("retail.caller_"));
                    }
                    for condition in ["Filter", "Index Cond", "Recheck Cond", "Join Filter", "Hash Cond"] {
                        assert!(
                            !node[condition].to_string().contains("caller_"),
                            "{key}: {statement}: {}",
                            node[condition]
                        );
                    }
                }
                assert!(asked > 0, "{key}: {statement}: {plan:#}");
            }
        }
    });
}

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
fn a_stores_orders_are_read_by_the_stores_index() {
    run(async {
        let mut connection = connect(full().await).await;
        let caller = demo_callers().into_iter().find(|caller| caller.key == "kirkland-store").unwrap();
        let mut transaction = reader(&mut connection, caller.reader_role, Some(&Context::from(&caller))).await;
        let lines: Vec<String> = sqlx::query_scalar(
            "EXPLAIN SELECT sum(total_amount) FROM retail.orders WHERE order_date >= now() - interval '1 year'",
        )
        .fetch_all(&mut *transaction)
        .await
        .unwrap();
        let plan = lines.join("\n");
        assert!(plan.contains("orders_store_id_order_date"), "{plan}");
    });
}
