//! An issuer's public keys: fetched, kept, fetched again, never more often than configured.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey,
    jwk::{Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    io::AsyncReadExt as _,
    sync::{Mutex, OwnedMutexGuard},
    task::JoinHandle,
};

use crate::config::{ConfigError, IssuerConfig, url_of};

/// Keys of one issuer that are kept. Issuers have two or three.
const KEYS_MAX: usize = 64;
/// Longest key id, in bytes.
const KID_BYTES_MAX: usize = 256;

/// The keys of one issuer.
pub(super) struct Keys {
    /// The issuer's name in the configuration.
    name: String,
    source: Source,
    bytes_max: usize,
    timeout: Duration,
    max_age: Duration,
    refetch: Duration,
    stale_max: Duration,
    current: Arc<RwLock<Current>>,
    /// Held while fetching: a crowd fetches once.
    fetching: Arc<Mutex<()>>,
}

enum Source {
    File(PathBuf),
    Url { client: reqwest::Client, url: reqwest::Url },
}

impl Source {
    fn is_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(path), Self::File(others)) => path == others,
            (Self::Url { url, .. }, Self::Url { url: others, .. }) => url == others,
            _ => false,
        }
    }
}

#[derive(Default)]
struct Current {
    keys: HashMap<String, Key>,
    fetched: Option<Instant>,
    tried: Option<Instant>,
}

#[derive(Clone)]
struct Key {
    algorithm: Option<KeyAlgorithm>,
    key: DecodingKey,
}

impl Keys {
    /// What was fetched from the same place `before` is kept, and when that was: a configuration that is read
    /// again asks no issuer more often, and takes nobody's keys while the issuer is down.
    pub(super) fn new(name: &str, config: &IssuerConfig, before: Option<&Self>) -> Result<Arc<Self>, ConfigError> {
        let timeout = Duration::from_millis(config.jwks_timeout_ms);
        let source = match (&config.jwks_file, config.jwks_url.as_deref().and_then(url_of)) {
            (Some(path), _) => Source::File(path.clone()),
            (None, Some(url)) => Source::Url { client: client(timeout)?, url },
            (None, None) => return Err(ConfigError::value(format!("oauth.issuers.{name}"), "has no keys")),
        };
        let before = before.filter(|before| before.source.is_the_same(&source));
        let (current, fetching) =
            before.map(|before| (Arc::clone(&before.current), Arc::clone(&before.fetching))).unwrap_or_default();
        Ok(Arc::new(Self {
            name: name.to_owned(),
            source,
            bytes_max: config.jwks_bytes_max,
            timeout,
            max_age: Duration::from_secs(config.jwks_max_age_s),
            refetch: Duration::from_secs(config.jwks_refetch_s),
            stale_max: Duration::from_secs(config.jwks_stale_max_s),
            current,
            fetching,
        }))
    }

    /// The key `kid`, if it is one for `algorithm`. The id is looked up among those that the issuer
    /// published, and nothing else is done with it.
    pub(super) async fn find(self: &Arc<Self>, kid: &str, algorithm: Algorithm) -> Option<DecodingKey> {
        let (mut key, age) = self.look_up(kid);
        if key.is_none() {
            self.refresh().await;
            key = self.look_up(kid).0;
        } else if age >= self.max_age {
            // Nobody waits for that: the keys are good for a while yet.
            self.refresh_behind();
        }
        let key = key?;
        let fits = key.algorithm.is_none_or(|of_key| of_key == KeyAlgorithm::from(algorithm));
        fits.then_some(key.key)
    }

    /// Fetches the keys, unless that was tried a moment ago.
    pub(super) async fn refresh(self: &Arc<Self>) {
        let alone = Arc::clone(&self.fetching).lock_owned().await;
        if let Some(fetch) = self.begin(alone) {
            // A panic in it has been reported by the runtime; there are no keys then.
            let _ = fetch.await;
        }
    }

    /// The same without waiting.
    pub(super) fn refresh_behind(self: &Arc<Self>) {
        if let Ok(alone) = Arc::clone(&self.fetching).try_lock_owned() {
            drop(self.begin(alone));
        }
    }

    /// A task of its own: a client that names an unknown key and leaves would else end the fetch, and
    /// with it everybody's chance of one.
    fn begin(self: &Arc<Self>, alone: OwnedMutexGuard<()>) -> Option<JoinHandle<()>> {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.tried.is_some_and(|tried| tried.elapsed() < self.refetch) {
            return None;
        }
        current.tried = Some(Instant::now());
        let this = Arc::clone(self);
        Some(tokio::spawn(async move {
            let _alone = alone;
            this.fetch().await;
        }))
    }

    /// A key that is not too old to be trusted, and its age.
    fn look_up(&self, kid: &str) -> (Option<Key>, Duration) {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let age = current.fetched.map_or(Duration::MAX, |fetched| fetched.elapsed());
        let key = current.keys.get(kid).filter(|_| age < self.stale_max);
        (key.cloned(), age)
    }

    async fn fetch(&self) {
        let read = async {
            match &self.source {
                Source::File(path) => read_file(path, self.bytes_max).await,
                Source::Url { client, url } => read_url(client, url, self.bytes_max).await,
            }
        };
        let read = tokio::time::timeout(self.timeout, read).await.unwrap_or(Err("it took too long".into()));
        match read.and_then(|bytes| parse(&bytes)) {
            Ok(keys) => {
                tracing::info!(issuer = self.name, keys = keys.len(), "keys fetched");
                let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
                current.keys = keys;
                current.fetched = Some(Instant::now());
            }
            Err(problem) => tracing::warn!(
                fault = "host",
                issuer = self.name,
                problem,
                "keys not fetched; those that are known serve until jwks_stale_max_s"
            ),
        }
    }
}

fn client(timeout: Duration) -> Result<reqwest::Client, ConfigError> {
    reqwest::Client::builder()
        .timeout(timeout)
        // Keys come from where the operator says, and from nowhere that an answer says.
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| ConfigError::value("oauth", format!("cannot be used: {error}")))
}

async fn read_file(path: &std::path::Path, bytes_max: usize) -> Result<Vec<u8>, String> {
    let file = tokio::fs::File::open(path).await.map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(bytes_max as u64 + 1).read_to_end(&mut bytes).await.map_err(|error| error.to_string())?;
    if bytes.len() > bytes_max { Err(too_large(bytes_max)) } else { Ok(bytes) }
}

async fn read_url(client: &reqwest::Client, url: &reqwest::Url, bytes_max: usize) -> Result<Vec<u8>, String> {
    let mut response = client.get(url.clone()).send().await.map_err(|error| error.to_string())?;
    if response.status() != http::StatusCode::OK {
        return Err(format!("the answer is {}", response.status()));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| error.to_string())? {
        if bytes.len() + chunk.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn too_large(bytes_max: usize) -> String {
    format!("it is larger than jwks_bytes_max = {bytes_max}")
}

/// The keys that are of use here. An empty set is one, too: the issuer has taken its keys back.
fn parse(bytes: &[u8]) -> Result<HashMap<String, Key>, String> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<Value>,
    }
    let set: Set = serde_json::from_slice(bytes).map_err(|error| format!("it is no JWK Set: {error}"))?;
    let mut keys = HashMap::new();
    for (kid, key) in set.keys.into_iter().filter_map(usable).take(KEYS_MAX) {
        keys.entry(kid).or_insert(key);
    }
    Ok(keys)
}

/// A public key for signatures, with an id. Others may stand in the same set.
fn usable(jwk: Value) -> Option<(String, Key)> {
    let jwk: Jwk = serde_json::from_value(jwk).ok()?;
    let signs = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let verifies = jwk.common.key_operations.as_ref().is_none_or(|ops| ops.contains(&KeyOperations::Verify));
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    let kid = jwk.common.key_id.filter(|kid| (1..=KID_BYTES_MAX).contains(&kid.len()))?;
    let public = key.family() != AlgorithmFamily::Hmac;
    (signs && verifies && public).then_some((kid, Key { algorithm: jwk.common.key_algorithm, key }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_that_are_not_for_signatures_are_left_out() {
        let ed = json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
        let with = |extra: Value| {
            let mut key = ed.clone();
            key.as_object_mut().expect("an object").extend(extra.as_object().cloned().expect("an object"));
            key
        };
        let set = json!({ "keys": [
            with(json!({ "kid": "good", "use": "sig" })),
            with(json!({ "kid": "good", "alg": "RS256" })),
            with(json!({ "kid": "verifies", "key_ops": ["verify"] })),
            with(json!({ "kid": "enc", "use": "enc" })),
            with(json!({ "kid": "signs", "key_ops": ["sign"] })),
            with(json!({ "kid": "" })),
            with(json!({ "kid": "k".repeat(300) })),
            with(json!({ "kid": 7 })),
            ed,
            { "kid": "shared", "kty": "oct", "k": "c2VjcmV0" },
            { "kid": "strange", "kty": "XYZ" },
            "not an object",
        ] });
        let keys = parse(set.to_string().as_bytes()).expect("a set");
        let mut kids: Vec<_> = keys.keys().cloned().collect();
        kids.sort();
        assert_eq!(kids, ["good", "verifies"]);
        assert!(keys["good"].algorithm.is_none(), "the first of a name counts");
    }

    #[test]
    fn what_is_no_set_is_an_error_and_an_empty_set_is_none() {
        for text in ["", "{}", "[]", "{\"keys\":{}}", "<html>", "{\"keys\":[]"] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse(b"{\"keys\":[]}").expect("a set").is_empty());
    }
}
