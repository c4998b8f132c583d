//! What to load.

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;

use crate::RetailError;

/// The first day of the data.
pub(crate) const FIRST_DAY: Date = date(2020, 1, 1);

/// The earliest `today`: the planted effects need two years before it to be compared with.
const TODAY_MIN: Date = date(2022, 1, 1);

/// The latest `today`: the calendar of a hundred years is enough for everybody.
const TODAY_MAX: Date = date(2119, 12, 31);

/// How much to generate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// 50,000 customers and 200,000 orders.
    Full,
    /// 400 customers and 3,000 orders, of all stores and all 424 products. For tests.
    Small,
}

impl Size {
    /// Number of customers.
    #[must_use]
    pub fn customers(self) -> u32 {
        match self {
            Self::Full => 50_000,
            Self::Small => 400,
        }
    }

    /// Number of orders. Each has 2.7 items on average.
    #[must_use]
    pub fn orders(self) -> u32 {
        match self {
            Self::Full => 200_000,
            Self::Small => 3_000,
        }
    }

    /// `full` or `small`, as the bookkeeping has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Small => "small",
        }
    }
}

/// What [`load`](crate::load) generates. The same options give the same rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadOptions {
    /// How much.
    pub size: Size,
    /// The day on which the data ends, in Pacific time; that day has its early orders only, as it
    /// is still under way. 2022-01-01 to 2119-12-31.
    pub today: Date,
    /// The seed of the generator. 0 to 2^63 − 1.
    pub seed: u64,
}

impl LoadOptions {
    /// The seed where nobody chooses one.
    pub const SEED_DEFAULT: u64 = 20_200_101;

    /// The full size, up to this very day in Pacific time.
    #[must_use]
    pub fn demo() -> Self {
        Self { size: Size::Full, today: jiff::Timestamp::now().to_zoned(pacific()).date(), seed: Self::SEED_DEFAULT }
    }

    /// The small size, up to 2026-11-02: the same at every run.
    #[must_use]
    pub fn tests() -> Self {
        Self { size: Size::Small, today: date(2026, 11, 2), seed: Self::SEED_DEFAULT }
    }

    pub(crate) fn check(&self) -> Result<(), RetailError> {
        if !(TODAY_MIN..=TODAY_MAX).contains(&self.today) {
            return Err(RetailError::Options(format!(
                "today is {}, expected a day from {TODAY_MIN} to {TODAY_MAX}",
                self.today
            )));
        }
        if i64::try_from(self.seed).is_err() {
            return Err(RetailError::Options(format!("the seed is {}, expected 0 to {}", self.seed, i64::MAX)));
        }
        Ok(())
    }
}

/// Pacific time by its rule since 2007, so that the data does not depend on a machine's time-zone
/// database.
pub(crate) fn pacific() -> TimeZone {
    TimeZone::posix("PST8PDT,M3.2.0,M11.1.0").unwrap_or(TimeZone::UTC)
}
