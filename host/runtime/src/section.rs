//! The custom section in which a component carries its manifest.

use wasmparser::{Parser, Payload};

use crate::error::LoadError;

/// The section's name. Custom sections do not change what a component does (component-model
/// specification, Binary.md), so any tool chain's output can carry one.
const SECTION: &str = "stockade:manifest";
const MANIFEST_BYTES_MAX: usize = 1 << 20;

/// The manifest's bytes in `component`, from its last section.
///
/// The manifest must come last: a file that is still being written has none, and is not loaded.
pub(crate) fn read(component: &[u8]) -> Result<&[u8], LoadError> {
    check_magic(component)?;
    let mut manifests = 0_usize;
    let mut last = None;
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(component) {
        match payload.map_err(|e| LoadError::NotAComponent(format!("it is damaged or cut short: {e}")))? {
            Payload::CustomSection(section) if depth == 0 && section.name() == SECTION => {
                manifests += 1;
                last = Some(section.data());
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                depth += 1;
                last = None;
            }
            // The end of the component itself is no section.
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ if depth == 0 => last = None,
            _ => {}
        }
    }
    match last {
        _ if manifests > 1 => Err(LoadError::Manifest(format!("it has {manifests} manifests; expected one"))),
        Some(bytes) if bytes.len() > MANIFEST_BYTES_MAX => Err(LoadError::Manifest(format!(
            "its manifest has {} bytes; at most {MANIFEST_BYTES_MAX} are read",
            bytes.len()
        ))),
        Some(bytes) => Ok(bytes),
        None => Err(LoadError::Manifest(
            "it has no manifest as its last section: pack it with `stockade plugin pack`, or wait until the file is whole".into(),
        )),
    }
}

/// `component` with `manifest` as its last section.
pub(crate) fn write(component: &[u8], manifest: &[u8]) -> Result<Vec<u8>, LoadError> {
    if read(component).is_ok() {
        return Err(LoadError::Manifest(
            "the component has a manifest already: pack the tool chain's output, not a packed file".into(),
        ));
    }
    check_magic(component)?;
    let mut out = component.to_vec();
    let section = wasm_encoder::CustomSection { name: SECTION.into(), data: manifest.into() };
    wasm_encoder::ComponentSection::append_to_component(&section, &mut out);
    Ok(out)
}

fn check_magic(bytes: &[u8]) -> Result<(), LoadError> {
    match (bytes.get(..4), bytes.get(4..8)) {
        (Some(b"\0asm"), Some([0x0d, 0, 1, 0])) => Ok(()),
        (Some(b"\0asm"), Some([1, 0, 0, 0])) => Err(core_module()),
        (Some(b"\0asm"), _) => Err(LoadError::NotAComponent("its WebAssembly version is not known to this host".into())),
        (Some(b"\x7fELF"), _) => Err(LoadError::NotAComponent(
            "it is native code (a precompiled component or another ELF file); the host compiles for itself: give it the component".into(),
        )),
        _ => Err(LoadError::NotAComponent("it does not begin like WebAssembly; expected a component (.wasm)".into())),
    }
}

fn core_module() -> LoadError {
    LoadError::NotAComponent(
        "it is a core module, not a component: build it with the linker `wasm-component-ld`, or wrap it with `wasm-tools component new`".into(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY_COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

    #[test]
    fn what_is_written_is_read_and_only_once() {
        let packed = write(EMPTY_COMPONENT, b"{}").expect("packs");
        assert_eq!(read(&packed).expect("reads"), b"{}");
        assert!(write(&packed, b"{}").is_err());
        let mut twice = packed.clone();
        twice.extend_from_slice(packed.get(8..).expect("the section"));
        assert!(matches!(read(&twice), Err(LoadError::Manifest(m)) if m.contains("2 manifests")));
    }

    #[test]
    fn a_manifest_has_a_size() {
        let packed = |bytes: usize| write(EMPTY_COMPONENT, &vec![b' '; bytes]).expect("packs");
        assert!(read(&packed(MANIFEST_BYTES_MAX)).is_ok());
        let large = packed(MANIFEST_BYTES_MAX + 1);
        assert!(matches!(read(&large), Err(LoadError::Manifest(m)) if m.contains("1048577 bytes")));
    }

    #[test]
    fn every_prefix_of_a_packed_file_is_refused() {
        let packed = write(EMPTY_COMPONENT, b"{\"a\":1}").expect("packs");
        for end in 0..packed.len() {
            assert!(read(packed.get(..end).expect("a prefix")).is_err(), "{end} bytes");
        }
    }

    #[test]
    fn other_files_are_refused_with_what_they_are() {
        for (bytes, words) in [
            (&b""[..], "does not begin like WebAssembly"),
            (b"#!/bin/sh", "does not begin like WebAssembly"),
            (b"\0asm\x01\0\0\0", "core module"),
            (b"\x7fELF\x02\x01\x01\x00", "native code"),
            (EMPTY_COMPONENT, "no manifest"),
        ] {
            let sentence = read(bytes).expect_err(words).to_string();
            assert!(sentence.contains(words), "{sentence}");
        }
    }
}
