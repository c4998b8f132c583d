//! Inputs that were once findings, and seeds: each target must come back from each of its own, and from
//! as many changes of it as a test has time for. The changes are the same every time; libFuzzer, which
//! learns from what it reaches, is `cargo xtask fuzz`.
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

/// Changes tried of each input.
const CHANGES: u32 = 50;
/// Bytes of an input at most: what a statement may have.
const BYTES_MAX: usize = 65_536;

fn each(target: &str, read: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut inputs: Vec<(String, Vec<u8>)> = fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), fs::read(&path).unwrap()))
        .collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "{} is empty", folder.display());
    let mut dice = Dice(0x5EED);
    for (path, input) in &inputs {
        println!("{path}");
        read(input);
        let mut changed = input.clone();
        for change in 0..CHANGES {
            // Changes add up for a while, then it goes on from the input.
            if change % 8 == 0 {
                changed.clone_from(input);
            }
            let (_, other) = &inputs[dice.below(inputs.len())];
            dice.change(&mut changed, other);
            let outcome = std::panic::catch_unwind(|| read(&changed));
            assert!(outcome.is_ok(), "change {change} of {path}, in hexadecimal: {}", hex::encode(&changed));
        }
    }
}

/// A small generator of our own (xorshift): nothing here needs a good one.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }

    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        let most = (length - start).min(32);
        start..start + self.below(most + 1)
    }

    fn change(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let at = self.range(bytes.len());
        match self.below(5) {
            0 if !bytes.is_empty() => {
                let place = self.below(bytes.len());
                bytes[place] ^= 1 << self.below(8);
            }
            1 => drop(bytes.drain(at)),
            2 => {
                let copy = bytes[at.clone()].to_vec();
                bytes.splice(at.start..at.start, copy);
            }
            3 => {
                let from = self.range(other.len());
                bytes.splice(at, other[from].iter().copied());
            }
            _ => {
                let odd = [0, 1, 0x7F, 0x80, 0xFF, b'"', b'\'', b'(', b'[', b'{', b'\\', b'$', b'\n', b'-'];
                bytes.insert(at.start, odd[self.below(odd.len())]);
            }
        }
        bytes.truncate(BYTES_MAX);
    }
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
