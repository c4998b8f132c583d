//! What was downloaded is what was reviewed.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use sha2::{Digest, Sha256};

/// Checks the file's SHA-256, in hex.
///
/// # Errors
/// Where it is another, or the file cannot be read.
pub(crate) fn verify(file: &Path, expected: &str) -> Result<()> {
    let actual: String = Sha256::digest(fs::read(file)?).iter().map(|byte| format!("{byte:02x}")).collect();
    ensure!(
        actual == expected,
        "{} has SHA-256 {actual}, expected {expected}: it is not the file that was reviewed, and it was not used",
        file.file_name().unwrap_or_default().display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.whl");
        fs::write(&file, "abc").unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        verify(&file, abc).unwrap();
        fs::write(&file, "abd").unwrap();
        let error = verify(&file, abc).unwrap_err().to_string();
        assert!(error.starts_with("a.whl has SHA-256 a52d159f"), "{error}");
    }
}
