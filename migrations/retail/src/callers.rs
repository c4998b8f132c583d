//! Who asks, in the demo and in the tests.

use uuid::Uuid;

use crate::stores::{Kind, STORES, StoreKey, fixed_id};

/// The tenant in the signed context of every Zava caller.
pub const TENANT: &str = "zava";

/// The reader roles that the policies are written for. The host's migration makes them.
pub const READER_ROLES: [&str; 3] = ["zava_store_reader", "zava_region_reader", "zava_office_reader"];

/// A principal of the table `retail.principals`, and what a host's configuration says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoCaller {
    /// A name for configuration files and command lines, e.g. `seattle-store`.
    pub key: &'static str,
    /// `retail.principals.principal_id`, and the principal in the signed context.
    pub principal: Uuid,
    /// The roles in the signed context: the one that the table has.
    pub roles: &'static [&'static str],
    /// One of [`READER_ROLES`].
    pub reader_role: &'static str,
    /// A name to show.
    pub display_name: String,
    /// An IANA time zone.
    pub time_zone: &'static str,
    /// The stores whose rows the caller sees.
    pub stores: Vec<StoreKey>,
}

/// All demo callers: head office, two regions and every store. The same in every database.
#[must_use]
pub fn demo_callers() -> Vec<DemoCaller> {
    let mut callers = vec![
        DemoCaller {
            key: "head-office",
            principal: fixed_id(Kind::Principal, 1),
            roles: &["head_office"],
            reader_role: "zava_office_reader",
            display_name: "Zava head office".to_owned(),
            time_zone: TIME_ZONE,
            stores: STORES.iter().map(|store| store.key).collect(),
        },
        region(
            "northwest-region",
            2,
            "Northwest region",
            &[StoreKey::Seattle, StoreKey::Bellevue, StoreKey::Everett, StoreKey::Redmond, StoreKey::Kirkland],
        ),
        region("south-east-region", 3, "South and east region", &[StoreKey::Tacoma, StoreKey::Spokane]),
    ];
    for (number, store) in (101..).zip(&STORES) {
        callers.push(DemoCaller {
            key: store_caller_key(store.key),
            principal: fixed_id(Kind::Principal, number),
            roles: &["store_manager"],
            reader_role: "zava_store_reader",
            display_name: format!("{}, {}", store.manager, store.name),
            time_zone: TIME_ZONE,
            stores: vec![store.key],
        });
    }
    callers
}

const TIME_ZONE: &str = "America/Los_Angeles";

fn region(key: &'static str, number: u32, name: &str, stores: &[StoreKey]) -> DemoCaller {
    DemoCaller {
        key,
        principal: fixed_id(Kind::Principal, number),
        roles: &["regional_manager"],
        reader_role: "zava_region_reader",
        display_name: format!("Zava {name}"),
        time_zone: TIME_ZONE,
        stores: stores.to_vec(),
    }
}

fn store_caller_key(key: StoreKey) -> &'static str {
    match key {
        StoreKey::Seattle => "seattle-store",
        StoreKey::Bellevue => "bellevue-store",
        StoreKey::Tacoma => "tacoma-store",
        StoreKey::Spokane => "spokane-store",
        StoreKey::Everett => "everett-store",
        StoreKey::Redmond => "redmond-store",
        StoreKey::Kirkland => "kirkland-store",
        StoreKey::Online => "online-store",
    }
}
