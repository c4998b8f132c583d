//! Files that attack whoever loads them.

use stockade_tests::raw_guest;
use wasm_encoder::{Component, NestedComponentSection};

/// Components within components.
pub(crate) fn nested(depth: u32) -> Vec<u8> {
    let mut component = Component::new();
    for _ in 0..depth {
        let mut outer = Component::new();
        outer.section(&NestedComponentSection(&component));
        component = outer;
    }
    component.finish()
}

/// A component of random bytes behind a right beginning, the same at every run.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut out = b"\0asm\x0d\0\x01\0".to_vec();
    out.extend((0..length).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    }));
    out
}

/// A plugin of so many functions, some hundred bytes each, which all have to be compiled; another one for each `seed`.
pub(crate) fn large(functions: u32, seed: u32) -> Vec<u8> {
    let step = |n: u32| format!("(local.set 0 (i64.rotl (i64.mul (local.get 0) (i64.const {n})) (local.get 0)))");
    let function = |n: u32| {
        let steps: String = (0..10).map(|at| step(1_000_000 + n * 10 + at + seed)).collect();
        format!("(func (param i64) (result i64) {steps} (local.get 0))")
    };
    raw_guest(&(0..functions).map(function).collect::<String>(), "")
}
