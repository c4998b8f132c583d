//! Signs callers' claims as the host does, for connections that go around it.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;
use zava_retail::DemoCaller;

/// The host's key, read as the host reads it.
#[derive(Clone)]
pub struct Signer {
    key_id: String,
    secret: Vec<u8>,
}

impl Signer {
    /// Of the file that `context_key_file` names.
    pub fn read(file: &Path) -> Self {
        let key = std::fs::read_to_string(file).expect("the key file");
        let mut words = key.split_ascii_whitespace().skip(1);
        Self {
            key_id: words.next().expect("an id").to_owned(),
            secret: hex::decode(words.next().expect("a secret")).expect("hex"),
        }
    }

    /// The context of `caller` for one minute of one transaction of one backend.
    pub fn context(&self, caller: &DemoCaller, pid: i32, began_us: i64) -> String {
        let payload = json!({
            "tenant": zava_retail::TENANT, "principal": caller.principal.to_string(), "roles": caller.roles,
            "pid": pid, "began_us": began_us, "expires_us": began_us + 60_000_000,
        });
        let signed = format!("v1.{}.{}", self.key_id, URL_SAFE_NO_PAD.encode(payload.to_string()));
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("a key");
        mac.update(signed.as_bytes());
        format!("{signed}.{}", hex::encode(mac.finalize().into_bytes()))
    }

    /// Somebody who knows the key's id and not the key.
    pub fn forger(&self) -> Self {
        Self { key_id: self.key_id.clone(), secret: vec![7; 32] }
    }

    /// The key, to look for it where it must not be.
    pub fn secret(&self) -> &[u8] {
        &self.secret
    }
}
