//! Searches by meaning and by words together, with conditions that the caller chooses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stockade_sdk::vector::{self, Comparison, condition};
use stockade_sdk::{Error, Tool};

/// What to look for.
#[derive(Deserialize, JsonSchema)]
struct Input {
    /// Words.
    text: String,
    /// The column that the category is compared with.
    column: String,
    /// The categories.
    categories: Vec<String>,
    /// The highest price.
    price_max: f64,
}

/// A product.
#[derive(Deserialize, Serialize, JsonSchema)]
struct Product {
    /// Its key for people.
    sku: String,
    /// Its category.
    category_name: String,
    /// Its price.
    base_price: f64,
    /// How well it fits.
    score: f64,
    /// How near it is in meaning.
    similarity: f64,
}

/// What was found.
#[derive(Serialize, JsonSchema)]
struct Found {
    /// Best first.
    products: Vec<Product>,
}

struct Hybrid;

impl Tool for Hybrid {
    const NAME: &'static str = "hybrid_search";
    const TITLE: &'static str = "Hybrid search";
    const DESCRIPTION: &'static str = "Searches products by meaning and by words together.";
    type Input = Input;
    type Output = Found;

    fn call(input: Input) -> Result<Found, Error> {
        let conditions = [
            condition(input.column, Comparison::OneOf, input.categories),
            condition("base_price", Comparison::AtMost, input.price_max),
        ];
        let products = vector::search_hybrid("products", &input.text, &conditions, 5)?.rows()?;
        Ok(Found { products })
    }
}

stockade_sdk::plugin!(Hybrid);
