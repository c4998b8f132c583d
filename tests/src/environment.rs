use std::path::PathBuf;

/// What `cargo xtask test` hands to the tests; `README.md` beside `Cargo.toml` lists the variables.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Folder with `postgres` and `initdb`; none: looked for on this machine.
    pub postgres_bin: Option<PathBuf>,
    /// Folder with the packed reference plugins.
    pub plugins: PathBuf,
    /// Folder with the packed plugins of `tests/guests`.
    pub guests: PathBuf,
    /// Folder with the embedding model.
    pub model: PathBuf,
}

impl Environment {
    /// Read it; panics with what to do where a variable is missing.
    pub fn read() -> Self {
        let folder = |name: &str| -> PathBuf {
            std::env::var_os(name).unwrap_or_else(|| panic!("{name} is not set: run `cargo xtask test`")).into()
        };
        Self {
            postgres_bin: std::env::var_os("STOCKADE_POSTGRES_BIN").map(PathBuf::from),
            plugins: folder("STOCKADE_PLUGINS_DIR"),
            guests: folder("STOCKADE_GUESTS_DIR"),
            model: folder("STOCKADE_MODEL_DIR"),
        }
    }
}
