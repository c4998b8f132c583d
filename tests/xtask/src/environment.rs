//! The variables that the commands read, and those that `cargo xtask test` sets for the tests.
//!
//! `tests/README.md` is the reference that users read; keep the two in step.

/// URL of an administrator's connection to a PostgreSQL ≥ 15 with pgvector, to use instead of a private cluster.
pub(crate) const DATABASE_URL: &str = "DATABASE_URL";
/// Folder with `postgres` and `initdb` for the tests' private clusters.
pub(crate) const POSTGRES_BIN: &str = "STOCKADE_POSTGRES_BIN";
/// Folder with the packed reference plugins.
pub(crate) const PLUGINS_DIR: &str = "STOCKADE_PLUGINS_DIR";
/// Folder with the packed plugins of `tests/guests`.
pub(crate) const GUESTS_DIR: &str = "STOCKADE_GUESTS_DIR";
/// Folder with `model.safetensors`, `tokenizer.json` and `config.json` of the embedding model.
pub(crate) const MODEL_DIR: &str = "STOCKADE_MODEL_DIR";

/// The variable's value, None where it is unset or empty.
pub(crate) fn value(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
