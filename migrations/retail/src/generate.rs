//! The generator: the same data every time for the same options.
//!
//! Random numbers come from ChaCha8, a stream for each kind of row, so that a change to one kind
//! leaves the others as they are. Only `+ − × ÷` touch floating-point numbers: their results are
//! the same on every machine, those of `exp` and `sin` are not.
#![expect(
    clippy::indexing_slicing,
    reason = "indices come from drawing over the very tables that they index, and a wrong one must stop a load"
)]

mod calendar;
mod customers;
mod inventory;
mod orders;
mod taste;
mod weighted;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::RetailError;
use crate::catalogue::Catalogue;
use crate::effects::{self, Dates};
use crate::options::LoadOptions;

pub(crate) use customers::{Customer, Customers};
pub(crate) use inventory::{Stock, inventory};
pub(crate) use orders::{Order, Orders, Status};

/// What all generated rows depend on.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) options: LoadOptions,
    pub(crate) catalogue: Catalogue,
    pub(crate) dates: Dates,
    planted: Planted,
}

/// The products that `effects.rs` names, as indices.
#[derive(Debug)]
struct Planted {
    baskets: Vec<(usize, usize)>,
    price_rise: usize,
    stock_out: usize,
}

impl World {
    pub(crate) fn new(options: LoadOptions) -> Result<Self, RetailError> {
        options.check()?;
        let catalogue = Catalogue::parse()?;
        let baskets = effects::BASKETS
            .iter()
            .map(|basket| Ok((catalogue.product(basket.anchor)?, catalogue.product(basket.companion)?)))
            .collect::<Result<_, RetailError>>()?;
        let planted = Planted {
            baskets,
            price_rise: catalogue.product(effects::PRICE_RISE_PRODUCT)?,
            stock_out: catalogue.product(effects::STOCK_OUT_PRODUCT)?,
        };
        Ok(Self { options, catalogue, dates: Dates::new(options.today), planted })
    }

    fn rng(&self, stream: Stream) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.options.seed);
        rng.set_stream(stream as u64);
        rng
    }
}

/// The random numbers of each kind of row.
#[derive(Debug, Clone, Copy)]
enum Stream {
    Customers = 1,
    Calendar = 2,
    Orders = 3,
    Inventory = 4,
}

#[cfg(test)]
mod tests;
