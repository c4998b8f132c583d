//! Plugins written by hand in WebAssembly text, for what no compiler emits: forged handles, texts that
//! are not UTF-8, lengths beyond the memory, an allocator that never returns.

use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// What a raw guest imports of WASI 0.2: enough to ask for everything that a host could give.
const WASI: &str = include_str!("raw/wasi.wit");

/// A component whose one tool does what `body` says.
///
/// `body` is the text of the function `call` and gives nothing: where it comes to its end, the tool
/// returns `{}` (at 1024, two bytes). `more` is further fields of the module: imports come first in it.
/// The allocator hands out memory from 65536 on and never takes any back.
pub fn raw_guest(more: &str, body: &str) -> Vec<u8> {
    raw_guest_with(more, body, ALLOCATOR)
}

/// The same with an allocator of its own: the body of `cabi_realloc`.
pub fn raw_guest_with(more: &str, body: &str, allocator: &str) -> Vec<u8> {
    component("raw", more, body, allocator)
}

/// One that describes its tools: `describe` is the body of the function that does. Where it comes to its end, there
/// are none.
pub fn raw_described(more: &str, describe: &str) -> Vec<u8> {
    // Exports may come before the memory; imports must come first of all.
    let export = format!(
        r#"{more} (func (export "stockade:plugin/describe@0.1.0#tools") (result i32) {describe} (i32.const 2048))"#
    );
    component("raw-described", &export, "", ALLOCATOR)
}

/// A component of a core module that has the exports of the world.
fn component(world: &str, more: &str, body: &str, allocator: &str) -> Vec<u8> {
    let module = format!(
        r#"(module
            {more}
            (memory (export "memory") 4)
            (global $free (mut i32) (i32.const 65536))
            (data (i32.const 1024) "{{}}")
            (func (export "cabi_realloc") (param $old i32) (param i32 i32) (param $size i32) (result i32) {allocator})
            (func (export "stockade:plugin/tools@0.1.0#call")
                (param $tool i32) (param $tool-length i32) (param $arguments i32) (param $arguments-length i32)
                (result i32)
                {body}
                (i32.store (i32.const 2052) (i32.const 1024))
                (i32.store (i32.const 2056) (i32.const 2))
                (i32.const 2048)))"#
    );
    let mut resolve = Resolve::default();
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
    resolve.push_dir(&wit).expect("the contract");
    let package = resolve.push_str("raw.wit", WASI).expect("WASI");
    let world = *resolve.packages[package].worlds.get(world).expect("the world");
    let mut module = wat::parse_str(module).unwrap_or_else(|e| panic!("{e}"));
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("metadata");
    let encoded = ComponentEncoder::default().module(&module).and_then(|mut encoder| encoder.encode());
    encoded.unwrap_or_else(|e| panic!("{e:#}"))
}

const ALLOCATOR: &str = "
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
    (global.set $free (i32.add (local.get $at) (local.get $size)))
    (local.get $at)";

/// The manifest of a plugin with one tool; `rest` is further tables of it, `[grants]` and `[limits]`.
pub fn raw_manifest(name: &str, rest: &str) -> String {
    let tool = name.replace('-', "_");
    format!(
        "contract = '0.1.0'\n[plugin]\nname = '{name}'\nversion = '1'\ndescription = 'By hand.'\n\
         [[tools]]\nname = '{tool}'\ntitle = '{tool}'\ndescription = 'By hand.'\n\
         input_schema = {{ type = 'object' }}\noutput_schema = {{ type = 'object' }}\n{rest}"
    )
}
