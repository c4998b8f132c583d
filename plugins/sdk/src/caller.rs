//! What a tool may know of the call that it serves. There is no credential, tenant or role here.

use jiff::Timestamp;

use crate::host::caller;

/// A name to show, chosen by the operator. Not an identifier.
pub fn display_name() -> String {
    caller::display_name()
}

/// The caller's time zone, an IANA name, e.g. `Europe/Berlin`; `UTC` where none is known.
pub fn time_zone() -> String {
    caller::time_zone()
}

/// The id under which the operator finds this call in the log.
pub fn request_id() -> String {
    caller::request_id()
}

/// The time when the call began. The same at every call: an analysis has one "now".
pub fn now() -> Timestamp {
    // The host's clock lies within jiff's years -9999 to 9999.
    Timestamp::from_microsecond(caller::now()).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Milliseconds until the host stops this call.
pub fn deadline_ms() -> u64 {
    caller::deadline_ms()
}
