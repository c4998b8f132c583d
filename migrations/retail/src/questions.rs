//! Questions for semantic search, with the product type that answers each.

const TEXT: &str = include_str!("../data/questions.tsv");

/// A question as a customer would type it, none of whose nouns stands in what answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// What somebody asks.
    pub question: &'static str,
    /// The nouns in it, as they stand there, with a space between two.
    pub nouns: &'static str,
    /// `retail.product_types.type_name` of what they need.
    pub type_name: &'static str,
    /// `retail.categories.category_name` of that type.
    pub category_name: &'static str,
}

/// The thirty questions. A search hits when one of its first five products is of the type.
#[must_use]
pub fn questions() -> Vec<Question> {
    TEXT.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let mut fields = line.split('\t');
            Some(Question {
                question: fields.next()?,
                nouns: fields.next()?,
                type_name: fields.next()?,
                category_name: fields.next()?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests;
