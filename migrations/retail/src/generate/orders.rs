//! Orders and their items.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use uuid::{Builder, Uuid};

use crate::effects::{
    ANOMALY_STORM_SHARE, COMPANION_PROBABILITY, CONTRACTORS, DISCOUNT_PERCENT, DISCOUNT_SHARE, PRICE_RISE_FACTOR,
    PRICE_RISE_VOLUME_FACTOR, STOCK_OUT_STORE,
};
use crate::stores::STORES;

use super::calendar::{Day, calendar, is_anomaly};
use super::customers::Customers;
use super::taste::Taste;
use super::{Stream, World};

/// Draws of a product for one line before the line is given up: a basket may hold all that a small
/// taste has.
const DRAWS_MAX: u32 = 8;

/// For so many days an order may still be on its way.
const PENDING_DAYS: i32 = 4;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Order {
    pub(crate) id: Uuid,
    /// Index of the store.
    pub(crate) store: usize,
    /// Index of the customer.
    pub(crate) customer: usize,
    /// Seconds since 1970-01-01T00:00:00Z.
    pub(crate) placed_s: i64,
    pub(crate) status: Status,
    pub(crate) items: Vec<Item>,
}

impl Order {
    pub(crate) fn total_cents(&self) -> i64 {
        self.items.iter().map(Item::total_cents).sum()
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Item {
    pub(crate) id: Uuid,
    /// Index of the product.
    pub(crate) product: usize,
    pub(crate) quantity: u32,
    pub(crate) unit_price_cents: i64,
    pub(crate) discount_percent: u32,
}

impl Item {
    pub(crate) fn discount_cents(&self) -> i64 {
        (i64::from(self.quantity) * self.unit_price_cents * i64::from(self.discount_percent) + 50) / 100
    }

    pub(crate) fn total_cents(&self) -> i64 {
        i64::from(self.quantity) * self.unit_price_cents - self.discount_cents()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Completed,
    Pending,
    Cancelled,
    Returned,
}

/// All orders, a day at a time, in the order of time.
pub(crate) struct Orders<'a> {
    world: &'a World,
    customers: &'a Customers,
    taste: Taste,
    days: std::vec::IntoIter<(Day, [u32; STORES.len()])>,
    last_day: i32,
    rng: ChaCha8Rng,
}

impl<'a> Orders<'a> {
    pub(crate) fn new(world: &'a World, customers: &'a Customers) -> Self {
        let taste = Taste::new(&world.catalogue);
        let days = calendar(world, &taste);
        let last_day = days.last().map_or(0, |(day, _)| day.number);
        Self { world, customers, taste, days: days.into_iter(), last_day, rng: world.rng(Stream::Orders) }
    }

    fn order(&mut self, day: &Day, store: usize) -> Order {
        let rng = &mut self.rng;
        let group = self.taste.groups(day.month, day.weekday).draw(rng);
        let customer = self.customers.draw(store, group, day.number, rng);
        // Who was drawn may be of another group, where a store has nobody of this one.
        let group = self.customers.all[customer].group;
        let placed_s = day.midnight_s + time_of_day_s(day, store, group, rng);
        let mut basket = self.basket(day, store, group);
        self.add_companions(day, store, &mut basket);
        let items = basket.into_iter().map(|product| self.item(day, group, product, placed_s)).collect();
        let status = self.status(day);
        Order { id: id_of(placed_s, &mut self.rng), store, customer, placed_s, status, items }
    }

    /// The products that a customer came for.
    fn basket(&mut self, day: &Day, store: usize, group: usize) -> Vec<usize> {
        let lines = self.taste.lines[group].draw(&mut self.rng) + 1;
        let storm = is_anomaly(self.world, day, &STORES[store]);
        let mut basket = Vec::with_capacity(lines + 1);
        for _ in 0..lines {
            for _ in 0..DRAWS_MAX {
                let product = if storm && self.rng.random_bool(ANOMALY_STORM_SHARE) {
                    self.taste.storm_product(&mut self.rng)
                } else {
                    self.taste.product(group, day.month, day.weekday, &mut self.rng)
                };
                if !basket.contains(&product) && self.is_wanted(day, product) && self.is_there(day, store, product) {
                    basket.push(product);
                    break;
                }
            }
        }
        if basket.is_empty() {
            // Nothing is in every basket and never runs out, but an order without a line is none.
            basket.push(0);
        }
        basket
    }

    fn add_companions(&mut self, day: &Day, store: usize, basket: &mut Vec<usize>) {
        for (anchor, companion) in &self.world.planted.baskets {
            if basket.contains(anchor)
                && self.rng.random_bool(COMPANION_PROBABILITY)
                && !basket.contains(companion)
                && self.is_there(day, store, *companion)
            {
                basket.push(*companion);
            }
        }
    }

    /// Some of those who would have bought do not, since the price rose.
    fn is_wanted(&mut self, day: &Day, product: usize) -> bool {
        product != self.world.planted.price_rise
            || day.date < self.world.dates.price_rise
            || self.rng.random_bool(PRICE_RISE_VOLUME_FACTOR)
    }

    fn is_there(&self, day: &Day, store: usize, product: usize) -> bool {
        product != self.world.planted.stock_out
            || STORES[store].key != STOCK_OUT_STORE
            || day.date < self.world.dates.stock_out_since
    }

    fn item(&mut self, day: &Day, group: usize, product: usize, placed_s: i64) -> Item {
        let rng = &mut self.rng;
        let entry = &self.world.catalogue.products[product];
        let quantity_max = self.world.catalogue.types[entry.product_type].quantity_max;
        let (one, other) = (rng.random_range(1..=quantity_max), rng.random_range(1..=quantity_max));
        let old_price = product == self.world.planted.price_rise && day.date < self.world.dates.price_rise;
        Item {
            id: id_of(placed_s, rng),
            product,
            // Contractors buy by the stack, others a few.
            quantity: if group == CONTRACTORS {
                one.max(other)
            } else {
                one.min(other).min(rng.random_range(1..=quantity_max))
            },
            unit_price_cents: if old_price {
                (entry.price_cents as f64 / PRICE_RISE_FACTOR).round() as i64
            } else {
                entry.price_cents
            },
            discount_percent: if rng.random_bool(DISCOUNT_SHARE) {
                rng.random_range(DISCOUNT_PERCENT.0..=DISCOUNT_PERCENT.1)
            } else {
                0
            },
        }
    }

    fn status(&mut self, day: &Day) -> Status {
        let luck: f64 = self.rng.random();
        if self.last_day - day.number < PENDING_DAYS && luck < 0.5 {
            Status::Pending
        } else if luck < 0.96 {
            Status::Completed
        } else if luck < 0.975 {
            Status::Cancelled
        } else {
            Status::Returned
        }
    }
}

impl Iterator for Orders<'_> {
    type Item = Vec<Order>;

    fn next(&mut self) -> Option<Vec<Order>> {
        let (day, counts) = self.days.next()?;
        let mut orders = Vec::with_capacity(counts.iter().map(|count| *count as usize).sum());
        for (store, count) in counts.into_iter().enumerate() {
            for _ in 0..count {
                orders.push(self.order(&day, store));
            }
        }
        orders.sort_by_key(|order| order.placed_s);
        Some(orders)
    }
}

/// Seconds after midnight.
fn time_of_day_s(day: &Day, store: usize, group: usize, rng: &mut ChaCha8Rng) -> i64 {
    let (opens, closes) = if day.is_today {
        (7, 9)
    } else if STORES[store].is_online() {
        (6, 24)
    } else if group == CONTRACTORS && rng.random_bool(0.7) {
        (6, 11)
    } else {
        (8, 21)
    };
    // The mean of two draws: most come in the middle of the time, few at its ends.
    let (from, to) = (opens * 3600, closes * 3600);
    i64::midpoint(rng.random_range(from..to), rng.random_range(from..to))
}

/// An id that begins with its time (UUID version 7), so that an index over them grows at its end.
fn id_of(placed_s: i64, rng: &mut ChaCha8Rng) -> Uuid {
    Builder::from_unix_timestamp_millis(placed_s.unsigned_abs() * 1000, &rng.random()).into_uuid()
}
