//! The corpus: `tests/attacks/*.toml`. `tests/README.md` says what its keys mean.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Table;

const THEMES: [(&str, &str); 7] = [
    ("context", include_str!("../../attacks/context.toml")),
    ("statements", include_str!("../../attacks/statements.toml")),
    ("readings", include_str!("../../attacks/readings.toml")),
    ("objects", include_str!("../../attacks/objects.toml")),
    ("catalogue", include_str!("../../attacks/catalogue.toml")),
    ("rows", include_str!("../../attacks/rows.toml")),
    ("bombs", include_str!("../../attacks/bombs.toml")),
];

/// Cases at least, over all themes.
const CASES_MIN: usize = 120;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Theme {
    case: Vec<Table>,
}

/// One attack.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) name: String,
    sql: Option<String>,
    #[serde(default)]
    steps: Vec<String>,
    /// What each way ends with: a word a step, or several with `|` between them.
    host: String,
    protocol: String,
    blind: String,
    signed: String,
    /// The same as `host`, on a server where nothing could be revoked; none: the same.
    managed: Option<String>,
    /// What a straight connection to such a server gives away; none: nothing. It is no tenant's row.
    pub(crate) managed_tells: Option<String>,
    /// The first field of the last row, on a plain connection.
    pub(crate) gives: Option<String>,
    /// What a straight connection is left with; through a cursor nothing ever is.
    #[serde(default)]
    pub(crate) residue: String,
    /// What a straight connection changes for good, by its name in `fingerprint.sql`, and how an administrator
    /// takes it back; through a cursor nothing ever changes.
    #[serde(default)]
    pub(crate) changes: String,
    #[serde(default)]
    pub(crate) undo: String,
    /// What it changes only where nothing could be revoked.
    #[serde(default)]
    pub(crate) managed_changes: String,
}

/// A way to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// A session of the host: guard, protocol, role, context.
    Host,
    /// The same on a server where nothing could be revoked.
    Managed,
    /// What the host sends, without the guard.
    Protocol,
    /// A plain connection under the reader role, by the simple protocol, without a context.
    Blind,
    /// The same with a store's valid context in place.
    Signed,
    /// The last two where nothing could be revoked: row security and the signed context are all that is left.
    ManagedBlind,
    ManagedSigned,
}

impl Way {
    /// Whether the server is one where nothing could be revoked.
    pub(crate) fn is_managed(self) -> bool {
        matches!(self, Self::Managed | Self::ManagedBlind | Self::ManagedSigned)
    }

    /// Whether a valid context is in place.
    pub(crate) fn is_signed(self) -> bool {
        matches!(self, Self::Signed | Self::ManagedSigned)
    }
}

impl Case {
    /// The steps, written out.
    pub(crate) fn steps(&self) -> Vec<String> {
        self.sql.iter().chain(&self.steps).map(|step| expand(step)).collect()
    }

    pub(crate) fn expected(&self, way: Way) -> &str {
        match way {
            Way::Host => &self.host,
            Way::Managed => self.managed.as_ref().unwrap_or(&self.host),
            Way::Protocol => &self.protocol,
            Way::Blind | Way::ManagedBlind => &self.blind,
            Way::Signed | Way::ManagedSigned => &self.signed,
        }
    }

    /// How many of its steps went well, that must fail where rights could be revoked.
    pub(crate) fn succeeded(&self, way: Way, outcome: &str) -> usize {
        let steps = self.expected(way).split(' ').zip(outcome.split(' '));
        steps.filter(|(expected, found)| *found == "ok" && expected.split('|').all(|word| word != "ok")).count()
    }

    /// What a straight connection by this way changes for good.
    pub(crate) fn changes(&self, way: Way) -> &str {
        if way.is_managed() && !self.managed_changes.is_empty() { &self.managed_changes } else { &self.changes }
    }

    /// Whether that is how it may end by this way.
    pub(crate) fn accepts(&self, way: Way, outcome: &str) -> bool {
        let (expected, found) = (self.expected(way).split(' '), outcome.split(' '));
        expected.clone().count() == found.clone().count()
            && expected.zip(found).all(|(expected, found)| expected.split('|').any(|word| word == found))
    }
}

/// All cases for a server of this major version, with their themes.
pub(crate) fn corpus(version: u32) -> Vec<(&'static str, Case)> {
    let mut cases = Vec::new();
    for (theme, text) in THEMES {
        let parsed: Theme = toml::from_str(text).unwrap_or_else(|error| panic!("{theme}.toml: {error}"));
        cases.extend(parsed.case.into_iter().map(|written| (theme, case(theme, written, version))));
    }
    for (theme, case) in &cases {
        assert!(case.sql.is_some() == case.steps.is_empty(), "{theme}: {}: sql or steps", case.name);
    }
    assert!(cases.len() >= CASES_MIN, "{} cases", cases.len());
    cases
}

/// A case on a server of this version. What is otherwise on older ones stands under `before`, by major version.
fn case(theme: &str, mut written: Table, version: u32) -> Case {
    let before = written.remove("before").map_or_else(BTreeMap::new, |before| {
        BTreeMap::<String, Table>::deserialize(before)
            .unwrap_or_else(|error| panic!("{theme}.toml: {error}\n{written}"))
    });
    let read =
        |case: &Table| Case::deserialize(case.clone()).unwrap_or_else(|error| panic!("{theme}.toml: {error}\n{case}"));
    let mut case = read(&written);
    for (newer, otherwise) in before.into_iter().rev() {
        written.extend(otherwise);
        let older = read(&written);
        if version < newer.parse().expect("a major version") {
            case = older;
        }
    }
    case
}

/// `<<n|text>>` is `text` n times over, with `#` for the number of the turn.
fn expand(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<<") {
        out.push_str(before);
        let (inside, tail) = after.split_once(">>").expect(">> after <<");
        let (count, repeated) = inside.split_once('|').expect("n|text");
        for turn in 1..=count.parse::<usize>().expect("a count") {
            out.push_str(&repeated.replace('#', &turn.to_string()));
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}
