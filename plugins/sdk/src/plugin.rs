//! From tools to a component's exports.

/// Make a plugin of one or more [`Tool`](crate::Tool)s: exports `tools` and `describe`.
///
/// Use it once, in the crate's root, in a crate of type `cdylib`. A tool's name that the contract does
/// not take is an error when the plugin is compiled.
#[macro_export]
macro_rules! plugin {
    ($($tool:ty),+ $(,)?) => {
        $(const _: () = assert!(
            $crate::__private::is_tool_name(<$tool as $crate::Tool>::NAME),
            "a tool's NAME is 1 to 64 of a-z, 0-9 and _, the first a letter",
        );)+

        // Tests run outside WebAssembly, where there is nobody to export to.
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::bindings::exports::stockade::plugin::{describe, tools};

            struct Plugin;

            impl tools::Guest for Plugin {
                fn call(tool: String, arguments: String) -> Result<tools::Output, $crate::Error> {
                    $crate::__private::start();
                    $(if tool == <$tool as $crate::Tool>::NAME {
                        return $crate::__private::run::<$tool>(&arguments);
                    })+
                    // The manifest lists the tools, so the host asks for no other.
                    Err($crate::Error::unexpected("TOOL_UNKNOWN", "the plugin has no such tool"))
                }
            }

            impl describe::Guest for Plugin {
                fn tools() -> Vec<describe::Tool> {
                    vec![$($crate::__private::describe::<$tool>()),+]
                }
            }

            $crate::bindings::export_plugin!(
                Plugin with_types_in $crate::bindings
            );
        };
    };
}

/// What every call does first: a panic's message goes to the operator's log before the trap.
#[doc(hidden)]
pub fn start() {
    std::panic::set_hook(Box::new(|panic| {
        crate::log::write(crate::log::Level::Error, &panic.to_string());
    }));
}
