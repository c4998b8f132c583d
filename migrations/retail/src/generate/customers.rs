//! Customers.

use std::collections::HashSet;

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use uuid::{Builder, Uuid};

use crate::effects::{CUSTOMER_GROUPS, LOST_SHARE, LOST_STORE};
use crate::options::FIRST_DAY;
use crate::people::Names;
use crate::stores::STORES;

use super::calendar::day_number;
use super::weighted::Weighted;
use super::{Stream, World};

const GROUPS: usize = CUSTOMER_GROUPS.len();

/// Share of customers who were registered before the first day of the data.
const EARLY_SHARE: f64 = 0.25;

/// How long before it, in days.
const EARLY_DAYS: i32 = 700;

/// Share of customers who are a customer of another store as well, with the same e-mail address.
const SHARED_SHARE: f64 = 0.02;

/// Draws of a customer that may fail before another group is tried.
const DRAWS_MAX: u32 = 64;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Customer {
    pub(crate) id: Uuid,
    /// Index of the store.
    pub(crate) store: usize,
    pub(crate) first_name: &'static str,
    pub(crate) last_name: &'static str,
    pub(crate) email: String,
    pub(crate) phone: Option<String>,
    /// Days since 1970-01-01.
    pub(crate) created_day: i32,
    /// Gone for good from the first day of the lost quarter on.
    lost: bool,
    pub(super) group: usize,
}

/// All customers, and who may be drawn on which day.
#[derive(Debug)]
pub(crate) struct Customers {
    pub(crate) all: Vec<Customer>,
    /// By store and group: indices into `all`, in the order of registration.
    pools: Vec<Vec<usize>>,
    lost_from: i32,
}

impl Customers {
    pub(crate) fn new(world: &World) -> Self {
        let mut rng = world.rng(Stream::Customers);
        let mut draw = Draw {
            names: Names::new(),
            stores: Weighted::new(STORES.iter().map(|store| store.share)),
            groups: Weighted::new(CUSTOMER_GROUPS.iter().map(|group| group.share)),
            emails: HashSet::new(),
            first_day: day_number(FIRST_DAY),
            last_day: day_number(world.options.today),
            lost_from: day_number(world.dates.lost_quarter.0),
        };
        let count = world.options.size.customers() as usize;
        let mut all: Vec<Customer> = Vec::with_capacity(count);
        let mut pools = vec![Vec::new(); STORES.len() * GROUPS];
        for index in 0..count {
            let mut customer = draw.customer(&all, &mut rng);
            let pool = &mut pools[customer.store * GROUPS + customer.group];
            if pool.is_empty() {
                // The first of each pool is always there, so that no day is without a customer.
                customer.created_day = draw.first_day - 1;
                customer.lost = false;
            }
            pool.push(index);
            all.push(customer);
        }
        for pool in &mut pools {
            pool.sort_by_key(|index| all[*index].created_day);
        }
        Self { all, pools, lost_from: draw.lost_from }
    }

    /// Index of a customer of `store` who was registered before `day`, of `group` if it has one.
    pub(super) fn draw(&self, store: usize, group: usize, day: i32, rng: &mut ChaCha8Rng) -> usize {
        for offset in 0..GROUPS {
            let pool = &self.pools[store * GROUPS + (group + offset) % GROUPS];
            let registered = pool.partition_point(|index| self.all[*index].created_day < day);
            for _ in 0..if registered == 0 { 0 } else { DRAWS_MAX } {
                let index = pool[rng.random_range(0..registered)];
                if day < self.lost_from || !self.all[index].lost {
                    return index;
                }
            }
        }
        // Every group in every store begins with one who is never lost.
        self.pools[store * GROUPS].first().copied().unwrap_or_default()
    }
}

struct Draw {
    names: Names,
    stores: Weighted,
    groups: Weighted,
    /// Store and address of everybody so far.
    emails: HashSet<(usize, String)>,
    first_day: i32,
    last_day: i32,
    lost_from: i32,
}

impl Draw {
    fn customer(&mut self, others: &[Customer], rng: &mut ChaCha8Rng) -> Customer {
        let store = self.stores.draw(rng);
        let group = self.groups.draw(rng);
        let known =
            (!others.is_empty() && rng.random_bool(SHARED_SHARE)).then(|| &others[rng.random_range(0..others.len())]);
        let (first_name, last_name, mut email) = match known {
            Some(known) => (known.first_name, known.last_name, known.email.clone()),
            None => self.person(rng),
        };
        while !self.emails.insert((store, email.clone())) {
            email = address(first_name, last_name, rng);
        }
        let created_day = if rng.random_bool(EARLY_SHARE) {
            self.first_day - rng.random_range(1..=EARLY_DAYS)
        } else {
            rng.random_range(self.first_day..self.last_day)
        };
        let lost = STORES[store].key == LOST_STORE && created_day < self.lost_from && rng.random_bool(LOST_SHARE);
        Customer {
            id: random_id(rng),
            store,
            first_name,
            last_name,
            email,
            phone: phone(STORES[store].area_code, rng),
            created_day,
            lost,
            group,
        }
    }

    fn person(&self, rng: &mut ChaCha8Rng) -> (&'static str, &'static str, String) {
        let (first_name, last_name) = self.names.draw(rng);
        (first_name, last_name, address(first_name, last_name, rng))
    }
}

/// An address in a domain that is nobody's (RFC 2606).
fn address(first_name: &str, last_name: &str, rng: &mut impl Rng) -> String {
    let domain = ["example.com", "example.com", "example.net", "example.org"][rng.random_range(0..4)];
    format!("{}.{}{}@{domain}", first_name.to_lowercase(), last_name.to_lowercase(), rng.random_range(1..1000))
}

/// A number from the range that is kept for fiction, 555-0100 to 555-0199; none for one in ten.
fn phone(area_code: &str, rng: &mut impl Rng) -> Option<String> {
    let number = rng.random_range(100..200);
    (!rng.random_bool(0.1)).then(|| format!("{area_code}-555-0{number}"))
}

fn random_id(rng: &mut impl Rng) -> Uuid {
    Builder::from_random_bytes(rng.random()).into_uuid()
}
