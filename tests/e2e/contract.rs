//! The contract says of each item what it is: people write plugins who have `wit/` and nothing else.

use std::path::Path;

use wit_parser::{Docs, Interface, PackageId, Resolve, Type, TypeDef, TypeDefKind, WorldItem};

/// Paths of items, each with what is said of it.
type Items<'a> = Vec<(String, &'a Docs)>;

/// The items of a package of which nothing is said.
fn undocumented(resolve: &Resolve, package: PackageId) -> Vec<String> {
    let package = &resolve.packages[package];
    let mut items = vec![("package".to_owned(), &package.docs)];
    for (name, &id) in &package.interfaces {
        of_interface(resolve, name, &resolve.interfaces[id], &mut items);
    }
    for (name, &id) in &package.worlds {
        let world = &resolve.worlds[id];
        items.push((name.clone(), &world.docs));
        for (key, item) in world.imports.iter().chain(&world.exports) {
            let docs = match item {
                WorldItem::Interface { docs, .. } => docs,
                WorldItem::Function(function) => &function.docs,
                WorldItem::Type { id, .. } => &resolve.types[*id].docs,
            };
            items.push((format!("{name}/{}", resolve.name_world_key(key)), docs));
        }
    }
    let silent = |docs: &Docs| docs.contents.as_ref().is_none_or(|text| text.trim().is_empty());
    items.into_iter().filter(|(_, docs)| silent(docs)).map(|(path, _)| path).collect()
}

fn of_interface<'a>(resolve: &'a Resolve, name: &str, interface: &'a Interface, items: &mut Items<'a>) {
    items.push((name.to_owned(), &interface.docs));
    for (function, of_function) in &interface.functions {
        items.push((format!("{name}/{function}"), &of_function.docs));
    }
    for (of_type, &id) in &interface.types {
        let definition = &resolve.types[id];
        // `use types.{error}`: what it is, its own interface says.
        let used =
            matches!(definition.kind, TypeDefKind::Type(Type::Id(of)) if resolve.types[of].owner != definition.owner);
        if !used {
            of_definition(&format!("{name}/{of_type}"), definition, items);
        }
    }
}

fn of_definition<'a>(path: &str, definition: &'a TypeDef, items: &mut Items<'a>) {
    items.push((path.to_owned(), &definition.docs));
    let mut part = |name: &str, docs: &'a Docs| items.push((format!("{path}.{name}"), docs));
    match &definition.kind {
        TypeDefKind::Record(record) => record.fields.iter().for_each(|field| part(&field.name, &field.docs)),
        TypeDefKind::Variant(variant) => variant.cases.iter().for_each(|case| part(&case.name, &case.docs)),
        TypeDefKind::Enum(enumeration) => enumeration.cases.iter().for_each(|case| part(&case.name, &case.docs)),
        TypeDefKind::Flags(flags) => flags.flags.iter().for_each(|flag| part(&flag.name, &flag.docs)),
        _ => {}
    }
}

#[test]
fn each_item_of_the_contract_is_documented() {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit")).unwrap();
    assert_eq!(undocumented(&resolve, package), [""; 0]);
}

#[test]
fn an_item_of_which_nothing_is_said_is_found_wherever_it_stands() {
    const TEXT: &str = "package a:b;
        interface said { use silent.{r}; }
        /// Said.
        interface silent {
            record r { f: u8, /** said */ g: u8 }
            variant v { c }
            enum e { c, /// said
                d }
            flags s { t }
            resource o { open: static func() -> o; }
            call: func(of: r);
        }
        world w { import said; import silent; export run: func(); }";
    let mut resolve = Resolve::default();
    let package = resolve.push_str("a.wit", TEXT).unwrap();
    let mut found = undocumented(&resolve, package);
    found.sort();
    let expected = [
        "package",
        "said",
        "silent/[static]o.open",
        "silent/call",
        "silent/e",
        "silent/e.c",
        "silent/o",
        "silent/r",
        "silent/r.f",
        "silent/s",
        "silent/s.t",
        "silent/v",
        "silent/v.c",
        "w",
        "w/a:b/said",
        "w/a:b/silent",
        "w/run",
    ];
    assert_eq!(found, expected);
}
