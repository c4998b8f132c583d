//! Which store a question is about, and up to which day there is data.

use schemars::JsonSchema;
use serde::Deserialize;
use stockade_sdk::jiff::{SignedDuration, Timestamp, civil::Date};
use stockade_sdk::{Error, caller, sql};

use crate::TIME_ZONE;

/// A store's key, as an agent gives it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct StoreId(
    #[schemars(regex(pattern = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"))]
    String,
);

/// A store that the caller may see.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Store {
    /// Its key.
    pub store_id: String,
    /// Its name.
    pub store_name: String,
}

/// What a question covers.
#[derive(Clone, Debug)]
pub struct Scope {
    /// One store; `None` for all that the caller may see.
    pub store: Option<Store>,
    /// The day after the last whole day of data.
    pub until: Date,
}

#[derive(Deserialize)]
struct Days {
    today: Date,
    last_sale: Option<Date>,
}

impl Scope {
    /// Look the store up, and find where the data ends: with yesterday, as today is not over; or with
    /// the day of the last order that the caller may see, if that is earlier.
    ///
    /// A store that the caller may not see and one that does not exist are refused in the same words
    /// (`STORE_UNKNOWN`): row security leaves no difference between them to find out.
    pub fn open(store_id: Option<&StoreId>) -> Result<Self, Error> {
        let days = format!(
            "SELECT ($1::timestamptz AT TIME ZONE '{TIME_ZONE}')::date AS today,
                    (max(o.order_date) AT TIME ZONE '{TIME_ZONE}')::date AS last_sale
             FROM retail.orders o WHERE o.order_date <= $1"
        );
        let [stores, days] = sql::query_all([
            sql::statement("SELECT s.store_id, s.store_name FROM retail.stores s ORDER BY s.store_name", ()),
            sql::statement(days, (this_minute(),)),
        ])?;
        let stores: Vec<Store> = stores.all()?;
        let store = store_id.map(|store_id| find(stores, store_id)).transpose()?;
        Ok(Self { store, until: until(&days.one()?)? })
    }
}

/// When the call's minute began: questions of one minute are the same question, and its answer can be kept.
fn this_minute() -> Timestamp {
    let now = caller::now().as_second();
    Timestamp::from_second(now - now.rem_euclid(60)).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn find(mut stores: Vec<Store>, StoreId(wanted): &StoreId) -> Result<Store, Error> {
    if let Some(found) = stores.iter().position(|store| store.store_id.eq_ignore_ascii_case(wanted)) {
        return Ok(stores.swap_remove(found));
    }
    let yours: Vec<_> =
        stores.iter().map(|Store { store_id, store_name }| format!("{store_name} ({store_id})")).collect();
    let yours = if yours.is_empty() { "none".to_owned() } else { yours.join(", ") };
    let message = format!("store_id: there is no store {wanted} among yours; yours are: {yours}");
    Err(Error::validation("STORE_UNKNOWN", message))
}

fn until(days: &Days) -> Result<Date, Error> {
    match days.last_sale {
        Some(last_sale) => Ok(days.today.min(last_sale.saturating_add(SignedDuration::from_hours(24)))),
        None => Err(Error::validation("NO_SALES", "there are no sales that you may see")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use stockade_sdk::jiff::civil::date;
    use stockade_sdk::testing::{Host, dates, result, texts};
    use stockade_sdk::{Error, ResultSet};

    use super::{Scope, StoreId};

    const SEATTLE: &str = "00000000-0000-4000-8000-00000000000a";

    fn open(store_id: &str, last_sale: Option<i32>) -> Result<Scope, Error> {
        let answer = move |text: &str| -> ResultSet {
            if text.contains("retail.stores") {
                result([texts("store_id", [Some(SEATTLE)]), texts("store_name", [Some("Seattle")])])
            } else {
                result([dates("today", [Some(20_780)]), dates("last_sale", [last_sale])])
            }
        };
        let host = Host::new().on_query(move |statement, _| Ok(answer(&statement.text)));
        host.run(|| Scope::open(Some(&StoreId(store_id.to_owned()))))
    }

    #[test]
    fn data_ends_with_yesterday_or_earlier() {
        let today = date(2026, 11, 23);
        assert_eq!(open(SEATTLE, Some(20_780)).unwrap().until, today);
        assert_eq!(open(SEATTLE, Some(20_779)).unwrap().until, today);
        assert_eq!(open(SEATTLE, Some(20_778)).unwrap().until, date(2026, 11, 22));
        assert_eq!(open(SEATTLE, None).unwrap_err().code(), "NO_SALES");
    }

    #[test]
    fn a_store_is_found_in_either_case_of_letters() {
        let scope = open(&SEATTLE.to_uppercase(), Some(1)).unwrap();
        assert_eq!(scope.store.unwrap().store_id, SEATTLE);
    }

    #[test]
    fn an_unknown_store_is_refused_with_the_callers_own() {
        let error = open("00000000-0000-4000-8000-00000000000b", Some(1)).unwrap_err();
        assert_eq!(error.code(), "STORE_UNKNOWN");
        assert_eq!(
            error.message(),
            "store_id: there is no store 00000000-0000-4000-8000-00000000000b among yours; yours are: \
             Seattle (00000000-0000-4000-8000-00000000000a)"
        );
    }
}
