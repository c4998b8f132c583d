//! Results of unknown shape, as JSON.

use serde_json::Value;

use super::cell::{Cell, Held, date_text, time_text, timestamp_text};
use super::column::to_f64;
use crate::{Error, ResultSet};

/// The integers up to here are exact in every JSON reader (RFC 8259, section 6).
const EXACT_INTEGER: u64 = (1 << 53) - 1;

/// So many significant digits of a decimal come through an `f64` unchanged.
const EXACT_DIGITS: u64 = 1_000_000_000_000_000;

impl ResultSet {
    /// The rows as JSON, for results whose columns are known only at run time.
    ///
    /// A number is a JSON number where every reader gets back the same one: an integer within ±(2^53−1),
    /// a `numeric` of at most 15 digits, a finite float. Any other number is text, so that no digit is
    /// lost and `NaN` has a place. Dates and times are text as in RFC 3339, `json` is what it holds,
    /// `bytea` is hexadecimal text with `\x` before it, as in PostgreSQL, a vector is a list.
    pub fn to_json_rows(&self) -> Result<Vec<Vec<Value>>, Error> {
        let cells = |row| {
            let cell = move |column| to_json(Cell::of(column, row)).map_err(|error| Error::from(error.at(column, row)));
            self.columns.iter().map(cell).collect()
        };
        (0..self.row_count as usize).map(cells).collect()
    }
}

fn to_json(cell: Cell<'_>) -> Result<Value, super::error::ReadError> {
    Ok(match cell.held()? {
        Held::Null => Value::Null,
        Held::Boolean(value) => value.into(),
        Held::Integer(value) if value.unsigned_abs() <= EXACT_INTEGER => value.into(),
        Held::Integer(value) => value.to_string().into(),
        Held::Float(value) if value.is_finite() => value.into(),
        Held::Float(value) if value.is_nan() => "NaN".into(),
        Held::Float(value) => if value > 0.0 { "Infinity" } else { "-Infinity" }.into(),
        Held::Decimal(unscaled, scale) => decimal(unscaled, scale),
        Held::Text(text) | Held::BigNumber(text) => text.into(),
        Held::Json(text) => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
        Held::Bytes(bytes) => hexadecimal(bytes).into(),
        // An infinite date has no place in a calendar, but it has a name.
        Held::Date(i32::MAX) | Held::Timestamp(i64::MAX) | Held::LocalTimestamp(i64::MAX) => "infinity".into(),
        Held::Date(i32::MIN) | Held::Timestamp(i64::MIN) | Held::LocalTimestamp(i64::MIN) => "-infinity".into(),
        Held::Date(days) => date_text(days)?.into(),
        Held::Timestamp(micros) => timestamp_text(micros, false)?.into(),
        Held::LocalTimestamp(micros) => timestamp_text(micros, true)?.into(),
        Held::Time(micros) => time_text(micros)?.into(),
        Held::Vector(elements) => elements.iter().map(|&element| Value::from(element)).collect(),
    })
}

fn decimal(unscaled: i64, scale: u8) -> Value {
    if scale == 0 && unscaled.unsigned_abs() < EXACT_DIGITS {
        unscaled.into()
    } else if unscaled.unsigned_abs() < EXACT_DIGITS && scale <= 22 {
        to_f64(unscaled, scale).into()
    } else {
        decimal_text(unscaled, scale).into()
    }
}

/// Every digit: 1234 with scale 2 is `12.34`.
fn decimal_text(unscaled: i64, scale: u8) -> String {
    let scale = usize::from(scale);
    let sign = if unscaled < 0 { "-" } else { "" };
    // At least one digit stands before the point.
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    match digits.split_at_checked(digits.len() - scale) {
        Some((whole, fraction)) if scale > 0 => format!("{sign}{whole}.{fraction}"),
        _ => format!("{sign}{digits}"),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::from("\\x");
    for byte in bytes {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{decimal, decimal_text, hexadecimal};

    #[test]
    fn decimals_are_numbers_while_no_digit_is_lost() {
        assert_eq!(decimal(1250, 2), json!(12.5));
        assert_eq!(decimal(-7, 0), json!(-7));
        assert_eq!(decimal(999_999_999_999_999, 2), json!(9_999_999_999_999.99));
        assert_eq!(decimal(1_000_000_000_000_000, 2), json!("10000000000000.00"));
        assert_eq!(decimal(123_456_789_012_345_678, 18), json!("0.123456789012345678"));
    }

    #[test]
    fn texts_of_decimals_and_bytes() {
        assert_eq!(decimal_text(-5, 3), "-0.005");
        assert_eq!(decimal_text(5, 0), "5");
        assert_eq!(hexadecimal(&[0, 255]), "\\x00ff");
    }
}
