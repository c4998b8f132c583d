//! Embeddings and similarity search, as the caller. The manifest names the collections.

pub use crate::bindings::stockade::plugin::vector::{Comparison, Condition, Operand, SearchFor};
use crate::{Error, ResultSet, host::vector};

/// Embed texts with the collection's model, in order. At most 64 texts at once.
pub fn embed(collection: &str, texts: &[String]) -> Result<Vec<Vec<f32>>, Error> {
    vector::embed(collection, texts)
}

/// The rows nearest to `text` that the caller may see, nearest first: at most `rows_max`, each with a
/// cosine similarity of `similarity_min`, in [-1, 1], or more. The columns are the collection's, with
/// `similarity` among them.
pub fn search(collection: &str, text: &str, rows_max: u32, similarity_min: f64) -> Result<ResultSet, Error> {
    let what = SearchFor::Text(text.to_owned());
    vector::search(collection, &what, rows_max, similarity_min)
}

/// The same for an embedding of the collection's dimension, each element finite.
pub fn search_embedding(
    collection: &str,
    embedding: Vec<f32>,
    rows_max: u32,
    similarity_min: f64,
) -> Result<ResultSet, Error> {
    vector::search(collection, &SearchFor::Embedding(embedding), rows_max, similarity_min)
}

/// The rows that fit `text` best, by meaning and by words together, among those that satisfy all
/// `conditions`: at most `rows_max`, best first. The columns are the collection's, with `score` and
/// `similarity` among them.
///
/// ```no_run
/// # use stockade_sdk::{Error, vector::{self, Comparison, condition}};
/// # fn f() -> Result<(), Error> {
/// let affordable = condition("base_price", Comparison::AtMost, 20.0);
/// let found = vector::search_hybrid("products", "waterproof \"wood glue\"", &[affordable], 10)?;
/// # Ok(()) }
/// ```
pub fn search_hybrid(
    collection: &str,
    text: &str,
    conditions: &[Condition],
    rows_max: u32,
) -> Result<ResultSet, Error> {
    vector::search_hybrid(collection, text, conditions, rows_max)
}

/// A condition on a column that the operator lists for the collection.
pub fn condition(column: impl Into<String>, comparison: Comparison, operand: impl Into<Operand>) -> Condition {
    Condition { column: column.into(), comparison, operand: operand.into() }
}

macro_rules! operands {
    ($($from:ty => |$value:ident| $to:expr;)*) => {$(
        impl From<$from> for Operand {
            fn from($value: $from) -> Self {
                $to
            }
        }
    )*};
}

operands! {
    bool => |value| Self::Boolean(value);
    i32 => |value| Self::Integer(value.into());
    i64 => |value| Self::Integer(value);
    f64 => |value| Self::Float(value);
    &str => |value| Self::Text(value.to_owned());
    String => |value| Self::Text(value);
    Vec<i64> => |value| Self::Integers(value);
    Vec<String> => |value| Self::Texts(value);
}
