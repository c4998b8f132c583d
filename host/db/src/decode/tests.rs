use super::*;

fn column(kind: Kind, values: &[Option<&[u8]>]) -> Column {
    let mut builder = Builder::new("c", TypeOf { name: "t".to_owned(), kind }).unwrap();
    for value in values {
        builder.push(*value).unwrap();
    }
    builder.finish()
}

fn numeric(weight: i16, sign: u16, scale: u16, digits: &[u16]) -> Vec<u8> {
    let mut out = Vec::new();
    for word in [digits.len() as u16, weight.cast_unsigned(), sign, scale].iter().chain(digits) {
        out.extend_from_slice(&word.to_be_bytes());
    }
    out
}

fn decimals(values: &[Option<&[u8]>]) -> ColumnValues {
    column(Kind::Numeric, values).values
}

fn texts(column: ColumnValues) -> Vec<String> {
    let ColumnValues::Texts(packed) = column else { panic!("expected texts, found {column:?}") };
    packed
        .offsets
        .windows(2)
        .map(|w| String::from_utf8(packed.data[w[0] as usize..w[1] as usize].to_vec()).unwrap())
        .collect()
}

#[test]
fn nulls_are_bits_from_the_least_significant() {
    let one = 1_i32.to_be_bytes();
    let mut values: Vec<Option<&[u8]>> = vec![Some(&one); 10];
    values[1] = None;
    values[9] = None;
    let built = column(Kind::Int4, &values);
    assert_eq!(built.nulls, [0b10, 0b10]);
    assert_eq!(built.values, ColumnValues::Integers(vec![1, 0, 1, 1, 1, 1, 1, 1, 1, 0]));
    assert!(column(Kind::Int4, &[Some(&one)]).nulls.is_empty());
    assert_eq!(
        column(
            Kind::Int4,
            &[None, Some(&one), Some(&one), Some(&one), Some(&one), Some(&one), Some(&one), Some(&one), Some(&one)]
        )
        .nulls,
        [1, 0]
    );
}

#[test]
fn values_of_the_wrong_length_are_errors() {
    for kind in [
        Kind::Bool,
        Kind::Int2,
        Kind::Int4,
        Kind::Int8,
        Kind::Oid,
        Kind::Float4,
        Kind::Float8,
        Kind::Uuid,
        Kind::Date,
        Kind::Timestamp,
        Kind::Time,
        Kind::Numeric,
        Kind::Vector,
        Kind::Jsonb,
    ] {
        for bytes in [&b""[..], b"123", b"12345678901"] {
            let mut builder = Builder::new("c", TypeOf { name: "t".to_owned(), kind }).unwrap();
            assert!(builder.push(Some(bytes)).is_err(), "{kind:?} {bytes:?}");
        }
    }
    assert!(
        Builder::new("c", TypeOf { name: "text".to_owned(), kind: Kind::Text }).unwrap().push(Some(&[0xff])).is_err()
    );
}

#[test]
fn prices_keep_their_places() {
    // 12.50, -0.05, 3
    let values = [numeric(0, 0, 2, &[12, 5000]), numeric(-1, 0x4000, 2, &[500]), numeric(0, 0, 0, &[3])];
    let refs: Vec<Option<&[u8]>> = values.iter().map(|v| Some(v.as_slice())).chain([None]).collect();
    assert_eq!(decimals(&refs), ColumnValues::Decimals(FixedPoint { scale: 2, unscaled: vec![1250, -5, 300, 0] }));
}

#[test]
fn eighteen_digits_fit_and_nineteen_do_not() {
    let fits = numeric(4, 0, 0, &[99, 9999, 9999, 9999, 9999]);
    assert_eq!(
        decimals(&[Some(&fits)]),
        ColumnValues::Decimals(FixedPoint { scale: 0, unscaled: vec![999_999_999_999_999_999] })
    );
    let wide = numeric(4, 0, 0, &[100]);
    assert_eq!(texts(decimals(&[Some(&fits), None, Some(&wide)])), ["999999999999999999", "", "1000000000000000000"]);
}

#[test]
fn trailing_zeros_do_not_make_a_number_wide() {
    // 1234.5000000000000000: 20 digits as shown, 5 as needed
    let average = numeric(0, 0, 16, &[1234, 5000]);
    assert_eq!(decimals(&[Some(&average)]), ColumnValues::Decimals(FixedPoint { scale: 1, unscaled: vec![12345] }));
}

#[test]
fn what_no_number_holds_is_text() {
    let nan = numeric(0, 0xC000, 0, &[]);
    let infinity = numeric(0, 0xD000, 0, &[]);
    let small = numeric(-1, 0x4000, 20, &[3333, 3333, 3333, 3333, 3333]);
    let huge = numeric(12, 0, 0, &[1]);
    assert_eq!(
        texts(decimals(&[Some(&small), Some(&nan), Some(&infinity), Some(&huge)])),
        ["-0.33333333333333333333", "NaN", "Infinity", &format!("1{}", "0".repeat(48))]
    );
}

#[test]
fn numerics_agree_with_their_text_whatever_their_form() {
    // A cheap generator: every value is also written by hand from its parts.
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = move |bound: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % bound
    };
    for _ in 0..2_000 {
        let unscaled = i128::from(next(u64::MAX)) - i128::from(u64::MAX / 2);
        let scale = next(13) as u32;
        let shown = numeric::text_of(unscaled, scale);
        let wire = encode_numeric(&shown, scale as u16);
        let mut values = numeric::Numerics::default();
        assert!(values.push(Some(&wire)), "{shown}");
        match values.finish() {
            ColumnValues::Decimals(fixed) => {
                let found = i128::from(fixed.unscaled[0]) * 10_i128.pow(scale.saturating_sub(u32::from(fixed.scale)));
                assert_eq!(found, unscaled, "{shown}");
            }
            other => assert_eq!(texts(other), [shown]),
        }
    }
}

/// numeric_send, written from the text.
fn encode_numeric(text: &str, scale: u16) -> Vec<u8> {
    let (sign, digits) = text.strip_prefix('-').map_or((0, text), |rest| (0x4000, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = format!("{}{whole}", "0".repeat((4 - whole.len() % 4) % 4));
    let fraction = format!("{fraction}{}", "0".repeat((4 - fraction.len() % 4) % 4));
    let weight = (whole.len() / 4) as i16 - 1;
    let all = format!("{whole}{fraction}");
    let groups: Vec<u16> =
        all.as_bytes().chunks(4).map(|group| std::str::from_utf8(group).unwrap().parse().unwrap()).collect();
    numeric(weight, sign, scale, &groups)
}

#[test]
fn vectors_share_one_dimension() {
    let wire = |values: &[f32]| {
        let mut out = (values.len() as u16).to_be_bytes().to_vec();
        out.extend_from_slice(&[0, 0]);
        values.iter().for_each(|value| out.extend_from_slice(&value.to_be_bytes()));
        out
    };
    let (two, three) = (wire(&[1.0, 2.0]), wire(&[1.0, 2.0, 3.0]));
    let built = column(Kind::Vector, &[None, Some(&two), None]);
    assert_eq!(
        built.values,
        ColumnValues::Vectors(VectorArray { dimension: 2, elements: vec![0.0, 0.0, 1.0, 2.0, 0.0, 0.0] })
    );
    let mut builder = Builder::new("c", TypeOf { name: "vector".to_owned(), kind: Kind::Vector }).unwrap();
    builder.push(Some(&two)).unwrap();
    assert!(matches!(builder.push(Some(&three)), Err(DbError::Statement { sqlstate, .. }) if sqlstate == "0A000"));
}

#[test]
fn times_beyond_the_contract_are_errors_and_infinities_are_not() {
    let built = column(
        Kind::Timestamp,
        &[Some(&i64::MAX.to_be_bytes()), Some(&i64::MIN.to_be_bytes()), Some(&0_i64.to_be_bytes())],
    );
    assert_eq!(built.values, ColumnValues::Timestamps(vec![i64::MAX, i64::MIN, EPOCH_US]));
    let mut builder = Builder::new("c", TypeOf { name: "timestamptz".to_owned(), kind: Kind::Timestamp }).unwrap();
    assert!(
        matches!(builder.push(Some(&(i64::MAX - 1).to_be_bytes())), Err(DbError::Statement { sqlstate, .. }) if sqlstate == "22008")
    );
}

#[test]
fn an_unsupported_type_says_what_to_cast() {
    let error = Builder::new("where", TypeOf { name: "point".to_owned(), kind: Kind::Unsupported }).unwrap_err();
    assert_eq!(error.to_string(), "0A000: column \"where\" has type point, which is not supported; cast it: ::text");
}
