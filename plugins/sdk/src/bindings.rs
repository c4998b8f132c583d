//! The contract in `wit/`, as wit-bindgen writes it down in Rust. Generated once, here: plugins export
//! through the macro that comes with it.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "generated code"
)]

wit_bindgen::generate!({
    path: "../../wit",
    world: "described-plugin",
    additional_derives: [Clone, PartialEq],
    pub_export_macro: true,
    export_macro_name: "export_plugin",
    default_bindings_module: "stockade_sdk::bindings",
});
