//! The date and time, for agents that have no clock.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stockade_sdk::{Error, Tool, caller};

#[derive(Deserialize, JsonSchema)]
struct Input {}

#[derive(JsonSchema, Serialize)]
struct Output {
    /// Today's date in UTC: `2026-11-23`.
    date: String,
    /// The time in UTC (RFC 3339), to the second: `2026-11-23T09:30:00Z`.
    datetime: String,
}

struct GetCurrentUtcDate;

impl Tool for GetCurrentUtcDate {
    const NAME: &'static str = "get_current_utc_date";
    const TITLE: &'static str = "Current date (UTC)";
    const DESCRIPTION: &'static str = "The current date and time in UTC. Use it before working with \
        relative dates such as \"last month\" or \"this year\". Takes no arguments.";
    type Input = Input;
    type Output = Output;

    fn call(_input: Input) -> Result<Output, Error> {
        let now = format!("{:.0}", caller::now());
        let (date, _) = now.split_once('T').unwrap_or((&now, ""));
        Ok(Output { date: date.to_owned(), datetime: now })
    }

    fn text(output: &Output) -> Option<String> {
        Some(format!("It is {}.", output.datetime))
    }
}

stockade_sdk::plugin!(GetCurrentUtcDate);

#[cfg(test)]
mod tests {
    use stockade_sdk::testing::Host;

    #[test]
    fn now_is_the_callers_now() {
        let output = Host::new().call::<super::GetCurrentUtcDate>(serde_json::json!({}));
        let expected = serde_json::json!({"date": "2026-11-23", "datetime": "2026-11-23T12:00:00Z"});
        assert_eq!(output, Ok(expected));
    }
}
