//! From facts to figures.

use std::collections::BTreeMap;

use zava::{change_percent, percent, round_cents};

use crate::facts::{Facts, ProductSales, Totals};
use crate::output::{Category, Change, Customers, Figures, Metrics, Product};

const TOP_PRODUCTS: usize = 10;

pub(crate) fn metrics(facts: &Facts) -> Metrics {
    let sum = |of: fn(&ProductSales) -> f64| facts.products.iter().map(of).sum::<f64>();
    let current = figures(
        facts.current,
        facts.products.iter().map(|product| product.units).sum(),
        sum(ProductSales::margin),
        sum(|product| product.list_revenue),
        sum(|product| product.revenue),
    );
    let prior = figures(
        facts.prior,
        facts.products.iter().map(|product| product.prior_units).sum(),
        sum(ProductSales::prior_margin),
        sum(|product| product.prior_list_revenue),
        sum(|product| product.prior_revenue),
    );
    Metrics {
        current,
        prior,
        change_percent: Change {
            revenue: change_percent(current.revenue, prior.revenue),
            orders: change_percent(current.orders as f64, prior.orders as f64),
            average_order: change_percent(current.average_order, prior.average_order),
            units: change_percent(current.units as f64, prior.units as f64),
            customers: change_percent(current.customers as f64, prior.customers as f64),
            margin: change_percent(current.margin, prior.margin),
        },
        customers: Customers {
            kept: facts.customers.kept,
            gained: facts.customers.gained,
            new: facts.customers.registered,
            lost: facts.customers.lost,
            gained_revenue: round_cents(facts.customers.gained_revenue),
            lost_revenue: round_cents(facts.customers.lost_revenue),
        },
        categories: categories(&facts.products),
        top_products: top_products(&facts.products),
    }
}

fn figures(totals: Totals, units: i64, margin: f64, list_revenue: f64, item_revenue: f64) -> Figures {
    Figures {
        revenue: round_cents(totals.revenue),
        orders: totals.orders,
        average_order: round_cents(totals.average_order()),
        units,
        customers: totals.customers,
        margin: round_cents(margin),
        margin_percent: percent(margin, totals.revenue).unwrap_or(0.0),
        discount_percent: percent(list_revenue - item_revenue, list_revenue).unwrap_or(0.0),
    }
}

/// Sums by category, the highest revenue of either period first.
pub(crate) fn categories(products: &[ProductSales]) -> Vec<Category> {
    let mut categories: BTreeMap<&str, Category> = BTreeMap::new();
    for product in products {
        let category = categories.entry(&product.category_name).or_insert_with(|| Category {
            category_name: product.category_name.clone(),
            revenue: 0.0,
            prior_revenue: 0.0,
            units: 0,
            prior_units: 0,
        });
        category.revenue += product.revenue;
        category.prior_revenue += product.prior_revenue;
        category.units += product.units;
        category.prior_units += product.prior_units;
    }
    let mut categories: Vec<_> = categories.into_values().collect();
    for category in &mut categories {
        category.revenue = round_cents(category.revenue);
        category.prior_revenue = round_cents(category.prior_revenue);
    }
    let larger = |category: &Category| category.revenue.max(category.prior_revenue);
    categories.sort_by(|a, b| larger(b).total_cmp(&larger(a)));
    categories
}

fn top_products(products: &[ProductSales]) -> Vec<Product> {
    let mut sold: Vec<_> = products.iter().filter(|product| product.units > 0).collect();
    sold.sort_by(|a, b| b.revenue.total_cmp(&a.revenue).then_with(|| a.sku.cmp(&b.sku)));
    let product = |sales: &ProductSales| Product {
        sku: sales.sku.clone(),
        product_name: sales.product_name.clone(),
        category_name: sales.category_name.clone(),
        units: sales.units,
        revenue: round_cents(sales.revenue),
        margin: round_cents(sales.margin()),
        prior_revenue: round_cents(sales.prior_revenue),
        stock_level: sales.stock_level,
    };
    sold.into_iter().take(TOP_PRODUCTS).map(product).collect()
}
