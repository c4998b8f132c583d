use std::fmt::Write as _;

use stockade_db::{Dimension, StatementStatistics, Timing};

/// Characters of a statement that a line shows.
const TEXT_CHARS_MAX: usize = 120;

/// The statistics as tables for people, `rows` lines each.
pub(super) fn of(statistics: &StatementStatistics, rows: usize) -> String {
    let since = i64::try_from(statistics.since_s).ok().and_then(|since| jiff::Timestamp::from_second(since).ok());
    let since = since.map_or_else(|| "an unknown time".to_owned(), |since| since.to_string());
    let mut out = format!("Statements since {since}; slow from {} ms. Times in ms.\n", statistics.slow_statement_ms);
    for (title, dimension) in
        [("tool", &statistics.tools), ("tenant", &statistics.tenants), ("statement", &statistics.statements)]
    {
        section(&mut out, title, dimension, rows);
    }
    out
}

fn section(out: &mut String, title: &str, dimension: &Dimension, rows: usize) {
    let shown: Vec<&Timing> =
        dimension.top.iter().take(rows).chain([&dimension.others]).filter(|t| t.count > 0).collect();
    let width = shown.iter().map(|timing| timing.name.chars().count()).max().unwrap_or(0).max(title.len());
    // Writing to a text cannot fail.
    let _ = write!(out, "\n{title:<width$}");
    for head in ["count", "failed", "slow", "rows", "average", "p50", "p95", "p99", "max", "min"] {
        let _ = write!(out, " {head:>9}");
    }
    for Timing { name, text, count, failed, slow, rows, average_ms, p50_ms, p95_ms, p99_ms, max_ms, min_ms, .. } in
        shown
    {
        let _ = write!(out, "\n{:<width$} {count:>9} {failed:>9} {slow:>9} {rows:>9}", printable(name, usize::MAX));
        for ms in [average_ms, p50_ms, p95_ms, p99_ms, max_ms, min_ms] {
            let _ = write!(out, " {ms:>9.1}");
        }
        if let Some(text) = text {
            let _ = write!(out, "\n{:<width$} {}", "", printable(text, TEXT_CHARS_MAX));
        }
    }
    out.push('\n');
    if dimension.top.len() > rows {
        let _ = writeln!(out, "and {} more: --rows", dimension.top.len() - rows);
    }
}

/// A plugin's statement may hold what a terminal would obey.
fn printable(text: &str, chars_max: usize) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(chars_max).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_shows_the_first_rows_and_the_others_and_obeys_no_statement() {
        let timing = |name: &str, count: u64, text: Option<&str>| {
            let figures = serde_json::json!({
                "name": name, "text": text, "count": count, "failed": 1, "slow": 2, "rows": 3, "total_ms": 4.0, "average_ms": 5.0,
                "p50_ms": 6.0, "p95_ms": 7.0, "p99_ms": 8.0, "max_ms": 1234.5678, "min_ms": 0.125,
            });
            serde_json::from_value::<Timing>(figures).expect("a timing")
        };
        let tools =
            Dimension { top: vec![timing("one", 9, None), timing("two", 8, None)], others: timing("others", 7, None) };
        let nothing = Dimension { top: Vec::new(), others: timing("others", 0, None) };
        let statements = Dimension {
            top: vec![timing("0123456789abcdef", 5, Some("select \x1b[2J"))],
            others: timing("others", 0, None),
        };
        let statistics =
            StatementStatistics { since_s: 0, slow_statement_ms: 1_000, tools, tenants: nothing, statements };
        let text = of(&statistics, 1);
        assert!(text.starts_with("Statements since 1970-01-01T00:00:00Z; slow from 1000 ms."), "{text}");
        assert!(text.contains("one") && !text.contains("two") && text.contains("and 1 more: --rows"), "{text}");
        assert!(text.contains("1234.6") && text.contains("select  [2J") && !text.contains('\x1b'), "{text}");
        assert_eq!(text.matches("others").count(), 1, "{text}");
    }
}
