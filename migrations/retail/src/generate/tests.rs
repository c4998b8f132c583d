//! What must hold of generated data before any database sees it.

use std::collections::{HashMap, HashSet};

use jiff::civil::date;

use super::*;
use crate::options::Size;
use crate::stores::STORES;

fn options(size: Size) -> LoadOptions {
    LoadOptions { size, today: date(2026, 11, 2), seed: 7 }
}

fn all_orders(world: &World, customers: &Customers) -> Vec<Order> {
    Orders::new(world, customers).flatten().collect()
}

#[test]
fn the_same_options_give_the_same_rows() {
    let (one, other) = (World::new(options(Size::Small)).unwrap(), World::new(options(Size::Small)).unwrap());
    let (customers, same) = (Customers::new(&one), Customers::new(&other));
    assert_eq!(customers.all, same.all);
    assert_eq!(all_orders(&one, &customers), all_orders(&other, &same));
    assert_eq!(inventory(&one), inventory(&other));
}

#[test]
fn another_seed_gives_other_rows() {
    let one = World::new(options(Size::Small)).unwrap();
    let other = World::new(LoadOptions { seed: 8, ..options(Size::Small) }).unwrap();
    assert_ne!(Customers::new(&one).all[0].id, Customers::new(&other).all[0].id);
}

#[test]
fn counts_are_exact() {
    let world = World::new(options(Size::Small)).unwrap();
    let customers = Customers::new(&world);
    assert_eq!(customers.all.len(), 400);
    let orders = all_orders(&world, &customers);
    assert_eq!(orders.len(), 3_000);
    assert_eq!(inventory(&world).len(), 8 * 424);
    let stores: HashSet<usize> = orders.iter().map(|order| order.store).collect();
    assert_eq!(stores.len(), STORES.len());
}

#[test]
fn rows_agree_with_each_other() {
    let world = World::new(options(Size::Small)).unwrap();
    let customers = Customers::new(&world);
    let orders = all_orders(&world, &customers);
    assert!(orders.is_sorted_by_key(|order| order.placed_s));
    for order in &orders {
        let customer = &customers.all[order.customer];
        assert_eq!(customer.store, order.store);
        assert!(i64::from(customer.created_day) * 86_400 < order.placed_s);
        assert!(!order.items.is_empty());
        let products: HashSet<usize> = order.items.iter().map(|item| item.product).collect();
        assert_eq!(products.len(), order.items.len(), "a product stands on two lines");
        assert!(order.total_cents() > 0);
    }
    let ids: HashSet<_> = orders.iter().flat_map(|order| order.items.iter().map(|item| item.id)).collect();
    assert_eq!(ids.len(), orders.iter().map(|order| order.items.len()).sum::<usize>());
}

#[test]
fn an_email_is_unique_within_a_store_and_not_over_all() {
    let world = World::new(options(Size::Full)).unwrap();
    let customers = Customers::new(&world);
    let mut stores_of: HashMap<&str, Vec<usize>> = HashMap::new();
    for customer in &customers.all {
        stores_of.entry(&customer.email).or_default().push(customer.store);
    }
    for stores in stores_of.values() {
        assert_eq!(stores.iter().collect::<HashSet<_>>().len(), stores.len());
    }
    assert!(stores_of.values().filter(|stores| stores.len() > 1).count() > 500);
}

#[test]
fn discounts_are_as_documented() {
    let world = World::new(options(Size::Small)).unwrap();
    let customers = Customers::new(&world);
    let items: Vec<_> = all_orders(&world, &customers).into_iter().flat_map(|order| order.items).collect();
    let discounted = items.iter().filter(|item| item.discount_percent > 0).count();
    let share = discounted as f64 / items.len() as f64;
    assert!((share - effects::DISCOUNT_SHARE).abs() < 0.015, "{share}");
    for item in items.iter().filter(|item| item.discount_percent > 0) {
        assert!((5..=25).contains(&item.discount_percent));
        assert!(item.discount_cents() > 0);
    }
}

#[test]
fn the_data_ends_on_the_morning_of_today() {
    let world = World::new(options(Size::Full)).unwrap();
    let customers = Customers::new(&world);
    let last = Orders::new(&world, &customers).last().unwrap();
    let midnight_s =
        date(2026, 11, 2).at(8, 0, 0, 0).to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_second();
    assert!(!last.is_empty());
    for order in last {
        assert!((7 * 3600..9 * 3600).contains(&(order.placed_s - midnight_s)));
    }
}

#[test]
fn a_day_outside_the_calendar_is_refused() {
    let error = World::new(LoadOptions { today: date(2021, 12, 31), ..options(Size::Small) }).unwrap_err();
    assert_eq!(error.to_string(), "today is 2021-12-31, expected a day from 2022-01-01 to 2119-12-31");
}
