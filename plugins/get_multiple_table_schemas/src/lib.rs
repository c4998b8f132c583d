//! Tables, columns and keys of the sales data, as far as the caller may read them.

mod catalog;
mod render;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stockade_sdk::{Error, Tool, sql};

/// Where Zava's data is.
const SCHEMA: &str = "retail";

#[derive(Deserialize, JsonSchema)]
struct Input {
    /// The tables, with their schema: `retail.orders`. All that you may read, if left out.
    #[schemars(length(min = 1, max = 20), inner(length(min = 1, max = 128)))]
    table_names: Option<Vec<String>>,
}

#[derive(JsonSchema, Serialize)]
struct Output {
    /// The tables asked for, by name.
    tables: Vec<Table>,
}

/// A table that the caller may read.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq, Serialize)]
struct Table {
    /// Name with schema, as queries need it.
    name: String,
    /// What it holds.
    comment: Option<String>,
    /// True where row security decides which rows you see; the comment says which.
    row_security: bool,
    /// The columns that you may read.
    columns: Vec<Column>,
    /// The columns of the primary key.
    primary_key: Vec<String>,
    /// Other sets of columns that are unique together.
    unique_keys: Vec<Vec<String>>,
    /// Where columns point.
    foreign_keys: Vec<ForeignKey>,
    /// What every row fulfils; a list of possible values stands here.
    checks: Vec<String>,
}

/// A column.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
struct Column {
    /// Name.
    name: String,
    /// PostgreSQL's type, e.g. `numeric(12,2)`.
    #[serde(rename = "type")]
    type_name: String,
    /// Whether it can be null.
    nullable: bool,
    /// The default's SQL.
    default: Option<String>,
    /// What it holds.
    comment: Option<String>,
}

/// A foreign key.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq, Serialize)]
struct ForeignKey {
    /// Columns of this table.
    columns: Vec<String>,
    /// The table that they point to.
    references_table: String,
    /// Its columns, in the same order.
    references_columns: Vec<String>,
}

struct GetMultipleTableSchemas;

impl Tool for GetMultipleTableSchemas {
    const NAME: &'static str = "get_multiple_table_schemas";
    const TITLE: &'static str = "Table schemas";
    const DESCRIPTION: &'static str = "Get tables of Zava's retail data: comments, columns with types, defaults \
        and comments, primary, unique and foreign keys, possible values, and whether row security decides which \
        rows you see. Use it before execute_sales_query, for all tables that a query needs in one call. Without \
        table_names it gives every table that you may read. It gives structure and never rows; at most 20 names.";
    type Input = Input;
    type Output = Output;

    fn call(input: Input) -> Result<Output, Error> {
        let [tables] = sql::query_all([sql::statement(catalog::QUERY, (SCHEMA,))])?;
        let tables = catalog::read(&tables)?;
        let tables = match input.table_names {
            Some(names) => catalog::pick(tables, &names)?,
            None => tables,
        };
        Ok(Output { tables })
    }

    fn text(output: &Output) -> Option<String> {
        Some(render::text(&output.tables))
    }
}

stockade_sdk::plugin!(GetMultipleTableSchemas);
