//! Sums rows of variants: what the contract's columns are compared with.

wit_bindgen::generate!({ path: "wit", world: "variants" });

struct Component;

impl Guest for Component {
    fn sum(rows: Vec<Vec<Value>>) -> Vec<f64> {
        let mut sums = vec![0.0; rows.first().map_or(0, Vec::len)];
        for row in &rows {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += match value {
                    Value::Null => 0.0,
                    Value::Integer(value) => *value as f64,
                    Value::Float(value) => *value,
                    Value::Text(text) => text.len() as f64,
                };
            }
        }
        sums
    }
}

export!(Component);
