//! What `wit/` generates for the host. Private: the rest of the crate names these types through
//! here, and no other crate sees them.

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "plugin",
    imports: {
        "stockade:plugin/log": trappable,
        "stockade:plugin/metrics": trappable,
        "stockade:plugin/caller": trappable,
        "stockade:plugin/progress": trappable,
        default: async | trappable,
    },
    exports: { default: async },
    trappable_error_type: {
        "stockade:plugin/types.error" => crate::interfaces::convert::HostError,
    },
    with: {
        "stockade:plugin/sql.cursor": crate::interfaces::sql::OpenCursor,
    },
});

/// The world of a plugin that describes its tools, for [`crate::pack`].
pub(crate) mod described {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package stockade:pack;
            world pack { export stockade:plugin/describe@0.1.0; }
        ",
        exports: { default: async },
    });
}
