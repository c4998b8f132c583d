//! The manifest: `plugin.toml` where a plugin is packed, JSON where it is loaded.

use stockade_runtime::Manifest;

/// Reads the bytes as both.
pub fn read(bytes: &[u8]) {
    if let Ok(manifest) = Manifest::from_json(bytes) {
        check(&manifest);
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(manifest) = Manifest::from_toml(text)
    {
        check(&manifest);
    }
}

/// What is valid is the same after it was written and read.
fn check(manifest: &Manifest) {
    if manifest.validate().is_ok() {
        let json = serde_json::to_vec(manifest).expect("a valid manifest is written");
        assert_eq!(Manifest::from_json(&json).as_ref(), Ok(manifest));
    }
}
