//! Products by what they are for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stockade_sdk::{Error, Tool, vector};

#[derive(Deserialize, JsonSchema)]
struct Input {
    /// What the product is for, or is like, in plain words: "stop water leaking under the sink".
    #[schemars(length(min = 3, max = 500))]
    query_description: String,
    /// How many products to give at most.
    #[serde(default = "max_rows")]
    #[schemars(range(min = 1, max = 100))]
    max_rows: u32,
    /// The least similarity, from -1 to 1. 0.3 keeps what is related; 0.5 and more is a close match.
    #[serde(default = "similarity_threshold")]
    #[schemars(range(min = -1, max = 1))]
    similarity_threshold: f64,
}

fn max_rows() -> u32 {
    20
}

fn similarity_threshold() -> f64 {
    0.3
}

#[derive(JsonSchema, Serialize)]
struct Output {
    /// The products, most similar first.
    products: Vec<Product>,
}

/// A product, as the collection gives it.
#[derive(Deserialize, JsonSchema, Serialize)]
struct Product {
    /// Key of the product, for joins with retail.order_items and retail.inventory.
    product_id: String,
    /// Stock keeping unit.
    sku: String,
    /// Name.
    product_name: String,
    /// What it is and what it is for.
    product_description: String,
    /// Category, in capitals.
    category_name: String,
    /// List price of one unit today, in US dollars.
    base_price: f64,
    /// Cosine similarity to the question, at most 1.
    similarity: f64,
}

struct SemanticSearchProducts;

impl Tool for SemanticSearchProducts {
    const NAME: &'static str = "semantic_search_products";
    const TITLE: &'static str = "Search products by meaning";
    const DESCRIPTION: &'static str = "Find products by what they are for or like, in everyday words, even \
        where the words are not in the product's name (\"stop water leaking under the sink\"). Use it to get \
        from a need to products. For a known name or SKU, for stock and for sales use execute_sales_query. \
        An empty list means that nothing is similar enough: say it differently, or lower \
        similarity_threshold. At most 100 products.";
    type Input = Input;
    type Output = Output;

    fn call(input: Input) -> Result<Output, Error> {
        let found =
            vector::search("products", input.query_description.trim(), input.max_rows, input.similarity_threshold)?;
        Ok(Output { products: found.rows()? })
    }

    fn text(output: &Output) -> Option<String> {
        let mut text = format!("{} products\n", output.products.len());
        for Product { sku, product_name, base_price, similarity, .. } in &output.products {
            text.push_str(&format!("- {product_name} ({sku}), ${base_price:.2}, similarity {similarity:.2}\n"));
        }
        Some(text)
    }
}

stockade_sdk::plugin!(SemanticSearchProducts);

#[cfg(test)]
mod tests {
    use serde_json::json;
    use stockade_sdk::testing::{self, Host};
    use stockade_sdk::vector::SearchFor;

    use super::SemanticSearchProducts;

    #[test]
    fn the_question_goes_to_the_collection_with_the_defaults() {
        let host = Host::new().on_search(|collection, what, rows_max, similarity_min| {
            assert_eq!((collection, rows_max, similarity_min), ("products", 20, 0.3));
            assert_eq!(what, &SearchFor::Text("a dry cellar".into()));
            Ok(testing::result([
                testing::texts("product_id", [Some("p")]),
                testing::texts("sku", [Some("PL-1")]),
                testing::texts("product_name", [Some("Sump Pump")]),
                testing::texts("product_description", [Some("Lifts water.")]),
                testing::texts("category_name", [Some("PLUMBING")]),
                testing::decimals("base_price", 2, [Some(12_999)]),
                testing::floats("similarity", [Some(0.5)]),
            ]))
        });
        let output = host.call::<SemanticSearchProducts>(json!({"query_description": " a dry cellar "}));
        let product = json!({
            "product_id": "p", "sku": "PL-1", "product_name": "Sump Pump", "product_description": "Lifts water.",
            "category_name": "PLUMBING", "base_price": 129.99, "similarity": 0.5,
        });
        assert_eq!(output, Ok(json!({"products": [product]})));
    }
}
