//! The revenue as a whole, and the factors that multiply to it.

use zava::{percent, share};

use super::{dollars, insight, moved};
use crate::facts::Facts;
use crate::output::{Insight, Kind};

pub(super) fn headline(facts: &Facts, parts: &[Insight]) -> Insight {
    let [now, before] = [facts.current.revenue, facts.prior.revenue];
    if now == 0.0 && before == 0.0 {
        let what = "There were no sales in this period, and none in the prior one.".to_owned();
        return insight(Kind::Revenue, 0.0, what, None);
    }
    let what = format!("Revenue {}: {} after {}.", moved(now, before), dollars(now), dollars(before));
    // The parts come largest first. Those that pull the way the revenue went may explain it: a factor
    // that multiplies to it, and something that may be behind that.
    let same_way = parts.iter().filter(|part| part.amount * (now - before) > 0.0);
    let is_factor = |part: &&Insight| matches!(part.kind, Kind::Orders | Kind::AverageOrder);
    let factor = same_way.clone().find(is_factor).map(|part| part.what.clone());
    let cause = same_way.clone().find(|part| !is_factor(part) && part.kind != Kind::Margin);
    let cause = cause.map(|part| format!("What may be behind it, first of all: {}", part.what));
    let why: Vec<_> = factor.into_iter().chain(cause).collect();
    let why = (!why.is_empty()).then(|| why.join(" "));
    insight(Kind::Revenue, now - before, what, why)
}

/// Revenue = orders × average order. Each factor's change counts at the mean of the other's two values:
/// so the two effects add up to the whole change, and neither is favoured (Shapley).
pub(super) fn effects(facts: &Facts) -> (f64, f64) {
    let [orders, orders_before] = [facts.current.orders, facts.prior.orders].map(|count| count as f64);
    let [average, average_before] = [facts.current.average_order(), facts.prior.average_order()];
    (
        (orders - orders_before) * (average + average_before) / 2.0,
        (average - average_before) * (orders + orders_before) / 2.0,
    )
}

pub(super) fn drivers(facts: &Facts) -> Vec<Insight> {
    let (current, prior) = (facts.current, facts.prior);
    if current.orders == 0 || prior.orders == 0 {
        return Vec::new();
    }
    let (of_orders, of_average) = effects(facts);
    let orders = format!(
        "Orders {} ({} after {}), worth {}.",
        moved(current.orders as f64, prior.orders as f64),
        current.orders,
        prior.orders,
        dollars(of_orders),
    );
    let average = format!(
        "The average order {} (${:.2} after ${:.2}), worth {}.",
        moved(current.average_order(), prior.average_order()),
        current.average_order(),
        prior.average_order(),
        dollars(of_average),
    );
    vec![
        insight(Kind::Orders, of_orders, orders, why_orders(facts)),
        insight(Kind::AverageOrder, of_average, average, why_average(facts)),
    ]
}

/// Orders = customers × orders a customer.
fn why_orders(Facts { current, prior, .. }: &Facts) -> Option<String> {
    let each = share(current.orders as f64, current.customers as f64)?;
    let each_before = share(prior.orders as f64, prior.customers as f64)?;
    Some(format!(
        "The number of customers {} ({} after {}), orders a customer {} ({each:.2} after {each_before:.2}).",
        moved(current.customers as f64, prior.customers as f64),
        current.customers,
        prior.customers,
        moved(each, each_before),
    ))
}

/// Average order = units an order × paid a unit.
fn why_average(Facts { current, prior, products, .. }: &Facts) -> Option<String> {
    let units = products.iter().map(|product| product.units).sum::<i64>() as f64;
    let units_before = products.iter().map(|product| product.prior_units).sum::<i64>() as f64;
    let size = share(units, current.orders as f64)?;
    let size_before = share(units_before, prior.orders as f64)?;
    let paid = share(current.revenue, units)?;
    let paid_before = share(prior.revenue, units_before)?;
    Some(format!(
        "Units an order {} ({size:.2} after {size_before:.2}), the price paid for a unit {} (${paid:.2} after \
         ${paid_before:.2}).",
        moved(size, size_before),
        moved(paid, paid_before),
    ))
}

/// What the same step from period to period was a year ago, applied to the prior revenue.
pub(super) fn season(facts: &Facts) -> Option<Insight> {
    let [now, before] = facts.year_ago?.map(|totals| totals.revenue);
    if now <= 0.0 || before <= 0.0 {
        return None;
    }
    let of_season = facts.prior.revenue * (now / before - 1.0);
    let beyond = facts.current.revenue - facts.prior.revenue - of_season;
    let what = format!(
        "A year ago revenue {} between the same periods; the like would be worth {} now.",
        moved(now, before),
        dollars(of_season),
    );
    let why = format!("The season may explain that much; {} are beyond it.", dollars(beyond));
    Some(insight(Kind::Season, of_season, what, Some(why)))
}

pub(super) fn customers(facts: &Facts) -> Option<Insight> {
    let flow = facts.customers;
    let before = flow.kept + flow.lost;
    if before == 0 {
        return None;
    }
    let net = flow.gained_revenue - flow.lost_revenue;
    let what = format!(
        "{} of {before} customers of the prior period did not buy again and took {} with them; {} who had not \
         bought then brought {}.",
        flow.lost,
        dollars(flow.lost_revenue),
        flow.gained,
        dollars(flow.gained_revenue),
    );
    let lost = percent(flow.lost as f64, before as f64).unwrap_or(0.0);
    let usual = facts.customers_year_ago.and_then(|flow| percent(flow.lost as f64, (flow.kept + flow.lost) as f64));
    let usual = usual.map(|usual| format!(" (a year ago, between the same periods, {usual} %)")).unwrap_or_default();
    let why = format!(
        "{lost} % of the customers did not buy again{usual}; of those gained {} registered in this period and {} \
         had bought earlier.",
        flow.registered,
        flow.gained - flow.registered,
    );
    Some(insight(Kind::Customers, net, what, Some(why)))
}
