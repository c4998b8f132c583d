//! How an entry looks where others can read and write: enciphered, and worth nothing unless it is whole.
//!
//! `format (1 byte) ‖ nonce (12) ‖ AES-256-GCM of the postcard of a [`Sealed`] ‖ tag (16)`. The cipher's key is
//! HMAC-SHA-256 of the entry's own key under one that is derived from the signing key of callers' claims: a
//! value that is moved to another entry, changed, cut, or made by anybody else does not open.
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{Entry, Key};
use crate::context::ContextKey;
use crate::error::DbError;
use crate::value::ResultSet;

/// What the key is derived for.
const PURPOSE: &str = "stockade query cache v1";
/// Another layout of what is enciphered is another number.
const FORMAT: u8 = 1;
/// What a sealed entry has besides the entry, in bytes.
pub(super) const OVERHEAD_BYTES: usize = 1 + NONCE_LEN + 16 + 32;

/// Seals and opens entries.
pub(super) struct Seal([u8; 32]);

#[derive(Serialize, Deserialize)]
struct Sealed {
    /// Milliseconds since 1970 on the host's clock: whoever stores values could keep them for longer.
    expires_ms: u64,
    bytes: u64,
    results: Vec<ResultSet>,
}

impl Seal {
    pub(super) fn new(key: &ContextKey) -> Result<Self, DbError> {
        key.derive(PURPOSE).map(Self)
    }

    /// The entry, for `ttl` from now.
    pub(super) fn seal(&self, key: &Key, entry: &Entry, ttl: Duration) -> Option<Vec<u8>> {
        let expires_ms = u64::try_from((since_1970()? + ttl).as_millis()).ok()?;
        let sealed = Sealed { expires_ms, bytes: entry.bytes, results: entry.results.clone() };
        let mut text = postcard::to_allocvec(&sealed).ok()?;
        let nonce = self.cipher(key)?.seal_in_place_append_tag(Aad::from([FORMAT]), &mut text).ok()?;
        Some([&[FORMAT], &nonce.as_ref()[..], &text].concat())
    }

    /// The entry, and how long it may still be given out; none where it is not one that was sealed for `key`.
    pub(super) fn open(&self, key: &Key, mut value: Vec<u8>) -> Option<(Entry, Duration)> {
        let (format, rest) = value.split_first_mut()?;
        let (nonce, text) = rest.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let text = self.cipher(key)?.open_in_place(nonce, Aad::from([*format]), text).ok()?;
        if *format != FORMAT {
            return None;
        }
        let Sealed { expires_ms, bytes, results } = postcard::from_bytes(text).ok()?;
        let left = Duration::from_millis(expires_ms).checked_sub(since_1970()?)?;
        Some((Entry::new(results, bytes), left))
    }

    /// A key for each entry: a random nonce is then never used twice.
    fn cipher(&self, key: &Key) -> Option<RandomizedNonceKey> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(&key.0);
        RandomizedNonceKey::new(&AES_256_GCM, &mac.finalize().into_bytes()).ok()
    }
}

fn since_1970() -> Option<Duration> {
    SystemTime::now().duration_since(UNIX_EPOCH).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Column, ColumnValues, Packed};

    const TTL: Duration = Duration::from_secs(60);

    fn entry() -> Entry {
        let column = |values| Column { name: "n".into(), type_name: "t".into(), nulls: vec![2], values };
        let columns = vec![
            column(ColumnValues::Floats(vec![f64::NAN, -0.0, f64::INFINITY])),
            column(ColumnValues::Texts(Packed { offsets: vec![0, 3], data: "ä\0".into() })),
        ];
        Entry::new(vec![ResultSet { columns, row_count: 3, truncated: false }], 77)
    }

    #[test]
    fn what_was_sealed_opens_as_it_was() {
        let seal = Seal::new(&ContextKey::generate()).unwrap();
        let sealed = seal.seal(&Key([1; 32]), &entry(), TTL).unwrap();
        let (opened, left) = seal.open(&Key([1; 32]), sealed.clone()).unwrap();
        // NaN is equal to nothing, and here it must be.
        assert_eq!(format!("{:?}", opened.results), format!("{:?}", entry().results));
        assert!(opened.bytes == 77 && left <= TTL && left > TTL / 2);
        assert!(!sealed.windows(2).any(|two| two == "ä".as_bytes()), "values are not to be read");
    }

    #[test]
    fn nothing_else_opens() {
        let (seal, other) = (Seal::new(&ContextKey::generate()).unwrap(), Seal::new(&ContextKey::generate()).unwrap());
        let key = Key([1; 32]);
        let sealed = seal.seal(&key, &entry(), TTL).unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(seal.open(&key, flipped).is_none(), "bit {bit}");
        }
        for end in 0..sealed.len() {
            assert!(seal.open(&key, sealed[..end].to_vec()).is_none(), "{end} bytes");
        }
        assert!(seal.open(&Key([2; 32]), sealed.clone()).is_none(), "another entry's");
        assert!(other.open(&key, sealed).is_none(), "another host's");
        let expired = seal.seal(&key, &entry(), Duration::ZERO).unwrap();
        std::thread::sleep(Duration::from_millis(2));
        assert!(seal.open(&key, expired).is_none(), "expired");
    }
}
