//! Counting what test runners print.

use std::fmt;

/// How many lines of a failed binary's report are kept.
const REPORT_LINES: usize = 200;

/// Tests by how they ended, and what the failed ones said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    /// Marked as ignored, and not run.
    pub(crate) skipped: usize,
    /// Not run, because this machine lacks a program that they need.
    pub(crate) left_out: usize,
    /// What the test binaries with a failure printed of it, line by line.
    pub(crate) report: Vec<String>,
    /// Lines of the report of the binary that is being read, while it is inside one.
    open: Option<usize>,
}

impl Tally {
    /// Adds the numbers where `line` is a test binary's summary, and keeps it where it is of a report of failures.
    pub(crate) fn read(&mut self, line: &str) {
        if let Some((_, counts)) = line.trim().strip_prefix("test result: ").and_then(|result| result.split_once(". "))
        {
            self.open = None;
            self.add(counts);
        } else if line == "failures:" && self.open.is_none() {
            self.open = Some(0);
        } else if let Some(lines) = &mut self.open
            && *lines < REPORT_LINES
        {
            *lines += 1;
            self.report.push(line.to_owned());
        }
    }

    fn add(&mut self, counts: &str) {
        for count in counts.split("; ") {
            match count.split_once(' ').and_then(|(number, what)| Some((number.parse::<usize>().ok()?, what))) {
                Some((number, "passed")) => self.passed += number,
                Some((number, "failed")) => self.failed += number,
                Some((number, "ignored")) => self.skipped += number,
                // What else would be filtered out: nobody names tests to run.
                Some((number, "filtered out")) => self.left_out += number,
                _ => {}
            }
        }
    }
}

/// `12 passed, 0 failed`, and `, 3 skipped`, `, 4 left out` where there are any.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        if self.left_out > 0 {
            write!(f, ", {} left out", self.left_out)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_add_up_and_failures_are_kept() {
        let mut tally = Tally::default();
        for line in [
            "running 20 tests",
            "test a ... ok",
            "test result: ok. 20 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.16s",
            "failures:",
            "---- b stdout ----",
            "left is not right",
            "failures:",
            "    b",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 4 filtered out; finished in 1.00s",
            "the test printed: 99 passed; 99 failed",
        ] {
            tally.read(line);
        }
        assert_eq!((tally.passed, tally.failed, tally.skipped, tally.left_out), (23, 2, 1, 4));
        assert_eq!(tally.report, ["---- b stdout ----", "left is not right", "failures:", "    b"]);
        assert_eq!(tally.to_string(), "23 passed, 2 failed, 1 skipped, 4 left out");
        assert_eq!(Tally { passed: 1, ..Tally::default() }.to_string(), "1 passed, 0 failed");
    }
}
