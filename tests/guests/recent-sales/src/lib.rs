use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stockade_sdk::{Error, Tool, sql};

#[derive(Deserialize, JsonSchema)]
struct Input {
    /// How many days back, up to now.
    #[schemars(range(min = 1, max = 366))]
    days: u32,
}

#[derive(Deserialize, JsonSchema, Serialize)]
struct Output {
    /// How many orders.
    orders: u32,
    /// What customers paid, in US dollars.
    revenue: f64,
}

struct RecentSales;

impl Tool for RecentSales {
    const NAME: &'static str = "recent_sales";
    const TITLE: &'static str = "Recent sales";
    const DESCRIPTION: &'static str = "Orders and revenue of your stores in the last days.";
    type Input = Input;
    type Output = Output;

    fn call(input: Input) -> Result<Output, Error> {
        let query = "SELECT count(*) AS orders, coalesce(sum(total_amount), 0) AS revenue
            FROM retail.orders WHERE order_date >= now() - make_interval(days => $1::int)";
        sql::query(query, (input.days,))?.one()
    }
}

stockade_sdk::plugin!(RecentSales);
