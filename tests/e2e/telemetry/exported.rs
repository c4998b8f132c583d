//! What a server exports, held against what its README and its dashboard say.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Each family, with the labels that its series have.
fn families(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut families = BTreeMap::<_, BTreeSet<String>>::new();
    let mut family = String::new();
    for line in text.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            family = kind.split(' ').next().unwrap().to_owned();
            families.entry(family.clone()).or_default();
        } else if !line.starts_with('#') {
            let labels = line.split_once('{').map_or("", |(_, rest)| rest.rsplit_once('}').unwrap().0);
            let names = labels.split("\",").filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
            families.get_mut(&family).unwrap().extend(names);
        }
    }
    families
}

/// The README's table of metrics and the text have the same names, and the same labels.
pub(super) fn is_as_the_readme_says(text: &str) {
    let readme = include_str!("../../../host/server/README.md");
    let (_, table) = readme.split_once("| metric | type | labels |").expect("the table of metrics");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let of_row = |row: &str| {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let labels = cells[3].split(',').map(|label| label.trim().trim_matches('`').to_owned());
        (cells[1].trim_matches('`').to_owned(), labels.filter(|label| !label.is_empty()).collect())
    };
    let documented: BTreeMap<String, BTreeSet<String>> = rows.map(of_row).collect();
    let mut exported = families(text);
    exported.values_mut().for_each(|labels| {
        labels.remove("le");
    });
    assert_eq!(documented, exported, "left: host/server/README.md, right: what the server exports");
}

/// Every metric in the dashboard's queries is exported, with the labels that the query names.
pub(super) fn is_all_that_the_dashboard_asks_for(text: &str) {
    let dashboard: Value = serde_json::from_str(include_str!("../../../host/server/dashboards/stockade.json")).unwrap();
    let families = families(text);
    let targets = dashboard["panels"].as_array().unwrap().iter().flat_map(|p| p["targets"].as_array().unwrap());
    let queries: Vec<_> = targets.map(|target| target["expr"].as_str().unwrap()).collect();
    assert!(queries.len() > 20, "{queries:?}");
    for query in queries {
        let (metrics, labels) = words(query);
        assert!(!metrics.is_empty(), "{query}");
        let mut known = BTreeSet::new();
        for metric in metrics {
            let base = ["_bucket", "_count", "_sum"].iter().find_map(|end| metric.strip_suffix(end));
            let found = families.get(&metric).or_else(|| families.get(base?));
            known.extend(found.unwrap_or_else(|| panic!("{metric} of {query} is not exported")));
        }
        for label in labels {
            assert!(known.contains(&label), "{label} of {query} is no label of its metrics: {known:?}");
        }
    }
}

/// The metrics and the labels in a query.
fn words(query: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut metrics, mut labels) = (BTreeSet::new(), BTreeSet::new());
    let (mut in_list, mut in_braces, mut in_quotes) = (false, false, false);
    let mut word = String::new();
    let mut last = String::new();
    for c in query.chars().chain([' ']) {
        if in_quotes {
            in_quotes = c != '"';
            continue;
        }
        if c.is_ascii_alphanumeric() || c == '_' {
            word.push(c);
            continue;
        }
        if !word.is_empty() {
            let word = std::mem::take(&mut word);
            if in_list || in_braces {
                labels.insert(word.clone());
            } else if word.starts_with("mcp_") || word.starts_with("stockade_") || word.starts_with("target_") {
                metrics.insert(word.clone());
            }
            last = word;
        }
        match c {
            '"' => in_quotes = true,
            '{' => in_braces = true,
            '}' => in_braces = false,
            '(' => in_list = matches!(last.as_str(), "by" | "ignoring" | "on"),
            ')' => in_list = false,
            _ => {}
        }
        if !c.is_whitespace() && c != '(' {
            last.clear();
        }
    }
    (metrics, labels)
}

#[test]
fn a_query_is_taken_apart() {
    let set = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let query =
        "sum by (le, a) (rate(mcp_x_bucket{b=\"stockade_c\",d!=\"\"}[$__rate_interval])) / ignoring (e) stockade_y";
    assert_eq!(words(query), (set(&["mcp_x_bucket", "stockade_y"]), set(&["le", "a", "b", "d", "e"])));
}
