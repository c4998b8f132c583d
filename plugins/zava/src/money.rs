//! Figures as a report shows them. What is given here is finite.

/// US dollars to the cent.
pub fn round_cents(dollars: f64) -> f64 {
    // Adding zero makes -0.0 a plain zero.
    (dollars * 100.0).round() / 100.0 + 0.0
}

/// `part` of `whole`; `None` where there is no whole.
pub fn share(part: f64, whole: f64) -> Option<f64> {
    (whole != 0.0).then(|| part / whole).filter(|share| share.is_finite())
}

/// `part` of `whole` in percent, to a tenth; `None` where there is no whole.
pub fn percent(part: f64, whole: f64) -> Option<f64> {
    share(part, whole).map(|share| (share * 1000.0).round() / 10.0 + 0.0)
}

/// From `before` to `now` in percent of `before`, to a tenth; `None` where there was nothing before.
pub fn change_percent(now: f64, before: f64) -> Option<f64> {
    percent(now - before, before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_rounded_and_finite() {
        assert_eq!(round_cents(-0.001).to_string(), "0");
        assert_eq!(round_cents(12.345_1), 12.35);
        assert_eq!(percent(1.0, 3.0), Some(33.3));
        assert_eq!(percent(1.0, 0.0), None);
        assert_eq!(change_percent(80.0, 100.0), Some(-20.0));
        assert_eq!(change_percent(5.0, 0.0), None);
        assert_eq!(share(f64::MAX, f64::MIN_POSITIVE), None);
    }
}
