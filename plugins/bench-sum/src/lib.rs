//! A hundred thousand rows of six columns, summed in the plugin. `cargo xtask bench` measures with it
//! what it costs to bring data into a guest: columns come as one copy each, and are summed in place.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stockade_sdk::{ColumnValues, Error, Tool, sql};

/// As in `plugin.toml`.
const ROWS_MAX: u32 = 100_000;

/// Two of the six columns are integers, two floats, one a timestamp and one a fixed-point number.
const QUERY: &str = "SELECT i.quantity::int8 AS quantity, i.unit_price, i.total_amount::float8 AS total_amount, \
     i.discount_percent::float8 AS discount_percent, o.order_date, extract(year FROM o.order_date)::int8 AS year \
     FROM retail.order_items i JOIN retail.orders o ON o.store_id = i.store_id AND o.order_id = i.order_id";

#[derive(Deserialize, JsonSchema)]
struct Input {
    /// The query to sum instead of the built-in one.
    #[schemars(length(min = 1, max = 20_000))]
    query: Option<String>,
    /// How many rows at most.
    #[serde(default = "rows")]
    #[schemars(range(min = 1, max = ROWS_MAX))]
    rows: u32,
}

fn rows() -> u32 {
    ROWS_MAX
}

#[derive(JsonSchema, Serialize)]
struct Output {
    /// How many rows there were.
    rows: u32,
    /// The sum of each column, in order: of bytes for text, of microseconds for timestamps.
    sums: Vec<f64>,
}

struct BenchSum;

impl Tool for BenchSum {
    const NAME: &'static str = "bench_sum";
    const TITLE: &'static str = "Sum many rows";
    const DESCRIPTION: &'static str =
        "Reads up to 100,000 rows and sums each column. For measuring what data costs to cross.";
    type Input = Input;
    type Output = Output;

    fn call(input: Input) -> Result<Output, Error> {
        let result = sql::query_max(input.query.as_deref().unwrap_or(QUERY), (), input.rows)?;
        let sums = result.columns.iter().map(|column| sum(&column.values)).collect();
        Ok(Output { rows: result.row_count, sums })
    }
}

/// Nulls hold zero, so they need no look.
fn sum(values: &ColumnValues) -> f64 {
    match values {
        ColumnValues::Integers(values) | ColumnValues::Timestamps(values) | ColumnValues::Times(values) => {
            whole(values)
        }
        ColumnValues::Floats(values) => values.iter().sum(),
        ColumnValues::Decimals(decimals) => whole(&decimals.unscaled) / 10_f64.powi(decimals.scale.into()),
        ColumnValues::Dates(values) => values.iter().map(|&days| f64::from(days)).sum(),
        ColumnValues::Booleans(values) => values.iter().map(|&value| f64::from(value)).sum(),
        ColumnValues::Texts(packed) | ColumnValues::Bytes(packed) => packed.data.len() as f64,
        ColumnValues::Vectors(vectors) => vectors.elements.iter().map(|&element| f64::from(element)).sum(),
    }
}

/// A hundred thousand microsecond counts outgrow 64 bits, and 128 are slow in WebAssembly: the upper and
/// the lower halves are summed apart.
fn whole(values: &[i64]) -> f64 {
    let (mut upper, mut lower) = (0_i64, 0_i64);
    for &value in values {
        upper += value >> 32;
        lower += value & 0xffff_ffff;
    }
    ((i128::from(upper) << 32) + i128::from(lower)) as f64
}

stockade_sdk::plugin!(BenchSum);

#[cfg(test)]
mod tests {
    use serde_json::json;
    use stockade_sdk::testing::{self, Host};

    #[test]
    fn every_kind_of_number_is_summed() {
        let host = Host::new().on_query(|_, _| {
            Ok(testing::result([
                testing::integers("a", [Some(1), None, Some(2)]),
                testing::floats("b", [Some(0.5), Some(0.25), None]),
                testing::decimals("c", 2, [Some(150), Some(-25), None]),
                testing::timestamps("d", [Some(i64::MAX), Some(i64::MAX), None]),
                testing::integers("e", [Some(-1), Some(i64::MIN), Some(1)]),
            ]))
        });
        let output = host.call::<super::BenchSum>(json!({}));
        assert_eq!(output, Ok(json!({"rows": 3, "sums": [3.0, 0.75, 1.25, 2.0 * i64::MAX as f64, i64::MIN as f64]})));
    }
}
