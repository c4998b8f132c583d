//! Small values kept from one call to the next, for this plugin's version and this caller only. An
//! entry may vanish at any time.

use serde::{Serialize, de::DeserializeOwned};

use crate::{Error, host::cache};

/// The bytes under `key`, if they are there and have not expired. A key is at most 256 bytes.
pub fn get_bytes(key: &str) -> Result<Option<Vec<u8>>, Error> {
    cache::get(key)
}

/// Keep bytes under `key` for `ttl_s` seconds, 1 to 86400.
pub fn set_bytes(key: &str, value: &[u8], ttl_s: u32) -> Result<(), Error> {
    cache::set(key, value, ttl_s)
}

/// The value under `key`, kept by [`set`]. What does not read as `T` any more counts as absent.
pub fn get<T: DeserializeOwned>(key: &str) -> Result<Option<T>, Error> {
    Ok(cache::get(key)?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// Keep `value`, as JSON, under `key` for `ttl_s` seconds, 1 to 86400.
pub fn set<T: Serialize>(key: &str, value: &T, ttl_s: u32) -> Result<(), Error> {
    let bytes =
        serde_json::to_vec(value).map_err(|error| Error::unexpected("CACHE_VALUE_NOT_JSON", error.to_string()))?;
    cache::set(key, &bytes, ttl_s)
}

/// Forget the value under `key`.
pub fn delete(key: &str) -> Result<(), Error> {
    cache::delete(key)
}
