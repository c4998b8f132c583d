//! How one store does against the period before, what changed, and why it may have.
//!
//! `query` asks for sums by product, customers and day; `facts` holds them; `metrics` and `insights`
//! are plain functions of the facts, tested without a database.

mod facts;
mod insights;
mod metrics;
mod output;
mod query;

use schemars::JsonSchema;
use serde::Deserialize;
use stockade_sdk::{Error, Tool};
use zava::{Scope, StoreId, TimePeriod};

use output::{Output, Period};

#[derive(Deserialize, JsonSchema)]
struct Input {
    /// The store, a key from retail.stores.
    store_id: StoreId,
    /// The days to look at. They are compared with those before, or with the year before.
    time_period: TimePeriod,
}

struct GetStorePerformance;

impl Tool for GetStorePerformance {
    const NAME: &'static str = "get_store_performance";
    const TITLE: &'static str = "Store performance";
    const DESCRIPTION: &'static str = "How one store does in a period against the period before: revenue, orders, \
        average order, units, customers, margin, top products, and insights that say what changed, why it may \
        have, and by how many dollars (orders or basket, customers won and lost, categories, prices, discounts, \
        stock-outs, season, an unusual week). Use it for \"how is store X doing\" and \"why did sales fall\"; for \
        best-seller lists use top_products. Periods are whole days, Pacific time, and end with yesterday, or with \
        the last day that has sales. Cancelled and returned orders do not count. Margins use today's cost. Reasons \
        are computed from sales and stock alone: they are leads, not proofs.";
    type Input = Input;
    type Output = Output;

    fn call(input: Input) -> Result<Output, Error> {
        let scope = Scope::open(Some(&input.store_id))?;
        let Some(store) = scope.store else {
            return Err(Error::unexpected("STORE_MISSING", "a store was asked for and none was given"));
        };
        let spans = input.time_period.spans(scope.until);
        let facts = query::facts(&store.store_id, spans)?;
        Ok(Output {
            store_id: store.store_id,
            store_name: store.store_name,
            period: Period::new(input.time_period, spans),
            metrics: metrics::metrics(&facts),
            insights: insights::insights(&facts),
        })
    }

    fn text(output: &Output) -> Option<String> {
        Some(output::text(output))
    }
}

stockade_sdk::plugin!(GetStorePerformance);
