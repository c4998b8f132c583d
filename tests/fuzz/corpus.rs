//! Inputs that were once findings, and seeds: each target must come back from each of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "a test says what went wrong by panicking"
)]

#[path = "src/lib.rs"]
mod targets;

use std::{fs, path::Path};

fn each(target: &str, read: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut inputs = 0;
    for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        read(&fs::read(path).unwrap());
        inputs += 1;
    }
    assert!(inputs > 0, "{} is empty", folder.display());
}

macro_rules! targets {
    ($($target:ident)*) => {
        $(
            #[test]
            fn $target() {
                each(stringify!($target), targets::$target::read);
            }
        )*

        #[test]
        fn every_target_has_its_inputs_and_every_folder_its_target() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
            let mut folders: Vec<_> =
                fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            folders.sort();
            let mut targets = vec![$(stringify!($target)),*];
            targets.sort_unstable();
            assert_eq!(folders, targets);
        }
    };
}

targets! { arguments component credentials manifest statement values }
