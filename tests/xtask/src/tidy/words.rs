//! Words that must not stand in certain places.

use super::files::File;

/// Marks of unfinished work. Put together here, so that this file holds none.
const LEFT_OPEN: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
];
/// Words of the reference application. The host serves every schema and so knows none.
const RETAIL: &[&str] = &["zava", "retail", "customer", "store_id", "order_item", "sku"];
/// Where those words must not stand.
const HOST: &[&str] = &["host/", "wit/", "migrations/host/"];

/// Marks of unfinished work, anywhere.
pub(super) fn left_open(files: &[File]) -> Vec<String> {
    let open = |line: &str| LEFT_OPEN.iter().find(|mark| stands_in(mark, line)).copied();
    places(files.iter(), open, "says")
}

/// Words of the reference application in the host.
pub(super) fn retail(files: &[File]) -> Vec<String> {
    let in_host = files.iter().filter(|file| HOST.iter().any(|folder| file.path.starts_with(folder)));
    let word = |line: &str| {
        let line = line.to_lowercase();
        RETAIL.iter().find(|word| stands_in(word, &line)).copied()
    };
    places(in_host, word, "speaks of retail:")
}

/// Whether a word begins in `line` that begins with `mark`: `customer` in `customers`, not `store_id` in `restore_id`.
fn stands_in(mark: &str, line: &str) -> bool {
    let begins = |at: usize| !line.get(..at).is_some_and(|before| before.ends_with(|c: char| c.is_alphabetic()));
    line.match_indices(mark).any(|(at, _)| begins(at))
}

fn places<'a>(
    files: impl Iterator<Item = &'a File>,
    found: impl Fn(&str) -> Option<&'static str>,
    verb: &str,
) -> Vec<String> {
    let mut breaches = Vec::new();
    for file in files {
        for (number, line) in file.text.lines().enumerate() {
            if let Some(word) = found(line) {
                breaches.push(format!("{}:{} {verb} {word}", file.path, number + 1));
            }
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::super::files::file;
    use super::*;

    #[test]
    fn unfinished_work_is_seen() {
        assert!(left_open(&[file("a.rs", "// todo lists are data\nlet x = MASTODON;")]).is_empty());
        let open = format!("fn a() {{}}\n// {}: later\nfn b() {{ {}) }}", concat!("TO", "DO"), concat!("todo", "!("));
        assert_eq!(left_open(&[file("plugins/a.rs", &open)]).len(), 2);
    }

    #[test]
    fn retail_words_are_seen_in_the_host_only() {
        let text = "restore_identity(detail, task, Risku)\n";
        assert!(
            retail(&[file("host/db/src/a.rs", text), file("migrations/retail/src/a.rs", "Zava customers")]).is_empty()
        );
        let found =
            retail(&[file("host/db/src/a.rs", "ok\nlet Customers = 1;\n"), file("host/README.md", "the ZAVA store")]);
        assert_eq!(found, ["host/db/src/a.rs:2 speaks of retail: customer", "host/README.md:1 speaks of retail: zava"]);
    }
}
