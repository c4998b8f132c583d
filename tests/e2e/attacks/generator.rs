//! Random queries over the schema: valid ones, as far as a small grammar can tell, that compare, join,
//! nest, cast and show everything within reach.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Id,
    Text,
    Whole,
    Number,
    Time,
}

use Type::{Id, Number, Text, Time, Whole};

const TYPES: [Type; 5] = [Id, Text, Whole, Number, Time];

const TABLES: [(&str, &[(&str, Type)]); 8] = [
    ("stores", &[("store_id", Id), ("store_name", Text), ("location", Text), ("manager_name", Text)]),
    (
        "customers",
        &[
            ("customer_id", Id),
            ("store_id", Id),
            ("first_name", Text),
            ("last_name", Text),
            ("email", Text),
            ("phone", Text),
            ("created_at", Time),
        ],
    ),
    (
        "orders",
        &[
            ("order_id", Id),
            ("store_id", Id),
            ("customer_id", Id),
            ("order_date", Time),
            ("total_amount", Number),
            ("status", Text),
        ],
    ),
    (
        "order_items",
        &[
            ("order_item_id", Id),
            ("order_id", Id),
            ("store_id", Id),
            ("product_id", Id),
            ("quantity", Whole),
            ("unit_price", Number),
            ("total_amount", Number),
        ],
    ),
    (
        "inventory",
        &[("store_id", Id), ("product_id", Id), ("stock_level", Whole), ("reorder_level", Whole), ("updated_at", Time)],
    ),
    ("principals", &[("principal_id", Id), ("display_name", Text), ("role", Text)]),
    ("principal_stores", &[("principal_id", Id), ("store_id", Id)]),
    ("products", &[("product_id", Id), ("sku", Text), ("product_name", Text), ("base_price", Number)]),
];

/// A name that an expression may use.
#[derive(Clone)]
struct Column {
    name: String,
    kind: Type,
}

/// Makes one query after the other; the same seed, the same queries.
pub(crate) struct Generator {
    random: ChaCha8Rng,
    /// Aliases given out, so that none means two things.
    aliases: usize,
}

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: ChaCha8Rng::seed_from_u64(seed), aliases: 0 }
    }

    /// The next query.
    pub(crate) fn query(&mut self) -> String {
        self.aliases = 0;
        let kinds: Vec<Type> = (0..=self.below(3)).map(|_| self.kind()).collect();
        let body = self.select(&kinds, &[], 3);
        match self.below(4) {
            0 => {
                let other = self.select(&kinds, &[], 2);
                let operator = self.pick(&["UNION", "UNION ALL", "EXCEPT", "INTERSECT"]);
                format!("({body}) {operator} ({other})")
            }
            1 => {
                let materialised = self.pick(&["", "MATERIALIZED ", "NOT MATERIALIZED "]);
                format!("WITH w AS {materialised}({body}) SELECT * FROM w")
            }
            2 => format!("SELECT row_to_json(q), q::text FROM ({body}) q"),
            _ => body,
        }
    }

    /// A SELECT with one column, `c0`, `c1` …, for each of `kinds`. `outer` may be named inside.
    fn select(&mut self, kinds: &[Type], outer: &[Column], depth: usize) -> String {
        let tails = [" LIMIT 50", " LIMIT 1", " ORDER BY 1 LIMIT 20", " ORDER BY 1 DESC LIMIT 20"];
        let tail = self.pick(&tails);
        self.select_with(kinds, outer, depth, tail)
    }

    fn select_with(&mut self, kinds: &[Type], outer: &[Column], depth: usize, tail: &str) -> String {
        let mut from = String::new();
        let mut scope = outer.to_vec();
        for item in 0..=self.below(if depth > 1 { 3 } else { 1 }) {
            let (source, columns) = self.source(outer, depth);
            if item == 0 {
                from = source;
            } else {
                let join = self.pick(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "JOIN"]);
                // Joined by an id where there is one on both sides, or rows multiply.
                let (left, right) = (self.column(&scope, Id), self.column(&columns, Id));
                let condition = match (left, right) {
                    (Some(left), Some(right)) => format!("{left} {} {right}", self.pick(&["=", "=", "=", "<>"])),
                    _ => "false".into(),
                };
                from = format!("{from} {join} {source} ON {condition}");
            }
            scope.extend(columns);
        }
        let distinct = self.pick(&["", "", "", "DISTINCT "]);
        let aggregate = depth < 3 && self.below(4) == 0;
        let list: Vec<String> = kinds
            .iter()
            .enumerate()
            .map(|(index, kind)| {
                let value = self.expression(*kind, &scope, depth);
                let value = if aggregate { self.aggregate(*kind, &value) } else { value };
                format!("{value} AS c{index}")
            })
            .collect();
        let qual = self.condition(&scope, depth);
        let tail = if aggregate { "" } else { tail };
        format!("SELECT {distinct}{} FROM {from} WHERE {qual}{tail}", list.join(", "))
    }

    /// Something to select from, under a new alias.
    fn source(&mut self, outer: &[Column], depth: usize) -> (String, Vec<Column>) {
        let alias = format!("a{}", self.aliases);
        self.aliases += 1;
        if depth > 1 && self.below(4) == 0 {
            let kinds = [Id, self.kind()];
            let inner = self.select(&kinds, outer, depth - 1);
            let columns =
                (0..2).map(|index| Column { name: format!("{alias}.c{index}"), kind: kinds[index] }).collect();
            return (format!("({inner}) {alias}"), columns);
        }
        let (table, columns) = TABLES[self.below(TABLES.len())];
        let columns = columns.iter().map(|(name, kind)| Column { name: format!("{alias}.{name}"), kind: *kind });
        let sample = self.pick(&["", "", "", " TABLESAMPLE SYSTEM (90)"]);
        (format!("retail.{table} {alias}{sample}"), columns.collect())
    }

    fn expression(&mut self, kind: Type, scope: &[Column], depth: usize) -> String {
        if depth == 0 || self.below(3) == 0 {
            return self.column(scope, kind).unwrap_or_else(|| self.literal(kind));
        }
        let depth = depth - 1;
        let other = self.kind();
        match (kind, self.below(6)) {
            (_, 0) => format!("({})", self.select_with(&[kind], scope, depth.min(1), " LIMIT 1")),
            (_, 1) => format!(
                "CASE WHEN {} THEN {} ELSE {} END",
                self.condition(scope, depth),
                self.expression(kind, scope, depth),
                self.expression(kind, scope, depth)
            ),
            (Text, 2) => {
                format!("({}::text || {})", self.expression(other, scope, depth), self.expression(Text, scope, depth))
            }
            (Text, 3) => format!("to_json({})::text", self.expression(other, scope, depth)),
            (Text, 4) => format!(
                "{}({})",
                self.pick(&["upper", "lower", "btrim", "initcap"]),
                self.expression(Text, scope, depth)
            ),
            (Text, _) => format!(
                "format('%s/%s', {}, {})",
                self.expression(other, scope, depth),
                self.expression(Text, scope, depth)
            ),
            // Casts of text: what cannot be read is quoted in the error.
            (Id, 2) => format!("({})::text::uuid", self.expression(Text, scope, depth)),
            (Whole, 2) => format!("({})::text::int", self.expression(Text, scope, depth)),
            (Number, 2) => format!("({})::text::numeric", self.expression(Text, scope, depth)),
            (Time, 2) => format!("({})::text::timestamptz", self.expression(Text, scope, depth)),
            (Whole, 3) => format!("length({})", self.expression(Text, scope, depth)),
            (Whole, 4) => format!("(100 / {})", self.expression(Whole, scope, depth)),
            (Number, 3) => {
                format!("({} * {})", self.expression(Number, scope, depth), self.expression(Whole, scope, depth))
            }
            (Time, 3) => format!("date_trunc('day', {})", self.expression(Time, scope, depth)),
            _ => format!("coalesce({}, {})", self.expression(kind, scope, depth), self.expression(kind, scope, depth)),
        }
    }

    fn condition(&mut self, scope: &[Column], depth: usize) -> String {
        if depth == 0 || self.below(2) == 0 {
            return "true".into();
        }
        let depth = depth - 1;
        let kind = self.kind();
        match self.below(9) {
            0 => format!("({} AND {})", self.condition(scope, depth), self.condition(scope, depth)),
            1 => format!("({} OR {})", self.condition(scope, depth), self.condition(scope, depth)),
            2 => format!("NOT {}", self.condition(scope, depth)),
            3 => format!("EXISTS ({})", self.select(&[kind], scope, depth.min(1))),
            4 => format!("{} IN ({})", self.expression(kind, scope, depth), self.select(&[kind], &[], depth.min(1))),
            5 => format!("{} LIKE '%a%'", self.expression(Text, scope, depth)),
            6 => format!("{} ~ {}", self.expression(Text, scope, depth), self.expression(Text, scope, depth)),
            7 => format!("{} IS NOT NULL", self.expression(kind, scope, depth)),
            _ => {
                let operator = self.pick(&["=", "<>", "<", ">=", "IS DISTINCT FROM"]);
                format!("{} {operator} {}", self.expression(kind, scope, depth), self.expression(kind, scope, depth))
            }
        }
    }

    fn aggregate(&mut self, kind: Type, value: &str) -> String {
        match kind {
            // There is no least uuid before PostgreSQL 18.
            Id => format!("min(({value})::text)::uuid"),
            Text => format!("string_agg({value}, ',')"),
            Whole => format!("{}({value})::int", self.pick(&["min", "max", "count"])),
            Number => format!("{}({value})", self.pick(&["sum", "max", "avg"])),
            Time => format!("{}({value})", self.pick(&["min", "max"])),
        }
    }

    fn literal(&mut self, kind: Type) -> String {
        match kind {
            Id => format!("'5a7a0000-0001-4000-8000-00000000000{}'::uuid", 1 + self.below(8)),
            Text => "'x'::text".into(),
            Whole => self.below(10).to_string(),
            Number => "1.5::numeric".into(),
            Time => "now()".into(),
        }
    }

    fn column(&mut self, scope: &[Column], kind: Type) -> Option<String> {
        let fitting: Vec<&Column> = scope.iter().filter(|column| column.kind == kind).collect();
        if fitting.is_empty() { None } else { Some(fitting[self.below(fitting.len())].name.clone()) }
    }

    fn kind(&mut self) -> Type {
        TYPES[self.below(TYPES.len())]
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    /// A number from 0 to `end` - 1.
    fn below(&mut self, end: usize) -> usize {
        (self.random.next_u32() as usize) % end
    }
}
