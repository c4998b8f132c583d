//! The limits of a call: a default, what a manifest asks for, and the operator's cap.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Declares every limit once: field, default, the operator's default cap, and what it bounds.
macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $default:expr, cap $cap:expr;)*) => {
        /// What one call may use.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Limits { $($(#[$doc])* pub $name: $type,)* }

        /// The limits that a manifest asks for, in its table `[limits]`. What it leaves out has the default.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct LimitRequest {
            $($(#[$doc])* #[serde(default, skip_serializing_if = "Option::is_none")] pub $name: Option<$type>,)*
        }

        /// The operator's caps, in the table `[plugins.limits]`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct LimitCaps { $($(#[$doc])* pub $name: $type,)* }

        impl Default for LimitCaps {
            fn default() -> Self { Self { $($name: $cap,)* } }
        }

        impl Limits {
            /// The names of all limits.
            pub const NAMES: &[&str] = &[$(stringify!($name)),*];

            /// Whether none is above its cap.
            pub(crate) fn are_within(&self, caps: &LimitCaps) -> bool {
                $(self.$name <= caps.$name)&&*
            }
        }

        impl LimitRequest {
            /// This request, and `base` where it asks for nothing: a tool's limits over its plugin's.
            #[must_use]
            pub fn over(&self, base: &Self) -> Self {
                Self { $($name: self.$name.or(base.$name),)* }
            }

            /// What a call gets: what is asked for, or the default, never above the cap.
            ///
            /// # Errors
            /// A sentence when a limit is zero or above the operator's cap: a plugin that was written
            /// for more would fail later, and less clearly.
            pub fn resolve(&self, caps: &LimitCaps) -> Result<Limits, String> {
                $(
                    if self.$name == Some(0) {
                        return Err(format!("the manifest's limit `{}` is 0; it must be at least 1", stringify!($name)));
                    }
                    if let Some(asked) = self.$name && asked > caps.$name {
                        return Err(format!(
                            "the manifest asks for {} = {asked}, the operator allows {}: lower it, or raise `{}` in [plugins.limits]",
                            stringify!($name), caps.$name, stringify!($name),
                        ));
                    }
                )*
                Ok(Limits { $($name: self.$name.unwrap_or($default).min(caps.$name),)* })
            }
        }
    };
}

limits! {
    /// Linear memory of the plugin, all of its memories together, in MiB.
    memory_mib: u32 = 64, cap 256;
    /// Stack of the plugin, in KiB, rounded up to a power of two of at least 64. The whole plugin's: its code
    /// runs on an engine with that stack, whichever tool is called.
    stack_kib: u32 = 512, cap 2_048;
    /// Elements of all tables together.
    table_elements: u32 = 20_000, cap 100_000;
    /// Handles of host resources held at once: cursors, and what WASI gives.
    handles: u32 = 1_000, cap 10_000;
    /// Wall-clock time of a call, in milliseconds.
    deadline_ms: u32 = 10_000, cap 60_000;
    /// Time on a processor, in milliseconds; waiting for the host is free.
    cpu_ms: u32 = 5_000, cap 60_000;
    /// Instructions, about: the same call with the same data spends the same on every machine. 0, which
    /// cannot be asked for: not counted. Counting makes the whole plugin slower.
    fuel: u64 = 0, cap 1_000_000_000_000;
    /// Calls of host functions, those of WASI included.
    host_calls: u32 = 1_000, cap 100_000;
    /// Rows of one result.
    rows_max: u32 = 10_000, cap 1_000_000;
    /// Bytes of values out of the database, all results together.
    bytes_max: u64 = 32 << 20, cap 256 << 20;
    /// Bytes of the result: JSON and text together.
    output_bytes_max: u32 = 4 << 20, cap 16 << 20;
    /// Lines in the log; further ones are counted and dropped.
    log_lines_max: u32 = 100, cap 10_000;
    /// Calls of the plugin at once, all tools and callers together; a further one waits.
    concurrent_calls: u32 = 64, cap 256;
}

impl Limits {
    /// Time after the deadline in which a guest whose query was stopped can still say so.
    pub(crate) const GRACE: Duration = Duration::from_millis(100);

    pub(crate) fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms.into())
    }

    pub(crate) fn cpu(&self) -> Duration {
        Duration::from_millis(self.cpu_ms.into())
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        usize::try_from(self.memory_mib).unwrap_or(usize::MAX).saturating_mul(1 << 20)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_asked_for_has_the_default_within_the_cap() {
        let caps = LimitCaps { deadline_ms: 2_000, ..LimitCaps::default() };
        let limits = LimitRequest { rows_max: Some(5), ..LimitRequest::default() }.resolve(&caps);
        let limits = limits.expect("within the caps");
        assert_eq!((limits.rows_max, limits.deadline_ms, limits.memory_mib), (5, 2_000, 64));
    }

    #[test]
    fn a_tool_asks_over_its_plugin() {
        let plugin = LimitRequest { rows_max: Some(5), cpu_ms: Some(7), ..LimitRequest::default() };
        let tool = LimitRequest { rows_max: Some(9), ..LimitRequest::default() };
        let limits = tool.over(&plugin).resolve(&LimitCaps::default()).expect("within the caps");
        assert_eq!((limits.rows_max, limits.cpu_ms, limits.fuel), (9, 7, 0));
    }

    #[test]
    fn more_than_the_cap_and_zero_are_refused_by_name() {
        let more = LimitRequest { memory_mib: Some(257), ..LimitRequest::default() };
        let refusal = more.resolve(&LimitCaps::default()).expect_err("above the cap");
        assert!(refusal.contains("memory_mib = 257"), "{refusal}");
        let default = LimitRequest::default().resolve(&LimitCaps::default()).expect("within the caps");
        assert!(default.are_within(&LimitCaps::default()));
        assert!(!default.are_within(&LimitCaps { concurrent_calls: 63, ..LimitCaps::default() }));
        let zero = LimitRequest { host_calls: Some(0), ..LimitRequest::default() };
        assert!(zero.resolve(&LimitCaps::default()).is_err());
    }
}
