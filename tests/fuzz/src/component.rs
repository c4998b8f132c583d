//! A file in the plugin directory, up to the compiler: the component's sections, its manifest, the
//! schemas in it.

use stockade_runtime::pack;

/// Reads the bytes as a plugin's file.
pub fn read(bytes: &[u8]) {
    match pack::inspect(bytes) {
        Ok(manifest) => assert_eq!(manifest.validate(), Ok(()), "what is accepted is valid"),
        Err(refusal) => {
            let sentence = refusal.to_string();
            assert!(sentence.len() < 64 * 1_024, "a sentence of {} bytes", sentence.len());
        }
    }
}
