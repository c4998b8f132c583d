//! The functions and types of PostgreSQL and pgvector that a query may name.
//!
//! What is in: computes from its arguments, or describes objects of the catalogue. What is out, on
//! purpose: everything that reads settings, files, other sessions or sequences, waits, locks, signals,
//! writes, runs SQL given as text, or counts what row security hides.

/// Sorted within each group; the groups are for the reader.
const FUNCTIONS: &[&str] = &[
    // Keywords that the parser reads as functions
    "array", "coalesce", "exists", "greatest", "grouping", "least", "nullif", "row",
    "current_date", "current_time", "current_timestamp", "localtime", "localtimestamp",
    // Aggregates
    "any_value", "array_agg", "avg", "bit_and", "bit_or", "bit_xor", "bool_and", "bool_or", "corr", "count",
    "covar_pop", "covar_samp", "every", "json_agg", "json_object_agg", "jsonb_agg", "jsonb_object_agg", "max", "min",
    "mode", "percentile_cont", "percentile_disc", "regr_avgx", "regr_avgy", "regr_count", "regr_intercept", "regr_r2",
    "regr_slope", "regr_sxx", "regr_sxy", "regr_syy", "stddev", "stddev_pop", "stddev_samp", "string_agg", "sum",
    "var_pop", "var_samp", "variance",
    // Window functions
    "cume_dist", "dense_rank", "first_value", "lag", "last_value", "lead", "nth_value", "ntile", "percent_rank", "rank",
    "row_number",
    // Mathematics
    "abs", "acos", "acosd", "acosh", "asin", "asind", "asinh", "atan", "atan2", "atan2d", "atand", "atanh", "cbrt",
    "ceil", "ceiling", "cos", "cosd", "cosh", "cot", "cotd", "degrees", "div", "erf", "erfc", "exp", "factorial",
    "floor", "gcd", "lcm", "ln", "log", "log10", "min_scale", "mod", "pi", "pow", "power", "radians", "random", "round",
    "scale", "sign", "sin", "sind", "sinh", "sqrt", "tan", "tand", "tanh", "trim_scale", "trunc", "width_bucket",
    // Text
    "ascii", "bit_length", "btrim", "casefold", "char_length", "character_length", "chr", "concat", "concat_ws",
    "convert_from", "convert_to", "decode", "encode", "format", "initcap", "left", "length", "lower", "lpad", "ltrim",
    "md5", "normalize", "octet_length", "overlay", "position", "quote_ident", "quote_literal", "quote_nullable",
    "regexp_count", "regexp_instr", "regexp_like", "regexp_match", "regexp_matches", "regexp_replace",
    "regexp_split_to_array", "regexp_split_to_table", "regexp_substr", "repeat", "replace", "reverse", "right", "rpad",
    "rtrim", "sha256", "split_part", "starts_with", "string_to_array", "string_to_table", "strpos", "substr",
    "substring", "text", "to_hex", "translate", "trim", "upper",
    // Full text search
    "phraseto_tsquery", "plainto_tsquery", "to_tsquery", "to_tsvector", "ts_headline", "ts_rank", "ts_rank_cd",
    "websearch_to_tsquery",
    // Date and time
    "age", "clock_timestamp", "date", "date_add", "date_bin", "date_part", "date_subtract", "date_trunc", "extract",
    "isfinite", "justify_days", "justify_hours", "justify_interval", "make_date", "make_interval", "make_time",
    "make_timestamp", "make_timestamptz", "now", "statement_timestamp", "timezone", "to_char", "to_date", "to_number",
    "to_timestamp", "transaction_timestamp",
    // JSON
    "array_to_json", "json_array_elements", "json_array_elements_text", "json_array_length", "json_build_array",
    "json_build_object", "json_each", "json_each_text", "json_extract_path", "json_extract_path_text", "json_object",
    "json_object_keys", "json_strip_nulls", "json_to_record", "json_to_recordset", "json_typeof",
    "jsonb_array_elements", "jsonb_array_elements_text", "jsonb_array_length", "jsonb_build_array",
    "jsonb_build_object", "jsonb_each", "jsonb_each_text", "jsonb_extract_path", "jsonb_extract_path_text",
    "jsonb_object", "jsonb_object_keys", "jsonb_path_exists", "jsonb_path_match", "jsonb_path_query",
    "jsonb_path_query_array", "jsonb_path_query_first", "jsonb_pretty", "jsonb_set", "jsonb_strip_nulls",
    "jsonb_to_record", "jsonb_to_recordset", "jsonb_typeof", "row_to_json", "to_json", "to_jsonb",
    // Arrays, ranges and sets of rows
    "array_append", "array_cat", "array_dims", "array_fill", "array_length", "array_lower", "array_ndims",
    "array_position", "array_positions", "array_prepend", "array_remove", "array_replace", "array_to_string",
    "array_upper", "cardinality", "daterange", "generate_series", "generate_subscripts", "int4range", "int8range",
    "isempty", "lower_inc", "lower_inf", "numrange", "trim_array", "tsrange", "tstzrange", "unnest", "upper_inc",
    "upper_inf",
    // Comparing and other small things
    "gen_random_uuid", "num_nonnulls", "num_nulls", "pg_typeof",
    // pgvector
    "binary_quantize", "cosine_distance", "hamming_distance", "inner_product", "jaccard_distance", "l1_distance",
    "l2_distance", "l2_norm", "l2_normalize", "subvector", "vector_avg", "vector_dims", "vector_norm",
    // What the catalogue says of objects and rights
    "col_description", "format_type", "has_any_column_privilege", "has_column_privilege", "has_schema_privilege",
    "has_table_privilege", "obj_description", "pg_get_constraintdef", "pg_get_expr", "pg_get_indexdef",
    "pg_table_is_visible", "to_regclass", "to_regtype",
];

/// Types without a spelling of their own in the parser, and pgvector's.
const TYPES: &[&str] = &[
    "bool", "bpchar", "box", "bytea", "char", "cidr", "circle", "date", "daterange", "datemultirange", "float4", "float8",
    "halfvec", "inet", "int2", "int4", "int4multirange", "int4range", "int8", "int8multirange", "int8range", "interval",
    "json", "jsonb", "jsonpath", "line", "lseg", "macaddr", "macaddr8", "money", "name", "numeric", "nummultirange",
    "numrange", "oid", "path", "point", "polygon", "sparsevec", "text", "time", "timestamp", "timestamptz", "timetz",
    "tsmultirange", "tsquery", "tsrange", "tstzmultirange", "tstzrange", "tsvector", "uuid", "varbit", "varchar", "vector",
];

/// Whether a query may call PostgreSQL's or pgvector's function of this name.
pub(super) fn is_allowed_function(name: &str) -> bool {
    FUNCTIONS.contains(&name)
}

/// Whether a query may name PostgreSQL's or pgvector's type of this name.
pub(super) fn is_allowed_type(name: &str) -> bool {
    TYPES.contains(&name)
}
