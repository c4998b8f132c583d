//! Periods of whole days, and what to compare them with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stockade_sdk::jiff::{SignedDuration, civil::Date};

/// A period that ends with the last whole day for which there is data, or at a quarter's end.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum TimePeriod {
    /// Seven whole days, against the seven before.
    #[serde(rename = "last_7_days")]
    Last7Days,
    /// Thirty whole days, against the thirty before.
    #[serde(rename = "last_30_days")]
    Last30Days,
    /// Ninety whole days, against the ninety before.
    #[serde(rename = "last_90_days")]
    Last90Days,
    /// The last calendar quarter that is over, against the quarter before.
    LastQuarter,
    /// From 1 January on, against the same days of the year before.
    YearToDate,
    /// Twelve months, against the twelve before.
    #[serde(rename = "last_12_months")]
    Last12Months,
}

/// Days from `first` up to, but not including, `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first day.
    pub first: Date,
    /// The day after the last.
    pub until: Date,
}

/// A period and what it is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spans {
    /// The period itself.
    pub current: Span,
    /// The one before.
    pub prior: Span,
    /// Both a year earlier, where that tells the season from the trend.
    pub year_ago: Option<[Span; 2]>,
}

impl Span {
    fn new(first: Date, until: Date) -> Self {
        Self { first, until }
    }

    /// The last day.
    pub fn last(self) -> Date {
        day_before(self.until)
    }

    /// How many days.
    pub fn days(self) -> i32 {
        // Both lie within jiff's years, so the hours of the difference fit.
        (self.until.duration_since(self.first).as_hours() / 24) as i32
    }
}

impl TimePeriod {
    /// The period's days and what to compare them with. `until` is the day after the last whole day of
    /// data.
    pub fn spans(self, until: Date) -> Spans {
        match self {
            Self::Last7Days => days(until, 7),
            Self::Last30Days => days(until, 30),
            Self::Last90Days => days(until, 90),
            Self::LastQuarter => {
                let until = quarter_begin(until);
                let middle = quarter_begin(day_before(until));
                let first = quarter_begin(day_before(middle));
                Spans {
                    current: Span::new(middle, until),
                    prior: Span::new(first, middle),
                    year_ago: Some([year_before(middle, until), year_before(first, middle)]),
                }
            }
            Self::YearToDate => {
                // On 1 January the year to date has no whole day yet: the year that is over is meant.
                let first = day_before(until).first_of_year();
                let current = Span::new(first, until);
                Spans { current, prior: year_before(first, until), year_ago: None }
            }
            Self::Last12Months => {
                let first = year_back(until);
                Spans { current: Span::new(first, until), prior: year_before(first, until), year_ago: None }
            }
        }
    }
}

/// So many days, those before, and both 52 weeks earlier, so that weekdays match.
fn days(until: Date, count: i64) -> Spans {
    let before = |days: i64| until.saturating_sub(SignedDuration::from_hours(24 * days));
    let year = 52 * 7;
    Spans {
        current: Span::new(before(count), until),
        prior: Span::new(before(2 * count), before(count)),
        year_ago: Some([
            Span::new(before(count + year), before(year)),
            Span::new(before(2 * count + year), before(count + year)),
        ]),
    }
}

fn year_before(first: Date, until: Date) -> Span {
    Span::new(year_back(first), year_back(until))
}

fn day_before(day: Date) -> Date {
    day.saturating_sub(SignedDuration::from_hours(24))
}

/// The same day of the year before. A leap day has none: the day before it stands in.
fn year_back(day: Date) -> Date {
    let year = day.year() - 1;
    Date::new(year, day.month(), day.day()).or_else(|_| Date::new(year, 2, 28)).unwrap_or(day)
}

/// The first day of the quarter in which `day` lies.
fn quarter_begin(day: Date) -> Date {
    let first_month = day.month() - (day.month() - 1) % 3;
    Date::new(day.year(), first_month, 1).unwrap_or(day)
}

#[cfg(test)]
mod tests {
    use stockade_sdk::jiff::civil::{Date, date};

    use super::{Span, TimePeriod};

    fn span(first: Date, until: Date) -> Span {
        Span { first, until }
    }

    #[track_caller]
    fn check(period: TimePeriod, until: Date, current: Span, prior: Span) {
        let spans = period.spans(until);
        assert_eq!((spans.current, spans.prior), (current, prior));
    }

    #[test]
    fn days_end_with_the_last_whole_day() {
        let spans = TimePeriod::Last7Days.spans(date(2026, 3, 3));
        assert_eq!(spans.current, span(date(2026, 2, 24), date(2026, 3, 3)));
        assert_eq!(spans.prior, span(date(2026, 2, 17), date(2026, 2, 24)));
        assert_eq!((spans.current.last(), spans.current.days()), (date(2026, 3, 2), 7));
        let [current, prior] = spans.year_ago.unwrap_or([spans.current; 2]);
        assert_eq!(current, span(date(2025, 2, 25), date(2025, 3, 4)));
        assert_eq!(current.first.weekday(), spans.current.first.weekday());
        assert_eq!(prior.until, current.first);
        assert_eq!(TimePeriod::Last90Days.spans(date(2026, 3, 3)).prior.days(), 90);
    }

    #[test]
    fn a_quarter_is_one_that_is_over() {
        let second = span(date(2026, 4, 1), date(2026, 7, 1));
        let third = span(date(2026, 7, 1), date(2026, 10, 1));
        check(TimePeriod::LastQuarter, date(2026, 11, 23), third, second);
        // With all of the third quarter there, and nothing after it.
        check(TimePeriod::LastQuarter, date(2026, 10, 1), third, second);
        let first = span(date(2026, 1, 1), date(2026, 4, 1));
        check(TimePeriod::LastQuarter, date(2026, 9, 30), second, first);
        let fourth = span(date(2025, 10, 1), date(2026, 1, 1));
        check(TimePeriod::LastQuarter, date(2026, 5, 31), first, fourth);
    }

    #[test]
    fn years_are_compared_with_years() {
        check(
            TimePeriod::YearToDate,
            date(2026, 11, 23),
            span(date(2026, 1, 1), date(2026, 11, 23)),
            span(date(2025, 1, 1), date(2025, 11, 23)),
        );
        check(
            TimePeriod::YearToDate,
            date(2026, 1, 1),
            span(date(2025, 1, 1), date(2026, 1, 1)),
            span(date(2024, 1, 1), date(2025, 1, 1)),
        );
        // A leap day has no counterpart: the day before it stands in.
        check(
            TimePeriod::Last12Months,
            date(2024, 2, 29),
            span(date(2023, 2, 28), date(2024, 2, 29)),
            span(date(2022, 2, 28), date(2023, 2, 28)),
        );
    }
}
