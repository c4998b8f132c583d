//! The statements of a search. Made of configured identifiers, which need no escaping, and numbers; all
//! that a plugin gives is a parameter: `$1` the embedding, `$2` the least similarity or the text, from `$3`
//! on the conditions' operands.
use super::condition::Condition;
use crate::collection::VectorType;
use crate::config::CollectionConfig;
use crate::lease::quoted;

/// The constant of reciprocal-rank fusion, as its authors chose it.
const FUSION_K: u32 = 60;
/// Each of the two rankings that are fused goes at least so deep.
const RANKED_MIN: u32 = 100;

/// How many times as many rows as are wanted the index is asked for: in its relaxed order the nearest may
/// come a little late. Twice as many took recall@20 from 0.956 to 0.973 where one row in a hundred is seen.
const INDEXED_DEPTH: u64 = 2;

/// How the nearest rows are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// By looking at every row that the caller may see.
    Exactly,
    /// By the HNSW index.
    ByIndex,
}

/// One search.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) how: How,
    pub(super) vectors: VectorType,
    pub(super) rows_max: u32,
    pub(super) scan_rows_max: u32,
}

/// How many rows the caller sees, no further than it matters.
pub(super) fn count(config: &CollectionConfig) -> String {
    let (table, embedding) = (table(config), quoted(&config.embedding));
    let limit = u64::from(config.exact_rows_max) + 1;
    format!("SELECT count(*) FROM (SELECT FROM {table} AS t WHERE t.{embedding} IS NOT NULL LIMIT {limit}) AS seen")
}

impl Plan {
    /// What holds while the statement runs. Without `iterative_scan` an index scan gives up after
    /// `hnsw.ef_search` rows, row security's losses included. The order is relaxed because it is put right
    /// afterwards, and finds more.
    pub(super) fn settings(&self) -> Vec<String> {
        match self.how {
            How::Exactly => Vec::new(),
            How::ByIndex => vec![
                "SET LOCAL hnsw.iterative_scan = relaxed_order".to_owned(),
                format!("SET LOCAL hnsw.max_scan_tuples = {}", self.scan_rows_max),
            ],
        }
    }

    /// The nearest rows with a similarity of `$2` or more.
    pub(super) fn nearest(&self, config: &CollectionConfig) -> String {
        let names = list(config, "");
        format!(
            "WITH {}\nSELECT {names}, 1 - _distance AS similarity FROM nearest WHERE 1 - _distance >= $2 \
             ORDER BY _distance + 0",
            self.with_nearest(config, &list(config, "t."), self.rows_max, "")
        )
    }

    /// The rows of both rankings, by the sum of 1 / (60 + rank).
    pub(super) fn hybrid(&self, config: &CollectionConfig, words: &str, conditions: &[Condition]) -> String {
        let conditions: String = conditions
            .iter()
            .enumerate()
            .map(|(index, condition)| format!(" AND {}", condition.sql(index + 3)))
            .collect();
        let (table, key, words) = (table(config), quoted(&config.key), quoted(words));
        let ranked = self.rows_max.max(RANKED_MIN);
        format!(
            "WITH {nearest},\n\
             by_meaning AS (SELECT _key, row_number() OVER (ORDER BY _distance + 0, _key) AS _rank FROM nearest),\n\
             question AS MATERIALIZED (SELECT websearch_to_tsquery('{language}', $2) AS _query),\n\
             worded AS (SELECT t.{key} AS _key, ts_rank_cd(t.{words}, _query) AS _weight FROM {table} AS t, question \
             WHERE t.{words} @@ _query{conditions} ORDER BY 2 DESC, 1 LIMIT {ranked}),\n\
             by_words AS (SELECT _key, row_number() OVER (ORDER BY _weight DESC, _key) AS _rank FROM worded),\n\
             fused AS (SELECT _key, sum(1 / ({FUSION_K} + _rank)::float8) AS score \
             FROM (SELECT * FROM by_meaning UNION ALL SELECT * FROM by_words) AS both_ranks \
             GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {rows_max})\n\
             SELECT {columns}, f.score, 1 - (t.{embedding} <=> $1::{vector}) AS similarity \
             FROM fused AS f JOIN {table} AS t ON t.{key} = f._key ORDER BY f.score DESC, f._key",
            nearest = self.with_nearest(config, &format!("t.{key} AS _key"), ranked, &conditions),
            language = config.language,
            rows_max = self.rows_max,
            columns = list(config, "t."),
            embedding = quoted(&config.embedding),
            vector = self.vectors.name(),
        )
    }

    /// `nearest`: the `limit` nearest rows that the caller may see, `columns` and `_distance`.
    ///
    /// The index serves one form alone: `ORDER BY distance LIMIT`. Where it came up short, because it gave
    /// up at `scan_rows_max` or because there are no more, all rows are looked at; the count is asked
    /// before the second half is begun, so that it costs nothing where the first sufficed. `+ 0` is no
    /// distance that an index knows, so that none can serve, whatever the planner thinks of it.
    fn with_nearest(&self, config: &CollectionConfig, columns: &str, limit: u32, conditions: &str) -> String {
        let embedding = quoted(&config.embedding);
        let distance = format!("t.{embedding} <=> $1::{}", self.vectors.name());
        let from = format!(
            "SELECT {columns}, {distance} AS _distance FROM {} AS t WHERE t.{embedding} IS NOT NULL{conditions}",
            table(config)
        );
        match self.how {
            How::Exactly => {
                format!("nearest AS MATERIALIZED ({from} ORDER BY ({distance}) + 0 LIMIT {limit})")
            }
            How::ByIndex => format!(
                "indexed AS MATERIALIZED ({from} ORDER BY {distance} LIMIT {deep}),\n\
                 nearest AS MATERIALIZED ((SELECT * FROM indexed WHERE (SELECT count(*) FROM indexed) >= {limit} \
                 ORDER BY _distance + 0 LIMIT {limit}) UNION ALL \
                 ({from} AND (SELECT count(*) FROM indexed) < {limit} ORDER BY ({distance}) + 0 LIMIT {limit}))",
                deep = u64::from(limit) * INDEXED_DEPTH,
            ),
        }
    }
}

fn table(config: &CollectionConfig) -> String {
    config.table.split('.').map(quoted).collect::<Vec<_>>().join(".")
}

fn list(config: &CollectionConfig, prefix: &str) -> String {
    config.columns.iter().map(|column| format!("{prefix}{}", quoted(column))).collect::<Vec<_>>().join(", ")
}
