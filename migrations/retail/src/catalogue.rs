//! The catalogue: `data/catalogue.txt`, parsed.

use std::str::FromStr;

use uuid::Uuid;

use crate::RetailError;
use crate::season::{Months, Season, Weekdays};
use crate::stores::{Kind, fixed_id};

const FILE: &str = "data/catalogue.txt";
const TEXT: &str = include_str!("../data/catalogue.txt");

/// What a product sells in comparison with the others of its type, by its place in the list.
const POPULARITY_BY_PLACE: [f64; 8] = [2.2, 1.6, 1.3, 1.0, 0.8, 0.6, 0.5, 0.4];

/// How the margin of a product differs from its type's, in percentage points, by the same.
const MARGIN_BY_PLACE: [f64; 8] = [0.0, 2.5, -1.5, 4.0, -3.0, 1.0, -2.0, 3.0];

#[derive(Debug)]
pub(crate) struct Catalogue {
    pub(crate) categories: Vec<Category>,
    pub(crate) types: Vec<ProductType>,
    pub(crate) products: Vec<Product>,
}

#[derive(Debug)]
pub(crate) struct Category {
    pub(crate) id: Uuid,
    pub(crate) name: &'static str,
    code: &'static str,
    /// Share of the lines sold in an average month.
    pub(crate) share: f64,
    pub(crate) months: Months,
    pub(crate) weekdays: Weekdays,
}

#[derive(Debug)]
pub(crate) struct ProductType {
    pub(crate) id: Uuid,
    pub(crate) name: &'static str,
    code: &'static str,
    /// Index of its category.
    pub(crate) category: usize,
    pub(crate) season: Season,
    margin_percent: f64,
    pub(crate) quantity_max: u32,
    purposes: [&'static str; 2],
}

#[derive(Debug)]
pub(crate) struct Product {
    pub(crate) id: Uuid,
    pub(crate) sku: String,
    pub(crate) name: &'static str,
    pub(crate) description: String,
    /// Index of its category.
    pub(crate) category: usize,
    /// Index of its type.
    pub(crate) product_type: usize,
    pub(crate) cost_cents: i64,
    pub(crate) price_cents: i64,
    pub(crate) popularity: f64,
}

impl Catalogue {
    pub(crate) fn parse() -> Result<Self, RetailError> {
        let mut catalogue = Self { categories: Vec::new(), types: Vec::new(), products: Vec::new() };
        let mut place = 0;
        for (index, line) in TEXT.lines().enumerate() {
            let malformed = |message: String| RetailError::DataFile { file: FILE, line: index + 1, message };
            if line.is_empty() || line.starts_with('%') {
            } else if let Some(category) = line.strip_prefix("# ") {
                catalogue.add_category(category).map_err(malformed)?;
            } else if let Some(product_type) = line.strip_prefix("= ") {
                catalogue.add_type(product_type).map_err(malformed)?;
                place = 0;
            } else {
                catalogue.add_product(line, place).map_err(malformed)?;
                place += 1;
            }
        }
        Ok(catalogue)
    }

    /// Index of the product named `name`.
    pub(crate) fn product(&self, name: &str) -> Result<usize, RetailError> {
        self.products.iter().position(|product| product.name == name).ok_or_else(|| RetailError::DataFile {
            file: FILE,
            line: 1,
            message: format!("no product is named {name:?}, which src/effects.rs speaks of"),
        })
    }

    fn add_category(&mut self, line: &'static str) -> Result<(), String> {
        let [name, code, share, months, weekdays] = fields(line)?;
        self.categories.push(Category {
            id: fixed_id(Kind::Category, next(self.categories.len())),
            name,
            code,
            share: number::<f64>(share)? / 100.0,
            months: percents(months)?,
            weekdays: percents(weekdays)?,
        });
        Ok(())
    }

    fn add_type(&mut self, line: &'static str) -> Result<(), String> {
        let [name, code, season, margin, quantity_max, purpose, other_purpose] = fields(line)?;
        self.types.push(ProductType {
            id: fixed_id(Kind::ProductType, next(self.types.len())),
            name,
            code,
            category: self.categories.len().checked_sub(1).ok_or("a type before the first category")?,
            season: Season::from_name(season).ok_or_else(|| format!("unknown season {season:?}"))?,
            margin_percent: number(margin)?,
            quantity_max: number(quantity_max)?,
            purposes: [purpose, other_purpose],
        });
        Ok(())
    }

    fn add_product(&mut self, line: &'static str, place: usize) -> Result<(), String> {
        let mut parts = line.split(" | ");
        let (Some(name), Some(price), Some(what), popularity, None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err("expected: name | base price | what it is [| popularity]".to_owned());
        };
        let (Some(product_type), Some(type_index)) = (self.types.last(), self.types.len().checked_sub(1)) else {
            return Err("a product before the first type".to_owned());
        };
        let category = self.categories.get(product_type.category).ok_or("a product without a category")?;
        let price_cents = (number::<f64>(price)? * 100.0).round() as i64;
        let purpose = if place.is_multiple_of(2) { product_type.purposes[0] } else { product_type.purposes[1] };
        let margin_percent = product_type.margin_percent + by_place(MARGIN_BY_PLACE, place);
        self.products.push(Product {
            id: fixed_id(Kind::Product, next(self.products.len())),
            sku: format!("{}-{}-{:03}", category.code, product_type.code, place + 1),
            name,
            description: format!("{what} {purpose}"),
            category: product_type.category,
            product_type: type_index,
            cost_cents: (price_cents as f64 * (1.0 - margin_percent / 100.0)).round() as i64,
            price_cents,
            popularity: match popularity {
                Some(popularity) => number(popularity)?,
                None => by_place(POPULARITY_BY_PLACE, place),
            },
        });
        Ok(())
    }
}

fn by_place(values: [f64; 8], place: usize) -> f64 {
    values.into_iter().nth(place % 8).unwrap_or_default()
}

fn next(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX).saturating_add(1)
}

fn fields<const N: usize>(line: &'static str) -> Result<[&'static str; N], String> {
    let found: Vec<&'static str> = line.split(" | ").collect();
    let count = found.len();
    found.try_into().map_err(|_| format!("{count} fields, expected {N}"))
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.trim().parse().map_err(|_| format!("{text:?} is not a number of the kind expected here"))
}

fn percents<const N: usize>(text: &str) -> Result<[f64; N], String> {
    let found = text.split(' ').map(|part| Ok(number::<f64>(part)? / 100.0)).collect::<Result<Vec<f64>, String>>()?;
    let count = found.len();
    found.try_into().map_err(|_| format!("{count} percentages, expected {N}"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_catalogue_is_complete() {
        let catalogue = Catalogue::parse().unwrap();
        assert_eq!(catalogue.categories.len(), 9);
        assert_eq!(catalogue.types.len(), 53);
        assert_eq!(catalogue.products.len(), 424);
        let share: f64 = catalogue.categories.iter().map(|category| category.share).sum();
        assert!((share - 1.0).abs() < 1e-9, "the shares add up to {share}");
    }

    #[test]
    fn names_and_skus_are_unique_and_descriptions_differ() {
        let catalogue = Catalogue::parse().unwrap();
        let names: HashSet<_> = catalogue.products.iter().map(|product| product.name).collect();
        let skus: HashSet<_> = catalogue.products.iter().map(|product| &product.sku).collect();
        let descriptions: HashSet<_> = catalogue.products.iter().map(|product| &product.description).collect();
        assert_eq!((names.len(), skus.len(), descriptions.len()), (424, 424, 424));
    }

    #[test]
    fn every_product_earns_something() {
        for product in Catalogue::parse().unwrap().products {
            assert!(product.cost_cents > 0 && product.cost_cents < product.price_cents, "{}", product.name);
        }
    }

    #[test]
    fn a_malformed_line_is_named() {
        let mut catalogue = Catalogue { categories: Vec::new(), types: Vec::new(), products: Vec::new() };
        assert_eq!(catalogue.add_category("A | B | 1").unwrap_err(), "3 fields, expected 5");
        assert_eq!(catalogue.add_product("Claw hammer | 3 | Hits.", 0).unwrap_err(), "a product before the first type");
    }
}
