//! What comes out.

use serde_json::json;

/// One line of the table.
pub(crate) struct Line {
    pub(crate) what: String,
    pub(crate) against: String,
    /// What was measured, with its unit.
    pub(crate) measured: String,
    /// Ours over theirs; none where there is nothing to compare with.
    pub(crate) ratio: Option<f64>,
    /// The ratio must not be above it.
    pub(crate) bar: Option<f64>,
}

impl Line {
    pub(crate) fn holds(&self) -> bool {
        match (self.ratio, self.bar) {
            (Some(ratio), Some(bar)) => ratio <= bar,
            _ => true,
        }
    }
}

pub(crate) fn print(lines: &[Line], as_json: bool) {
    if as_json {
        let lines: Vec<_> = lines
            .iter()
            .map(|line| {
                json!({
                    "what": line.what, "against": line.against, "measured": line.measured,
                    "ratio": line.ratio, "bar": line.bar, "holds": line.holds(),
                })
            })
            .collect();
        println!("{}", json!(lines));
        return;
    }
    println!("| what | against | measured | ratio | bar | |");
    println!("|---|---|---|---|---|---|");
    for line in lines {
        let number = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.2}"));
        let verdict = match (line.bar, line.holds()) {
            (None, _) => "",
            (Some(_), true) => "holds",
            (Some(_), false) => "MISSED",
        };
        println!(
            "| {} | {} | {} | {} | {} | {verdict} |",
            line.what,
            line.against,
            line.measured,
            number(line.ratio),
            number(line.bar)
        );
    }
}
