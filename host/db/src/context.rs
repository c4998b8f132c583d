//! The signed context: how the database knows who is calling.
//!
//! A context is `v1.<key id>.<base64url(payload)>.<hex HMAC-SHA-256 of all before the last dot>`. It
//! names the backend and the transaction that it was made for, so it is worth nothing anywhere else.
//! `stockade.claims()` (`migrations/host/002_context.sql`) is the other half.
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::error::DbError;
use crate::identity::Identity;

/// SHA-256's block, in bytes (RFC 2104's B).
const BLOCK_BYTES: usize = 64;
/// The longest context that `stockade.claims()` reads, in bytes.
const CONTEXT_BYTES_MAX: usize = 16_384;

/// The key that signs callers' claims. `Debug` does not show it.
#[derive(Clone)]
pub struct ContextKey {
    id: String,
    secret: [u8; 32],
}

impl ContextKey {
    /// A new key from the system's randomness, with a new id.
    pub fn generate() -> Self {
        // A version 4 UUID holds 122 random bits: four of them, hashed, fill 256.
        let mut hash = Sha256::new();
        for _ in 0..4 {
            hash.update(uuid::Uuid::new_v4().as_bytes());
        }
        Self { id: format!("k-{}", uuid::Uuid::new_v4().simple()), secret: hash.finalize().into() }
    }

    /// Reads what [`ContextKey::write_file`] wrote. Refuses a file that others than its owner may read.
    pub fn read_file(path: &Path) -> Result<Self, DbError> {
        let shown = path.display();
        let metadata = fs::metadata(path)
            .map_err(|error| DbError::unavailable(format!("context key file {shown}: {error}; `setup` writes one")))?;
        if metadata.mode() & 0o077 != 0 {
            return Err(DbError::unavailable(format!(
                "context key file {shown}: others may read it (mode {:o}); type: chmod 600 {shown}",
                metadata.mode() & 0o777
            )));
        }
        let text = fs::read_to_string(path)
            .map_err(|error| DbError::unavailable(format!("context key file {shown}: {error}")))?;
        Self::parse(&text).ok_or_else(|| {
            DbError::unavailable(format!("context key file {shown}: expected one line `v1 <id> <64 hex digits>`"))
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let (Some("v1"), Some(id), Some(secret), None) = (words.next(), words.next(), words.next(), words.next())
        else {
            return None;
        };
        let id_fits =
            (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        let secret = hex::decode(secret).ok()?.try_into().ok()?;
        id_fits.then(|| Self { id: id.to_owned(), secret })
    }

    /// Writes a new file with mode 0600. Fails when the file exists.
    pub fn write_file(&self, path: &Path) -> Result<(), DbError> {
        let line = format!("v1 {} {}\n", self.id, hex::encode(self.secret));
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .and_then(|mut file| file.write_all(line.as_bytes()))
            .map_err(|error| DbError::unavailable(format!("context key file {}: {error}", path.display())))
    }

    /// The id under which the database knows the key.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key XORed with HMAC's inner and outer pad, as the database keeps it.
    pub(crate) fn pads(&self) -> ([u8; BLOCK_BYTES], [u8; BLOCK_BYTES]) {
        let mut inner = [0x36; BLOCK_BYTES];
        let mut outer = [0x5c; BLOCK_BYTES];
        for ((inner, outer), byte) in inner.iter_mut().zip(outer.iter_mut()).zip(self.secret) {
            *inner ^= byte;
            *outer ^= byte;
        }
        (inner, outer)
    }

    /// A key for another purpose, which says nothing of this one: HMAC-SHA-256 of its name.
    pub(crate) fn derive(&self, purpose: &str) -> Result<[u8; 32], DbError> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret)
            .map_err(|error| DbError::internal(format!("context key: {error}")))?;
        mac.update(purpose.as_bytes());
        Ok(mac.finalize().into_bytes().into())
    }

    /// The context for `identity` in one transaction of one backend. Only characters of base64url
    /// and dots: it needs no quoting in SQL.
    pub(crate) fn sign(&self, identity: &Identity, transaction: &Transaction) -> Result<String, DbError> {
        if identity.roles.iter().any(|role| role.contains('\0')) {
            return Err(DbError::rejected("ARGUMENT_IDENTITY", "roles: expected text without NUL characters"));
        }
        let payload = serde_json::json!({
            "tenant": identity.tenant.as_str(),
            "principal": identity.principal.as_str(),
            "roles": identity.roles,
            "pid": transaction.pid,
            "began_us": transaction.began_us,
            "expires_us": transaction.expires_us,
        });
        let signed = format!("v1.{}.{}", self.id, URL_SAFE_NO_PAD.encode(payload.to_string()));
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret)
            .map_err(|error| DbError::internal(format!("context key: {error}")))?;
        mac.update(signed.as_bytes());
        let context = format!("{signed}.{}", hex::encode(mac.finalize().into_bytes()));
        if context.len() > CONTEXT_BYTES_MAX {
            return Err(DbError::rejected(
                "ARGUMENT_IDENTITY",
                format!("roles: expected a context of at most {CONTEXT_BYTES_MAX} bytes, found {}", context.len()),
            ));
        }
        Ok(context)
    }
}

impl std::fmt::Debug for ContextKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContextKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The transaction that a context is made for, as the database told it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Transaction {
    /// `pg_backend_pid()`
    pub(crate) pid: i32,
    /// `transaction_timestamp()`, microseconds since 1970
    pub(crate) began_us: i64,
    /// The moment, on the database's clock, from which the context is worth nothing
    pub(crate) expires_us: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity {
            tenant: "acme".parse().unwrap(),
            principal: "p-1".parse().unwrap(),
            roles: vec!["head_office".to_owned()],
            reader_role: "reader".parse().unwrap(),
        }
    }

    #[test]
    fn the_file_keeps_the_key_and_keeps_others_out() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let key = ContextKey::generate();
        key.write_file(&path).unwrap();
        let read = ContextKey::read_file(&path).unwrap();
        assert_eq!((read.id(), read.secret), (key.id(), key.secret));
        assert!(key.write_file(&path).is_err(), "an existing key is never overwritten");
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
        assert!(ContextKey::read_file(&path).is_err());
    }

    #[test]
    fn no_debug_output_shows_the_key() {
        let key = ContextKey::generate();
        assert!(!format!("{key:?}").contains(&hex::encode(key.secret)));
    }

    #[test]
    fn the_pads_are_those_of_hmac() {
        let key = ContextKey::generate();
        let transaction = Transaction { pid: 1, began_us: 2, expires_us: 3 };
        let context = key.sign(&identity(), &transaction).unwrap();
        let (signed, mac) = context.rsplit_once('.').unwrap();
        let (inner, outer) = key.pads();
        let once = Sha256::new().chain_update(inner).chain_update(signed).finalize();
        let twice = Sha256::new().chain_update(outer).chain_update(once).finalize();
        assert_eq!(hex::encode(twice), mac);
    }

    #[test]
    fn a_context_needs_no_quoting() {
        let mut identity = identity();
        identity.roles = vec!["'; DROP TABLE x; --".to_owned(), "ä\n".to_owned()];
        let context =
            ContextKey::generate().sign(&identity, &Transaction { pid: 1, began_us: 2, expires_us: 3 }).unwrap();
        assert!(context.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')), "{context}");
        identity.roles = vec!["a\0".to_owned()];
        assert!(ContextKey::generate().sign(&identity, &Transaction { pid: 1, began_us: 2, expires_us: 3 }).is_err());
    }
}
