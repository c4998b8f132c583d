//! One column, without copying.

use super::error::ReadError;
use crate::{Column, ColumnValues, Error, FixedPoint, Packed};

impl Column {
    /// Whether row `row` is null.
    pub fn is_null(&self, row: usize) -> bool {
        self.nulls.get(row / 8).is_some_and(|byte| byte >> (row % 8) & 1 == 1)
    }

    /// `bool`; a null row holds `false`.
    pub fn booleans(&self) -> Result<&[bool], Error> {
        match &self.values {
            ColumnValues::Booleans(values) => Ok(values),
            _ => Err(self.mismatch("booleans")),
        }
    }

    /// `int2`, `int4`, `int8`; a null row holds 0.
    pub fn integers(&self) -> Result<&[i64], Error> {
        match &self.values {
            ColumnValues::Integers(values) => Ok(values),
            _ => Err(self.mismatch("integers")),
        }
    }

    /// `float4`, `float8`; a null row holds 0.
    pub fn floats(&self) -> Result<&[f64], Error> {
        match &self.values {
            ColumnValues::Floats(values) => Ok(values),
            _ => Err(self.mismatch("floats")),
        }
    }

    /// `numeric`, exact, as far as every value has at most 18 digits; a null row holds 0.
    pub fn decimals(&self) -> Result<Decimals<'_>, Error> {
        match &self.values {
            ColumnValues::Decimals(FixedPoint { scale, unscaled }) => Ok(Decimals { scale: *scale, unscaled }),
            _ => Err(self.mismatch("decimals")),
        }
    }

    /// `date`: days since 1970-01-01; a null row holds 0.
    pub fn dates(&self) -> Result<&[i32], Error> {
        match &self.values {
            ColumnValues::Dates(values) => Ok(values),
            _ => Err(self.mismatch("dates")),
        }
    }

    /// `timestamp`, `timestamptz`: microseconds since 1970-01-01T00:00:00; a null row holds 0.
    pub fn timestamps(&self) -> Result<&[i64], Error> {
        match &self.values {
            ColumnValues::Timestamps(values) => Ok(values),
            _ => Err(self.mismatch("timestamps")),
        }
    }

    /// Everything that is held as text; a null row holds the empty text.
    pub fn texts(&self) -> Result<Texts<'_>, Error> {
        match &self.values {
            ColumnValues::Texts(packed) => {
                Texts::of(packed).ok_or_else(|| ReadError::new("the texts are not UTF-8").at(self, 0).into())
            }
            _ => Err(self.mismatch("texts")),
        }
    }

    /// Numbers of any type, nulls as `None`: integers, floats, `numeric` in either form. What an `f64`
    /// cannot hold exactly is rounded to the nearest.
    pub fn numbers(&self) -> Result<impl Iterator<Item = Option<f64>>, Error> {
        enum Source<'a> {
            Integers(&'a [i64]),
            Floats(&'a [f64]),
            Decimals(Decimals<'a>),
            Parsed(Vec<f64>),
        }
        let source = match &self.values {
            ColumnValues::Integers(values) => Source::Integers(values),
            ColumnValues::Floats(values) => Source::Floats(values),
            ColumnValues::Decimals(_) => Source::Decimals(self.decimals()?),
            ColumnValues::Texts(_) if self.type_name == "numeric" => {
                let texts = self.texts()?;
                let parsed = (0..texts.len()).map(|row| {
                    let text = if self.is_null(row) { "0" } else { texts.get(row).unwrap_or("") };
                    text.parse().map_err(|_| ReadError::new("not a number").at(self, row))
                });
                Source::Parsed(parsed.collect::<Result<_, _>>()?)
            }
            _ => return Err(self.mismatch("numbers")),
        };
        let mut row = 0;
        Ok(std::iter::from_fn(move || {
            let number = match &source {
                Source::Integers(values) => values.get(row).map(|&value| value as f64),
                Source::Floats(values) => values.get(row).copied(),
                Source::Decimals(values) => values.get(row),
                Source::Parsed(values) => values.get(row).copied(),
            }?;
            row += 1;
            Some((!self.is_null(row - 1)).then_some(number))
        }))
    }

    fn mismatch(&self, wanted: &str) -> Error {
        let Self { name, type_name, .. } = self;
        let held = self.values.kind();
        ReadError::new(format!("column `{name}` ({type_name}) holds {held}, not {wanted}")).into()
    }
}

impl ColumnValues {
    /// How the values are held, in the contract's words.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Booleans(_) => "booleans",
            Self::Integers(_) => "integers",
            Self::Floats(_) => "floats",
            Self::Decimals(_) => "decimals",
            Self::Texts(_) => "texts",
            Self::Bytes(_) => "bytes",
            Self::Dates(_) => "dates",
            Self::Timestamps(_) => "timestamps",
            Self::Times(_) => "times",
            Self::Vectors(_) => "vectors",
        }
    }
}

/// A column of fixed-point numbers: value = unscaled × 10^-scale, exact.
#[derive(Clone, Copy, Debug)]
pub struct Decimals<'a> {
    /// How many digits stand behind the point.
    pub scale: u8,
    /// The values without the point; 0 in a null row.
    pub unscaled: &'a [i64],
}

impl Decimals<'_> {
    /// The value nearest to row `row`'s.
    pub fn get(&self, row: usize) -> Option<f64> {
        self.unscaled.get(row).map(|&unscaled| to_f64(unscaled, self.scale))
    }
}

/// The `f64` nearest to unscaled × 10^-scale.
pub(super) fn to_f64(unscaled: i64, scale: u8) -> f64 {
    const EXACT: u64 = 1 << f64::MANTISSA_DIGITS;
    if unscaled.unsigned_abs() <= EXACT && scale <= 22 {
        // Both are exact, so the one rounding of the division gives the nearest.
        unscaled as f64 / 10_f64.powi(scale.into())
    } else {
        // A decimal literal is read to the nearest; the text is always a number.
        format!("{unscaled}e-{scale}").parse().unwrap_or(f64::NAN)
    }
}

/// A column of texts.
#[derive(Clone, Copy, Debug)]
pub struct Texts<'a> {
    offsets: &'a [u32],
    data: &'a str,
}

impl<'a> Texts<'a> {
    fn of(packed: &'a Packed) -> Option<Self> {
        let data = std::str::from_utf8(&packed.data).ok()?;
        Some(Self { offsets: &packed.offsets, data })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The text of row `row`.
    pub fn get(&self, row: usize) -> Option<&'a str> {
        let (start, end) = (*self.offsets.get(row)?, *self.offsets.get(row + 1)?);
        self.data.get(start as usize..end as usize)
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> {
        let texts = *self;
        (0..self.len()).filter_map(move |row| texts.get(row))
    }
}
