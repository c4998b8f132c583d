//! Lines for the operator's log: `log::info!("{} stores", stores.len())`.
//!
//! Callers never see them. A line holds at most 4096 bytes, and a plugin's limit bounds their number.
//! Log counts and codes; customers' data does not belong here.

pub use crate::bindings::stockade::plugin::log::Level;
pub use crate::{
    __log_debug as debug, __log_error as error, __log_info as info, __log_trace as trace, __log_warn as warn,
};

/// Write one line. The macros of this module are the usual way.
pub fn write(level: Level, message: &str) {
    crate::host::log::write(level, message);
}

/// Write a line that only matters when this code is being looked into step by step.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_trace {
    ($($message:tt)+) => { $crate::log::write($crate::log::Level::Trace, &format!($($message)+)) };
}

/// Write a line for whoever develops the plugin.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_debug {
    ($($message:tt)+) => { $crate::log::write($crate::log::Level::Debug, &format!($($message)+)) };
}

/// Write a line about the ordinary course.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_info {
    ($($message:tt)+) => { $crate::log::write($crate::log::Level::Info, &format!($($message)+)) };
}

/// Write a line about something that somebody should look at.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_warn {
    ($($message:tt)+) => { $crate::log::write($crate::log::Level::Warn, &format!($($message)+)) };
}

/// Write a line about a failure.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_error {
    ($($message:tt)+) => { $crate::log::write($crate::log::Level::Error, &format!($($message)+)) };
}
