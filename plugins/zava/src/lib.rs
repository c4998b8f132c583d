//! What Zava's tools agree on, so that two tools never give two answers to one question: which periods
//! there are and where they end ([`TimePeriod`]), which stores a caller has ([`Scope`]), what counts as
//! sold ([`SOLD`]).

mod money;
mod period;
mod scope;

pub use money::{change_percent, percent, round_cents, share};
pub use period::{Span, Spans, TimePeriod};
pub use scope::{Scope, Store, StoreId};

/// Stores keep Pacific time: a day is a day there.
pub const TIME_ZONE: &str = "America/Los_Angeles";

/// Which orders (`o`) count: cancelled ones were never handed over, returned ones were refunded.
pub const SOLD: &str = "o.status IN ('completed', 'pending')";

/// The point in time at which the day in the parameter `number` begins in the stores, as SQL.
pub fn day_begins(number: usize) -> String {
    format!("((${number}::date)::timestamp AT TIME ZONE '{TIME_ZONE}')")
}
