//! Counting what test runners print.

use std::fmt;

/// Tests by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    /// Marked as ignored, and not run.
    pub(crate) skipped: usize,
}

impl Tally {
    /// Adds the numbers where `line` is a test binary's summary.
    pub(crate) fn read(&mut self, line: &str) {
        let Some((_, counts)) = line.trim().strip_prefix("test result: ").and_then(|result| result.split_once(". "))
        else {
            return;
        };
        for count in counts.split("; ") {
            match count.split_once(' ').and_then(|(number, what)| Some((number.parse::<usize>().ok()?, what))) {
                Some((number, "passed")) => self.passed += number,
                Some((number, "failed")) => self.failed += number,
                Some((number, "ignored")) => self.skipped += number,
                _ => {}
            }
        }
    }
}

/// `12 passed, 0 failed`, and `, 3 skipped` where there are any.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_add_up() {
        let mut tally = Tally::default();
        for line in [
            "running 20 tests",
            "test a ... ok",
            "test result: ok. 20 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.16s",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s",
            "the test printed: 99 passed; 99 failed",
        ] {
            tally.read(line);
        }
        assert_eq!(tally, Tally { passed: 23, failed: 2, skipped: 1 });
        assert_eq!(tally.to_string(), "23 passed, 2 failed, 1 skipped");
        assert_eq!(Tally { passed: 1, ..Tally::default() }.to_string(), "1 passed, 0 failed");
    }
}
