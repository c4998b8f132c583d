//! The caller's own SQL over the sales data. The guard, the reader role and row security stand around it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stockade_sdk::{Error, Tool, sql};

/// As in `plugin.toml`.
const ROWS_MAX: u32 = 1000;
const ROWS_DEFAULT: u32 = 200;

#[derive(Deserialize, JsonSchema)]
struct Input {
    /// One SELECT in PostgreSQL's dialect, at most 20,000 characters. Name tables with their schema:
    /// `retail.orders`.
    #[schemars(length(min = 1, max = 20_000))]
    query: String,
    /// How many rows to give at most.
    #[serde(default = "rows_default")]
    #[schemars(range(min = 1, max = ROWS_MAX))]
    max_rows: u32,
}

fn rows_default() -> u32 {
    ROWS_DEFAULT
}

#[derive(JsonSchema, Serialize)]
struct Output {
    /// The columns, in the order of the select list.
    columns: Vec<Column>,
    /// The rows, each a list with a value for every column. Numbers that a JSON reader could not hold
    /// exactly are text, so are dates (2026-11-23) and times (RFC 3339, UTC).
    rows: Vec<Vec<Value>>,
    /// How many rows are here.
    row_count: u32,
    /// True when the query has further rows: aggregate, filter, or use LIMIT and OFFSET.
    truncated: bool,
}

#[derive(JsonSchema, Serialize)]
struct Column {
    /// Its name.
    name: String,
    /// PostgreSQL's name of its type, e.g. `numeric`, `timestamptz`.
    #[serde(rename = "type")]
    type_name: String,
}

struct ExecuteSalesQuery;

impl Tool for ExecuteSalesQuery {
    const NAME: &'static str = "execute_sales_query";
    const TITLE: &'static str = "Query sales data";
    const DESCRIPTION: &'static str = "Run one read-only PostgreSQL query (SELECT, VALUES, or WITH around \
        them) over Zava's retail data and get its rows. Use it for questions that no other tool answers. \
        Call get_multiple_table_schemas first for the tables and columns there are, and name tables with \
        their schema (retail.orders). You see the rows of your own stores only. Let the database add up: \
        at most 1000 rows come back, 200 unless max_rows says otherwise. Nothing can be written.";
    type Input = Input;
    type Output = Output;

    fn call(input: Input) -> Result<Output, Error> {
        let result = sql::query_max(&input.query, (), input.max_rows)?;
        let column =
            |column: &stockade_sdk::Column| Column { name: column.name.clone(), type_name: column.type_name.clone() };
        Ok(Output {
            columns: result.columns.iter().map(column).collect(),
            rows: result.to_json_rows()?,
            row_count: result.row_count,
            truncated: result.truncated,
        })
    }
}

stockade_sdk::plugin!(ExecuteSalesQuery);

#[cfg(test)]
mod tests {
    use serde_json::json;
    use stockade_sdk::testing::{self, Host};

    use super::ExecuteSalesQuery;

    #[test]
    fn rows_come_as_lists_beside_their_columns() {
        let host = Host::new().on_query(|statement, rows_max| {
            assert_eq!((statement.text.as_str(), rows_max), ("SELECT", 200));
            let rows = testing::result([
                testing::texts("store", [Some("Seattle")]),
                testing::decimals("revenue", 2, [Some(1050)]),
            ]);
            Ok(testing::truncated(rows))
        });
        assert_eq!(
            host.call::<ExecuteSalesQuery>(json!({"query": "SELECT"})),
            Ok(json!({
                "columns": [{"name": "store", "type": "text"}, {"name": "revenue", "type": "numeric"}],
                "rows": [["Seattle", 10.5]],
                "row_count": 1,
                "truncated": true,
            }))
        );
    }
}
