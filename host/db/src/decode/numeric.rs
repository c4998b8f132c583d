//! `numeric`: fixed-point while every value of the column fits 18 digits at one scale, text otherwise.
use super::{ColumnValues, FixedPoint, Packed, empty_packed, pack};

/// A decimal of more digits is not held as an `i64`.
const DIGITS_MAX: u32 = 18;
/// NUMERIC_NEG, NUMERIC_NAN, NUMERIC_PINF and NUMERIC_NINF of `numeric.c`
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const POSITIVE_INFINITY: u16 = 0xD000;
const NEGATIVE_INFINITY: u16 = 0xF000;
/// The base of a digit on the wire.
const BASE: i128 = 10_000;

/// The values of one column so far.
#[derive(Debug, Default)]
pub(super) struct Numerics {
    /// Value = unscaled × 10^-scale; a null is 0 at scale 0.
    exact: Vec<(i128, u32)>,
    nulls: Vec<bool>,
    /// Set from the first value on that no `i128` holds.
    texts: Option<Packed>,
}

impl Numerics {
    /// False when the bytes are no numeric.
    pub(super) fn push(&mut self, value: Option<&[u8]>) -> bool {
        let parsed = match value.map(Wire::parse) {
            Some(None) => return false,
            Some(Some(wire)) => Some(wire),
            None => None,
        };
        if let Some(texts) = &mut self.texts {
            return pack(texts, parsed.map_or_else(String::new, |wire| wire.to_text()).as_bytes());
        }
        match parsed.as_ref().map(Wire::exact) {
            None => {
                self.exact.push((0, 0));
                self.nulls.push(true);
                true
            }
            Some(Some(exact)) => {
                self.exact.push(exact);
                self.nulls.push(false);
                true
            }
            Some(None) => {
                let mut texts = self.as_texts();
                let packed = pack(&mut texts, parsed.map_or_else(String::new, |wire| wire.to_text()).as_bytes());
                self.texts = Some(texts);
                packed
            }
        }
    }

    pub(super) fn finish(self) -> ColumnValues {
        if let Some(texts) = self.texts {
            return ColumnValues::Texts(texts);
        }
        // First as PostgreSQL shows it (prices keep their two places), then without trailing zeros.
        fixed_point(&self.exact)
            .or_else(|| fixed_point(&self.exact.iter().map(|value| strip(*value)).collect::<Vec<_>>()))
            .map_or_else(|| ColumnValues::Texts(self.as_texts()), ColumnValues::Decimals)
    }

    fn as_texts(&self) -> Packed {
        let mut texts = empty_packed();
        for ((unscaled, scale), null) in self.exact.iter().zip(&self.nulls) {
            let text = if *null { String::new() } else { exact_text(*unscaled, *scale) };
            // Short texts, at most as many as rows: the offsets cannot overflow before memory does.
            let _ = pack(&mut texts, text.as_bytes());
        }
        texts
    }
}

fn fixed_point(values: &[(i128, u32)]) -> Option<FixedPoint> {
    let scale = values.iter().map(|(_, scale)| *scale).max().unwrap_or(0);
    if scale > DIGITS_MAX {
        return None;
    }
    let limit = 10_i128.pow(DIGITS_MAX);
    let unscaled = values
        .iter()
        .map(|(unscaled, own)| {
            let value = unscaled.checked_mul(10_i128.checked_pow(scale - own)?)?;
            if value.abs() < limit { i64::try_from(value).ok() } else { None }
        })
        .collect::<Option<Vec<i64>>>()?;
    Some(FixedPoint { scale: u8::try_from(scale).ok()?, unscaled })
}

fn strip((mut unscaled, mut scale): (i128, u32)) -> (i128, u32) {
    while scale > 0 && unscaled % 10 == 0 {
        unscaled /= 10;
        scale -= 1;
    }
    (unscaled, scale)
}

/// The value as PostgreSQL would show it.
#[cfg(test)]
pub(super) fn text_of(unscaled: i128, scale: u32) -> String {
    exact_text(unscaled, scale)
}

fn exact_text(unscaled: i128, scale: u32) -> String {
    let sign = if unscaled < 0 { "-" } else { "" };
    let places = scale as usize;
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    if places == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// numeric_send: number of digits, weight of the first, sign, digits after the point, then the digits
/// in base 10,000, 16 bits each.
#[derive(Debug)]
struct Wire {
    weight: i32,
    sign: u16,
    scale: u16,
    digits: Vec<u16>,
}

impl Wire {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (words, rest) = bytes.as_chunks::<2>();
        let mut words = words.iter().map(|word| u16::from_be_bytes(*word));
        let count = words.next()?;
        let weight = i32::from(words.next()?.cast_signed());
        let (sign, scale) = (words.next()?, words.next()?);
        let digits: Vec<u16> = words.collect();
        let known = [0, NEGATIVE, NAN, POSITIVE_INFINITY, NEGATIVE_INFINITY].contains(&sign);
        let whole = rest.is_empty()
            && digits.len() == usize::from(count)
            && digits.iter().all(|digit| i128::from(*digit) < BASE);
        (known && whole).then_some(Self { weight, sign, scale, digits })
    }

    fn exact(&self) -> Option<(i128, u32)> {
        if self.sign != 0 && self.sign != NEGATIVE {
            return None;
        }
        let scale = u32::from(self.scale);
        // Digits kept, in base 10,000, from the first down to the last that the scale shows.
        let last = -i32::try_from(scale.div_ceil(4)).ok()?;
        let mut value: i128 = 0;
        let mut position = self.weight.max(0);
        if position > 10 || scale > 36 {
            return None;
        }
        while position >= last {
            value = value.checked_mul(BASE)?.checked_add(i128::from(self.digit(position)))?;
            position -= 1;
        }
        let surplus = scale.div_ceil(4) * 4 - scale;
        value /= 10_i128.pow(surplus);
        Some((if self.sign == NEGATIVE { -value } else { value }, scale))
    }

    /// The base-10,000 digit that stands for 10,000^position.
    fn digit(&self, position: i32) -> u16 {
        usize::try_from(self.weight - position).ok().and_then(|index| self.digits.get(index)).copied().unwrap_or(0)
    }

    fn to_text(&self) -> String {
        match self.sign {
            NAN => return "NaN".to_owned(),
            POSITIVE_INFINITY => return "Infinity".to_owned(),
            NEGATIVE_INFINITY => return "-Infinity".to_owned(),
            _ => {}
        }
        let mut whole: String =
            (0..=self.weight.max(0)).rev().map(|position| format!("{:04}", self.digit(position))).collect();
        let zeros = whole.len() - whole.trim_start_matches('0').len();
        whole.drain(..zeros.min(whole.len() - 1));
        let sign = if self.sign == NEGATIVE { "-" } else { "" };
        if self.scale == 0 {
            return format!("{sign}{whole}");
        }
        let groups = i32::from(self.scale.div_ceil(4));
        let mut fraction: String = (1..=groups).map(|group| format!("{:04}", self.digit(-group))).collect();
        fraction.truncate(usize::from(self.scale));
        format!("{sign}{whole}.{fraction}")
    }
}
