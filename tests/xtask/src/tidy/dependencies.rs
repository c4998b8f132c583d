//! `host/README.md` says what each library under the host is for.

use super::edges::Package;

/// Libraries that a host crate builds on and the note does not name, and names in the note that none builds on.
pub(super) fn unnamed(packages: &[Package], note: &str) -> Vec<String> {
    let in_host = packages.iter().filter(|package| package.folder.starts_with("host/"));
    let used: Vec<&str> = in_host.flat_map(Package::libraries).collect();
    // A row of the note's table: | `name`, `name` | … |
    let table = note.split_once("\n## Dependencies\n").map_or("", |(_, rest)| rest);
    let table = table.split_once("\n## ").map_or(table, |(table, _)| table);
    let cells = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('|'));
    let named: Vec<&str> =
        cells.flat_map(|(cell, _)| cell.split(',')).map(|name| name.trim_matches([' ', '`'])).collect();
    let mut breaches: Vec<String> = used
        .iter()
        .filter(|name| !named.contains(name))
        .map(|name| format!("{name} is not named in the dependency note: say in host/README.md what it is for"))
        .collect();
    let gone = named.iter().filter(|name| !used.contains(name));
    breaches.extend(gone.map(|name| format!("{name} is named in the dependency note, but no host crate builds on it")));
    breaches.sort();
    breaches.dedup();
    breaches
}

#[cfg(test)]
mod tests {
    use super::super::edges::tests::given;
    use super::*;

    #[test]
    fn every_library_is_named_and_nothing_else() {
        let packages = given(&["stockade-db host/db: sqlx serde ./stockade-x tempfile?", "xtask tests/xtask: zip"]);
        let note = |rows: &str| {
            format!("# The host\n\n## Dependencies\n\n| library | for |\n|---|---|\n{rows}\n## Next\n| `zip` | no |\n")
        };
        assert!(unnamed(&packages, &note("| `sqlx` | SQL |\n| `serde`, `sqlx` | more |\n")).is_empty());
        assert_eq!(unnamed(&packages, &note("| `sqlx` | `serde` in passing |\n")).len(), 1);
        assert_eq!(unnamed(&packages, &note("| `sqlx`, `serde`, `zip` | |\n")).len(), 1);
        assert_eq!(unnamed(&packages, "no note").len(), 2);
    }
}
