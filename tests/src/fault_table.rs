//! The tables of faults in `host/README.md`: what a suite prints stands there as it was printed, row for row.
//! Compiled into each crate whose tests print such a table.
use std::io::Write as _;

/// A table, and the suite that prints it.
pub struct FaultTable {
    /// Words of the paragraph before it.
    pub after: &'static str,
    /// Its header.
    pub columns: &'static [&'static str],
    /// What each row begins with.
    pub rows: &'static [&'static str],
}

impl FaultTable {
    /// Prints a row, of which there must be one by this name.
    pub fn print(&self, row: &str, cells: &[&str]) {
        assert!(self.rows.contains(&row), "{row:?} is not among the rows of this table");
        assert_eq!(cells.len() + 1, self.columns.len(), "{row}: a cell for each column");
        // Not captured: it is read whether the test passes or not.
        writeln!(std::io::stderr(), "| {row} | {} |", cells.join(" | ")).expect("standard error");
    }

    /// Checks that the page has this table, with these rows and no others.
    pub fn is_in(&self, page: &str) {
        let (_, behind) = page.split_once(self.after).unwrap_or_else(|| panic!("not on the page: {}", self.after));
        let lines = behind.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
        let table: Vec<Vec<&str>> =
            lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect();
        assert_eq!(table[0], self.columns, "{}", self.after);
        let rows: Vec<&str> = table[2..].iter().map(|cells| cells[0]).collect();
        assert_eq!(rows, self.rows, "{}", self.after);
        assert!(table.iter().all(|cells| cells.len() == self.columns.len()), "{}", self.after);
    }
}

/// Says that something cannot be tried on this machine. Where `CI` is set, everything must be tried.
pub fn left_out(what: &str) {
    writeln!(std::io::stderr(), "left out: {what}").expect("standard error");
    assert!(std::env::var_os("CI").is_none(), "left out where `CI` is set: {what}");
}
