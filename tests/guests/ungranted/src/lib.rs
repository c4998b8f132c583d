//! Imports `vector` and does not ask for it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stockade_sdk::{Error, Tool, vector};

/// No arguments.
#[derive(Deserialize, JsonSchema)]
struct Nothing {}

/// How many rows came back.
#[derive(Serialize, JsonSchema)]
struct Found {
    /// Rows.
    rows: u32,
}

struct Search;

impl Tool for Search {
    const NAME: &'static str = "ungranted_search";
    const TITLE: &'static str = "Search";
    const DESCRIPTION: &'static str = "Searches a collection that nobody granted.";
    type Input = Nothing;
    type Output = Found;

    fn call(_: Nothing) -> Result<Found, Error> {
        let found = vector::search("products", "paint", 1, -1.0)?;
        Ok(Found { rows: found.row_count })
    }
}

stockade_sdk::plugin!(Search);
