//! What is called, and what must come back.

use std::{collections::BTreeMap, sync::Mutex};

use serde_json::{Value, json};
use stockade_tests::HostProcess;

pub(crate) const PLUGINS: [&str; 8] = [
    "execute-sales-query",
    "get-current-utc-date",
    "get-multiple-table-schemas",
    "get-store-performance",
    "hostile",
    "noop",
    "semantic-search-products",
    "top-products",
];

/// Taken out and put back while the others are called.
const SWAPPED: &str = "top_products";
/// Computes until it is stopped.
const SPINS: &str = "burn_cpu";

/// How a call may fail while swaps and faults go on.
fn may_fail(tool: &str, why: &str) -> bool {
    match why {
        "SERVER_BUSY" | "QUERY_TIMEOUT" => true,
        "unknown tool" => tool == SWAPPED,
        "stopped" => tool == SPINS,
        _ => false,
    }
}

/// What the tools gave before anything happened: the data does not change.
pub(crate) struct Expected(Vec<(&'static str, &'static str, Value, Value)>);

/// What the callers have seen.
#[derive(Default)]
pub(crate) struct Seen(Mutex<(u64, BTreeMap<String, u64>, Vec<String>)>);

/// A call without its right reply.
pub(crate) struct Failure {
    tool: &'static str,
    why: String,
}

enum Reply {
    Structured(Value),
    Failed(String),
}

async fn call(host: &HostProcess, caller: &str, tool: &str, arguments: Value) -> Reply {
    let request = host.client(caller).request("tools/call", json!({ "name": tool, "arguments": arguments }));
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) => return Reply::Failed(format!("no reply: {error}")),
    };
    let status = response.status();
    let Ok(message) = response.json::<Value>().await else { return Reply::Failed(format!("HTTP {status}")) };
    let result = &message["result"];
    if message["error"]["code"] == -32602 {
        return Reply::Failed("unknown tool".to_owned());
    }
    match result["isError"].as_bool() {
        Some(true) => {
            let text = result["content"][0]["text"].as_str().unwrap_or_default();
            let stopped = text.starts_with("MCP_ERROR: the tool was stopped");
            let code = if stopped { "stopped" } else { text.split(':').next().unwrap_or_default() };
            Reply::Failed(code.to_owned())
        }
        _ => Reply::Structured(result["structuredContent"].clone()),
    }
}

impl Expected {
    pub(crate) async fn learn(host: &HostProcess) -> Self {
        let store = zava_retail::store_id(zava_retail::StoreKey::Seattle).to_string();
        let mut learnt = Vec::new();
        for (caller, tool, arguments) in [
            ("head-office", "get_multiple_table_schemas", json!({ "table_names": ["retail.orders"] })),
            ("seattle-store", "get_store_performance", json!({ "store_id": store, "time_period": "last_12_months" })),
            ("head-office", SWAPPED, json!({ "time_period": "last_12_months", "by": "revenue", "limit": 5 })),
            ("seattle-store", "semantic_search_products", json!({ "query_description": "a hammer", "max_rows": 5 })),
            ("head-office", "execute_sales_query", json!({ "query": "SELECT count(*) AS n FROM retail.orders" })),
            ("seattle-store", "execute_sales_query", json!({ "query": "SELECT count(*) AS n FROM retail.orders" })),
            (
                "online-store",
                "execute_sales_query",
                json!({ "query": "SELECT store_name FROM retail.stores WHERE false" }),
            ),
            ("head-office", "noop", json!({})),
        ] {
            match call(host, caller, tool, arguments.clone()).await {
                Reply::Structured(reply) => learnt.push((caller, tool, arguments, reply)),
                Reply::Failed(why) => panic!("{tool} does not work: {why}"),
            }
        }
        Self(learnt)
    }

    /// One call: most repeat what is known, some compute a number of their own, some misbehave.
    pub(crate) async fn call(&self, host: &HostProcess, turn: usize) -> Result<(), Failure> {
        match turn % 20 {
            0 => {
                let query = format!("SELECT {turn} AS n");
                judged(host, "head-office", "execute_sales_query", json!({ "query": query }), |reply| {
                    reply["rows"][0][0] == json!(turn)
                })
                .await
            }
            7 => judged(host, "online-store", "get_current_utc_date", json!({}), Value::is_object).await,
            13 => judged(host, "head-office", SPINS, json!({}), |_| false).await,
            _ => {
                let (caller, tool, arguments, expected) = &self.0[turn % self.0.len()];
                judged(host, caller, tool, arguments.clone(), |reply| reply == expected).await
            }
        }
    }
}

async fn judged(
    host: &HostProcess,
    caller: &str,
    tool: &'static str,
    arguments: Value,
    right: impl Fn(&Value) -> bool,
) -> Result<(), Failure> {
    match call(host, caller, tool, arguments).await {
        Reply::Structured(reply) if right(&reply) => Ok(()),
        Reply::Structured(reply) => Err(Failure { tool, why: format!("wrong: {reply}") }),
        Reply::Failed(why) => Err(Failure { tool, why }),
    }
}

impl Seen {
    pub(crate) fn note(&self, outcome: Result<(), Failure>) {
        let (right, failed, wrong) = &mut *self.0.lock().unwrap();
        match outcome {
            Ok(()) => *right += 1,
            Err(Failure { tool, why }) if may_fail(tool, &why) => *failed.entry(why).or_default() += 1,
            Err(Failure { tool, why }) => wrong.push(format!("{tool}: {why}")),
        }
    }

    /// Prints what was seen, and says whether it may be so.
    pub(crate) fn print(&self) -> bool {
        let (right, failed, wrong) = &*self.0.lock().unwrap();
        println!("| right replies | {right} |");
        for (why, times) in failed {
            println!("| failed as expected: {why} | {times} |");
        }
        println!("| wrong replies, or failures of another kind | {} |", wrong.len());
        for why in wrong.iter().take(10) {
            println!("| – | {} |", why.chars().take(200).collect::<String>());
        }
        wrong.is_empty() && *right > 0
    }
}
