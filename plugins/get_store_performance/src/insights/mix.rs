//! What is sold: categories, prices, discounts, stock, margin.

use zava::{change_percent, share};

use super::{dollars, insight, moved};
use crate::facts::{Facts, ProductSales};
use crate::metrics;
use crate::output::{Category, Insight, Kind};

/// How many categories and how many prices are told.
const CATEGORIES_MAX: usize = 3;
const PRICES_MAX: usize = 2;

/// A list price that moved by less than this is no price change but another mix of days.
const PRICE_MOVED: f64 = 0.05;
/// Volume that moved by less than this may be chance.
const VOLUME_MOVED: f64 = 0.10;
/// Fewer units than this in the two periods together prove nothing.
const UNITS_MIN: i64 = 20;

/// The categories that moved most the way the revenue went, or most at all where it stood still.
pub(super) fn categories(facts: &Facts) -> Vec<Insight> {
    let change = |category: &Category| category.revenue - category.prior_revenue;
    let mut categories = metrics::categories(&facts.products);
    categories.sort_by(|a, b| change(b).abs().total_cmp(&change(a).abs()));
    categories.truncate(CATEGORIES_MAX);
    let tell = |category: Category| {
        let Category { category_name, revenue, prior_revenue, .. } = &category;
        let what = format!(
            "{category_name} {}: {} after {}.",
            moved(*revenue, *prior_revenue),
            dollars(*revenue),
            dollars(*prior_revenue),
        );
        insight(Kind::Category, change(&category), what, why_category(&category, &facts.products))
    };
    categories.into_iter().map(tell).collect()
}

/// Units or price, and the product that moved most.
fn why_category(category: &Category, products: &[ProductSales]) -> Option<String> {
    let [units, units_before] = [category.units, category.prior_units].map(|units| units as f64);
    let mut why = format!("Units {}", moved(units, units_before));
    let prices = share(category.revenue, units).zip(share(category.prior_revenue, units_before));
    if let Some((paid, paid_before)) = prices {
        why.push_str(&format!(", the price paid for a unit {}", moved(paid, paid_before)));
    }
    let rising = category.revenue >= category.prior_revenue;
    let of_category = products.iter().filter(|product| product.category_name == category.category_name);
    let most = of_category
        .filter(|product| (product.change() >= 0.0) == rising)
        .max_by(|a, b| a.change().abs().total_cmp(&b.change().abs()));
    let product = most.map(|ProductSales { product_name, revenue, prior_revenue, .. }| {
        format!("; most of all {product_name} ({} after {})", dollars(*revenue), dollars(*prior_revenue))
    });
    why.push_str(product.as_deref().unwrap_or_default());
    why.push('.');
    Some(why)
}

/// List prices that moved, with volume that moved the other way.
pub(super) fn prices(facts: &Facts) -> Vec<Insight> {
    let mut moves: Vec<_> = facts.products.iter().filter_map(price).collect();
    moves.sort_by(|a, b| b.amount.abs().total_cmp(&a.amount.abs()));
    moves.truncate(PRICES_MAX);
    moves
}

fn price(product: &ProductSales) -> Option<Insight> {
    let [units, units_before] = [product.units, product.prior_units].map(|units| units as f64);
    let list = share(product.list_revenue, units)?;
    let list_before = share(product.prior_list_revenue, units_before)?;
    let price_moved = share(list - list_before, list_before)?;
    let volume_moved = share(units - units_before, units_before)?;
    let against_each_other = price_moved * volume_moved < 0.0;
    if product.units + product.prior_units < UNITS_MIN
        || price_moved.abs() < PRICE_MOVED
        || volume_moved.abs() < VOLUME_MOVED
        || !against_each_other
    {
        return None;
    }
    let what = format!(
        "The list price of {} {} (${list:.2} after ${list_before:.2}) and its units {} ({} after {}).",
        product.product_name,
        moved(list, list_before),
        moved(units, units_before),
        product.units,
        product.prior_units,
    );
    let why = format!(
        "The price may have moved the volume: {:.1} % of units for each percent of price.",
        volume_moved / price_moved
    );
    Some(insight(Kind::Price, product.change(), what, Some(why)))
}

/// What the change of the discount rate took from, or gave to, this period's list revenue.
pub(super) fn discount(facts: &Facts) -> Option<Insight> {
    let sum = |of: fn(&ProductSales) -> f64| facts.products.iter().map(of).sum::<f64>();
    let list = sum(|product| product.list_revenue);
    let list_before = sum(|product| product.prior_list_revenue);
    let rate = share(list - sum(|product| product.revenue), list)?;
    let rate_before = share(list_before - sum(|product| product.prior_revenue), list_before)?;
    let amount = (rate_before - rate) * list;
    let what = format!(
        "Discounts were {:.1} % of list prices after {:.1} %, worth {}.",
        rate * 100.0,
        rate_before * 100.0,
        dollars(amount),
    );
    let units = change_percent(
        facts.products.iter().map(|product| product.units as f64).sum(),
        facts.products.iter().map(|product| product.prior_units as f64).sum(),
    );
    let why = units.map(|units| format!("Units changed by {units} % meanwhile."));
    Some(insight(Kind::Discount, amount, what, why))
}

/// Products that sold before, sold less since, and are not on the shelf now.
pub(super) fn stock_outs(facts: &Facts) -> Option<Insight> {
    let mut gone: Vec<_> = facts
        .products
        .iter()
        .filter(|product| product.stock_level == Some(0) && product.units < product.prior_units)
        .collect();
    gone.sort_by(|a, b| a.change().total_cmp(&b.change()));
    let worst = gone.first()?;
    let amount: f64 = gone.iter().map(|product| product.change()).sum();
    let what = format!(
        "Out of stock now: {} that sold less than before; the drop is worth {}.",
        count(gone.len() as i64, "product"),
        dollars(amount),
    );
    let why = format!(
        "Customers may have missed them on the shelf; most of all {} ({}), {} after {}.",
        worst.product_name,
        worst.sku,
        count(worst.units, "unit"),
        worst.prior_units,
    );
    Some(insight(Kind::Stock, amount, what, Some(why)))
}

/// What the change of the margin rate is worth at this period's revenue.
pub(super) fn margin(facts: &Facts) -> Option<Insight> {
    let sum = |of: fn(&ProductSales) -> f64| facts.products.iter().map(of).sum::<f64>();
    let revenue = sum(|product| product.revenue);
    let rate = share(sum(ProductSales::margin), revenue)?;
    let rate_before = share(sum(ProductSales::prior_margin), sum(|product| product.prior_revenue))?;
    let amount = (rate - rate_before) * revenue;
    let what = format!(
        "The margin was {:.1} % of revenue after {:.1} %, worth {} of margin.",
        rate * 100.0,
        rate_before * 100.0,
        dollars(amount),
    );
    let why = "Costs are today's for both periods, so this comes from prices, discounts and the mix.".to_owned();
    Some(insight(Kind::Margin, amount, what, Some(why)))
}

fn count(count: i64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
