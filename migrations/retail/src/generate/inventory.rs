//! What is on the shelves now.

use rand::RngExt;

use crate::effects::STOCK_OUT_STORE;
use crate::stores::STORES;

use super::{Stream, World};

/// The stock of one product in one store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stock {
    /// Index of the store.
    pub(crate) store: usize,
    /// Index of the product.
    pub(crate) product: usize,
    pub(crate) level: u32,
    pub(crate) reorder_level: u32,
}

/// A row for every store and product.
pub(crate) fn inventory(world: &World) -> Vec<Stock> {
    let mut rng = world.rng(Stream::Inventory);
    let mut rows = Vec::with_capacity(STORES.len() * world.catalogue.products.len());
    for (store, place) in STORES.iter().enumerate() {
        for (product, entry) in world.catalogue.products.iter().enumerate() {
            let quantity = f64::from(world.catalogue.types[entry.product_type].quantity_max);
            // What sells more is kept in greater number, dear things in smaller.
            let usual = (entry.popularity * place.share * quantity.min(12.0) / 4.0).clamp(4.0, 400.0);
            let reorder_level = (usual * 0.35) as u32 + 1;
            let level = ((usual * rng.random_range(0.25..1.6)) as u32).max(1);
            let is_out = product == world.planted.stock_out && place.key == STOCK_OUT_STORE;
            rows.push(Stock { store, product, level: if is_out { 0 } else { level }, reorder_level });
        }
    }
    rows
}
