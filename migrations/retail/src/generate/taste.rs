//! Who wants what, when: the tables that lines are drawn from.

use crate::catalogue::Catalogue;
use crate::effects::{CUSTOMER_GROUPS, CustomerGroup};
use crate::season::Season;

use super::weighted::Weighted;

const GROUPS: usize = CUSTOMER_GROUPS.len();

/// Tables over group, month (0 is January) and weekday (0 is Monday).
#[derive(Debug)]
pub(super) struct Taste {
    /// Groups, by how many orders each places: month, weekday.
    groups: Vec<Weighted>,
    /// Categories, by how many lines of each a group buys: group, month, weekday.
    categories: Vec<Weighted>,
    /// Products of a category: category, month. Each with the index of its first product.
    products: Vec<(usize, Weighted)>,
    /// Products that a windstorm sells, with their indices.
    storm: (Vec<usize>, Weighted),
    /// Lines in an order of each group.
    pub(super) lines: Vec<Weighted>,
}

impl Taste {
    pub(super) fn new(catalogue: &Catalogue) -> Self {
        let days = || (0..12).flat_map(|month| (0..7).map(move |weekday| (month, weekday)));
        let categories: Vec<Weighted> = CUSTOMER_GROUPS
            .iter()
            .flat_map(|group| {
                days().map(move |(month, weekday)| Weighted::new(wishes(catalogue, group, month, weekday)))
            })
            .collect();
        let groups = days()
            .map(|(month, weekday)| {
                Weighted::new(CUSTOMER_GROUPS.iter().enumerate().map(|(index, group)| {
                    group.share
                        * group.frequency
                        * group.weekdays[weekday]
                        * categories[cell(index, month, weekday)].total()
                }))
            })
            .collect();
        let products = (0..catalogue.categories.len())
            .flat_map(|category| (0..12).map(move |month| products_of(catalogue, category, month)))
            .collect();
        Self {
            groups,
            categories,
            products,
            storm: storm_products(catalogue),
            lines: CUSTOMER_GROUPS.iter().map(|group| Weighted::new(group.lines)).collect(),
        }
    }

    /// How much is ordered, of everything, by everybody.
    pub(super) fn demand(&self, month: usize, weekday: usize) -> f64 {
        self.groups(month, weekday).total()
    }

    pub(super) fn groups(&self, month: usize, weekday: usize) -> &Weighted {
        &self.groups[month * 7 + weekday]
    }

    /// A product that a customer of `group` buys on such a day.
    pub(super) fn product(&self, group: usize, month: usize, weekday: usize, rng: &mut impl rand::Rng) -> usize {
        let category = self.categories[cell(group, month, weekday)].draw(rng);
        let (first, products) = &self.products[category * 12 + month];
        first + products.draw(rng)
    }

    /// A product that a windstorm sells.
    pub(super) fn storm_product(&self, rng: &mut impl rand::Rng) -> usize {
        self.storm.0[self.storm.1.draw(rng)]
    }
}

fn cell(group: usize, month: usize, weekday: usize) -> usize {
    debug_assert!(group < GROUPS);
    (group * 12 + month) * 7 + weekday
}

fn wishes(catalogue: &Catalogue, group: &CustomerGroup, month: usize, weekday: usize) -> Vec<f64> {
    catalogue
        .categories
        .iter()
        .zip(group.taste)
        .map(|(category, taste)| category.share * taste * category.months[month] * category.weekdays[weekday])
        .collect()
}

/// The products of a category lie side by side, as the catalogue is written.
fn products_of(catalogue: &Catalogue, category: usize, month: usize) -> (usize, Weighted) {
    let first = catalogue.products.partition_point(|product| product.category < category);
    let weights = catalogue.products[first..]
        .iter()
        .take_while(|product| product.category == category)
        .map(|product| product.popularity * catalogue.types[product.product_type].season.months()[month]);
    (first, Weighted::new(weights))
}

fn storm_products(catalogue: &Catalogue) -> (Vec<usize>, Weighted) {
    let is_storm = |index: &usize| catalogue.types[catalogue.products[*index].product_type].season == Season::Storm;
    let indices: Vec<usize> = (0..catalogue.products.len()).filter(is_storm).collect();
    let weighted = Weighted::new(indices.iter().map(|index| catalogue.products[*index].popularity));
    (indices, weighted)
}
