//! Values as PostgreSQL sends them, decoded into columns.

use stockade_db::{Column, ColumnValues};

/// Types of every kind (`pg_type.dat`), and one that does not cross.
const TYPES: &[u32] = &[16, 17, 20, 21, 23, 25, 26, 114, 700, 701, 1082, 1083, 1114, 1184, 1700, 2950, 3802, 600];

/// The first byte chooses the type; then values, each behind a length of one byte, 255 for NULL.
pub fn read(bytes: &[u8]) {
    let Some((kind, mut rest)) = bytes.split_first() else { return };
    let type_oid = TYPES[usize::from(*kind) % TYPES.len()];
    let mut values = Vec::new();
    while let Some((length, after)) = rest.split_first() {
        if *length == 255 {
            values.push(None);
            rest = after;
            continue;
        }
        let (value, after) = after.split_at(usize::from(*length).min(after.len()));
        values.push(Some(value));
        rest = after;
    }
    let rows = values.len();
    let nulls = values.iter().filter(|value| value.is_none()).count();
    if let Ok(column) = Column::from_wire("c", type_oid, values) {
        assert_eq!(length(&column.values), Some(rows), "a value for each row");
        let marked: u32 = column.nulls.iter().map(|byte| byte.count_ones()).sum();
        assert_eq!(marked as usize, nulls);
    }
}

/// Rows of a column. `None` where offsets do not fit the data.
fn length(values: &ColumnValues) -> Option<usize> {
    match values {
        ColumnValues::Booleans(values) => Some(values.len()),
        ColumnValues::Integers(values) | ColumnValues::Timestamps(values) | ColumnValues::Times(values) => {
            Some(values.len())
        }
        ColumnValues::Floats(values) => Some(values.len()),
        ColumnValues::Decimals(values) => Some(values.unscaled.len()),
        ColumnValues::Dates(values) => Some(values.len()),
        ColumnValues::Texts(packed) | ColumnValues::Bytes(packed) => {
            let fits = packed.offsets.is_sorted() && packed.offsets.last().copied()? as usize == packed.data.len();
            fits.then(|| packed.offsets.len() - 1)
        }
        ColumnValues::Vectors(vectors) => vectors.elements.len().checked_div(vectors.dimension as usize),
    }
}
