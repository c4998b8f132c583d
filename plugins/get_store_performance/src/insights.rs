//! What changed, why it may have, and by how much.
//!
//! Each kind of insight is a function of the facts that says something or nothing, and bounds how many it
//! gives. What is small beside the revenue is left out: a list of everything tells nothing. A price and a
//! stock-out are told however small, since somebody can act on them.

mod drivers;
mod mix;
mod week;

use zava::round_cents;

use crate::facts::Facts;
use crate::output::{Insight, Kind};

/// An amount below this share of the larger period's revenue is not told.
const WORTH_TELLING: f64 = 0.01;

pub(crate) fn insights(facts: &Facts) -> Vec<Insight> {
    let [now, before] = [facts.current.revenue, facts.prior.revenue];
    let mut parts = Vec::new();
    parts.extend(drivers::drivers(facts));
    parts.extend(drivers::season(facts));
    parts.extend(drivers::customers(facts));
    parts.extend(mix::categories(facts));
    parts.extend(mix::prices(facts));
    parts.extend(mix::discount(facts));
    parts.extend(mix::stock_outs(facts));
    parts.extend(mix::margin(facts));
    parts.extend(week::unusual(facts));
    let least = WORTH_TELLING * now.max(before);
    parts.retain(|insight| {
        let to_act_on = matches!(insight.kind, Kind::Price | Kind::Stock);
        insight.amount != 0.0 && (to_act_on || insight.amount.abs() >= least)
    });
    parts.sort_by(|a, b| b.amount.abs().total_cmp(&a.amount.abs()));

    let mut insights = vec![drivers::headline(facts, &parts)];
    insights.extend(parts);
    insights
}

fn insight(kind: Kind, amount: f64, what: String, why: Option<String>) -> Insight {
    Insight { kind, what, why, amount: round_cents(amount) }
}

/// `$1,234` or `−$1,234`: whole dollars are enough in a sentence.
fn dollars(amount: f64) -> String {
    let whole = format!("{:.0}", amount.abs());
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let sign = if amount < 0.0 && whole != "0" { "−" } else { "" };
    format!("{sign}${grouped}")
}

/// The verb and the percentage: `rose by 12.5 %`.
fn moved(now: f64, before: f64) -> String {
    match zava::change_percent(now, before) {
        Some(change) if change > 0.0 => format!("rose by {change} %"),
        Some(change) if change < 0.0 => format!("fell by {} %", -change),
        Some(_) => "stayed the same".to_owned(),
        None if now > 0.0 => "began".to_owned(),
        None => "stayed at nothing".to_owned(),
    }
}

#[cfg(test)]
mod tests;
