//! The eight stores.

use jiff::civil::{Date, date};
use uuid::Uuid;

/// One of the stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is named by its city")]
pub enum StoreKey {
    Seattle,
    Bellevue,
    Tacoma,
    Spokane,
    Everett,
    Redmond,
    Kirkland,
    Online,
}

/// A store as the generator knows it.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) key: StoreKey,
    pub(crate) name: &'static str,
    pub(crate) location: &'static str,
    pub(crate) manager: &'static str,
    pub(crate) opened_on: Date,
    /// Share of customers and orders, in percent; they add up to 100.
    pub(crate) share: f64,
    pub(crate) area_code: &'static str,
}

impl Store {
    pub(crate) fn is_online(&self) -> bool {
        self.key == StoreKey::Online
    }
}

/// All stores, in the order of [`StoreKey`].
pub(crate) static STORES: [Store; 8] = [
    store(StoreKey::Seattle, "Zava Retail Seattle", "Seattle, WA", "Ingrid Halvorsen", date(1998, 4, 18), 21.0, "206"),
    store(StoreKey::Bellevue, "Zava Retail Bellevue", "Bellevue, WA", "Rajesh Menon", date(2003, 9, 6), 15.0, "425"),
    store(StoreKey::Tacoma, "Zava Retail Tacoma", "Tacoma, WA", "Denise Carver", date(2005, 3, 12), 12.0, "253"),
    store(StoreKey::Spokane, "Zava Retail Spokane", "Spokane, WA", "Walt Lindqvist", date(2008, 5, 24), 10.0, "509"),
    store(StoreKey::Everett, "Zava Retail Everett", "Everett, WA", "Paula Nakagawa", date(2010, 10, 2), 8.0, "425"),
    store(StoreKey::Redmond, "Zava Retail Redmond", "Redmond, WA", "Samir Haddad", date(2014, 6, 14), 9.0, "425"),
    store(StoreKey::Kirkland, "Zava Retail Kirkland", "Kirkland, WA", "Grace O'Donnell", date(2017, 8, 26), 7.0, "425"),
    store(StoreKey::Online, "Zava Retail Online", "Kent, WA", "Tomás Rivera", date(2012, 1, 9), 18.0, "253"),
];

const fn store(
    key: StoreKey,
    name: &'static str,
    location: &'static str,
    manager: &'static str,
    opened_on: Date,
    share: f64,
    area_code: &'static str,
) -> Store {
    Store { key, name, location, manager, opened_on, share, area_code }
}

/// The `store_id` of a store: the same in every database.
#[must_use]
pub fn store_id(key: StoreKey) -> Uuid {
    fixed_id(Kind::Store, key as u32 + 1)
}

/// What a fixed id names. The number stands in the id's second group, for whoever reads it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Store = 1,
    Principal = 2,
    Category = 3,
    ProductType = 4,
    Product = 5,
}

/// The id of a row that is the same in every database: reference data and demo callers.
pub(crate) fn fixed_id(kind: Kind, number: u32) -> Uuid {
    Uuid::from_fields(0x5a7a_0000, kind as u16, 0x4000, &[0x80, 0, 0, 0, 0, 0, (number >> 8) as u8, number as u8])
}
