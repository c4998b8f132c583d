//! One file a WIT interface: they share what is in `convert` and the store's state, and nothing else.

use std::collections::BTreeSet;

use super::files::File;

const FOLDER: &str = "host/runtime/src/interfaces/";
/// What every interface may use.
const SHARED: &str = "convert";

/// Imports from one interface's file into another's.
pub(super) fn strangers(files: &[File]) -> Vec<String> {
    let inside = || files.iter().filter_map(|file| Some((file, file.path.strip_prefix(FOLDER)?)));
    let interface = |relative: &str| relative.split('/').next().unwrap_or(relative).trim_end_matches(".rs").to_owned();
    let interfaces: BTreeSet<String> = inside().map(|(_, relative)| interface(relative)).collect();
    let mut breaches = Vec::new();
    for (file, relative) in inside() {
        let own = interface(relative);
        // In `interfaces/sql/cursor.rs`, the interfaces are one `super` further up.
        let above = "super::".repeat(relative.split('/').count());
        for (number, line) in file.text.lines().enumerate() {
            for name in named_after("interfaces::", line).into_iter().chain(named_after(&above, line)) {
                if interfaces.contains(&name) && name != own && name != SHARED {
                    breaches.push(format!("{}:{}: {own} may not import {name}", file.path, number + 1));
                }
            }
        }
    }
    breaches
}

/// The modules named right after `path` in a line: one, or those in braces.
fn named_after(path: &str, line: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in line.match_indices(path) {
        let longer = line.get(..at).is_some_and(|before| before.ends_with("super::"));
        let Some(rest) = line.get(at + path.len()..).filter(|_| !longer) else {
            continue;
        };
        let list = match rest.strip_prefix('{') {
            Some(braced) => braced.split('}').next().unwrap_or(braced),
            None => rest.split(',').next().unwrap_or(rest),
        };
        for item in list.split(',') {
            let word: String = item.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            names.push(word);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::super::files::file;
    use super::*;

    fn check(sql: &str, cursor: &str) -> Vec<String> {
        strangers(&[
            file("host/runtime/src/interfaces/sql.rs", sql),
            file("host/runtime/src/interfaces/sql/cursor.rs", cursor),
            file("host/runtime/src/interfaces/cache.rs", ""),
            file("host/runtime/src/interfaces/log.rs", ""),
            file("host/runtime/src/interfaces/convert.rs", ""),
        ])
    }

    #[test]
    fn what_is_shared_and_ones_own_may_be_used() {
        let sql = "use super::convert;\nuse super::{convert, View};\nuse crate::bindings::cache::Host;";
        assert!(check(sql, "use super::Statements;\nuse crate::interfaces::sql::Statements;").is_empty());
    }

    #[test]
    fn another_interface_may_not() {
        let breaches = check("use super::cache::Entry;\nuse super::{convert, log};", "use super::super::log;");
        assert_eq!(
            breaches,
            [
                "host/runtime/src/interfaces/sql.rs:1: sql may not import cache",
                "host/runtime/src/interfaces/sql.rs:2: sql may not import log",
                "host/runtime/src/interfaces/sql/cursor.rs:1: sql may not import log",
            ]
        );
        assert_eq!(check("", "fn f() { crate::interfaces::cache::get() }").len(), 1);
    }
}
