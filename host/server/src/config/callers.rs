use std::{fmt, str::FromStr};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use stockade_db::{Identity, PrincipalId, ReaderRole, TenantId};
use stockade_runtime::Caller;

use super::ConfigError;

/// A table `[callers.NAME]`: who may call, and as whom.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallerConfig {
    /// SHA-256 of the bearer token, 64 hexadecimal digits. `stockade token new` prints both. Without
    /// it the caller cannot come over HTTP, only over stdio.
    pub token_sha256: Option<TokenDigest>,
    /// The tenant whose rows the caller reads.
    pub tenant: String,
    /// The user, as the application's schema knows it.
    pub principal: String,
    /// Roles that the application's policies look at. Default none.
    #[serde(default)]
    pub roles: Vec<String>,
    /// The database role that the caller's statements run under, one of `reader_roles` in `[database]`.
    pub reader_role: String,
    /// A name that tools may show. Default: the caller's name in this file.
    pub display_name: Option<String>,
    /// An IANA time zone. Default `UTC`.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// Scopes that the token has, where `[oauth]` asks for some. Default none.
    #[serde(default)]
    pub scopes: Vec<String>,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// Whether the text has the form of an IANA time zone.
pub(crate) fn time_zone_is_well_formed(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/_+-".contains(&b))
}

impl CallerConfig {
    /// What tools and the database are told of this caller.
    ///
    /// # Errors
    /// Names the key of a value that no tenant, principal, role or time zone can have.
    pub fn caller(&self, name: &str) -> Result<Caller, ConfigError> {
        let key = |field: &str| format!("callers.{name}.{field}");
        if !time_zone_is_well_formed(&self.time_zone) {
            return Err(ConfigError::value(key("time_zone"), "is not an IANA time zone such as `Europe/Berlin`"));
        }
        Ok(Caller {
            identity: Identity {
                tenant: parse::<TenantId>(&self.tenant, key("tenant"))?,
                principal: parse::<PrincipalId>(&self.principal, key("principal"))?,
                roles: self.roles.clone(),
                reader_role: parse::<ReaderRole>(&self.reader_role, key("reader_role"))?,
            },
            display_name: self.display_name.clone().unwrap_or_else(|| name.to_owned()),
            time_zone: self.time_zone.clone(),
        })
    }
}

fn parse<T: FromStr<Err: fmt::Display>>(value: &str, key: String) -> Result<T, ConfigError> {
    value.parse().map_err(|error: T::Err| ConfigError::value(key, format!("is wrong: {error}")))
}

/// SHA-256 of a bearer token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// The digest of `token`.
    #[must_use]
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// The digest's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 hexadecimal digits, as in the configuration.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }
}

/// A short token can be guessed from its digest, so the digest stays out of logs too.
impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(..)")
    }
}

impl<'de> Deserialize<'de> for TokenDigest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(&text, &mut bytes).map_err(|_| {
            serde::de::Error::custom(
                "`token_sha256` must be the SHA-256 of the token, 64 hexadecimal digits, not the token itself: run `stockade token new`",
            )
        })?;
        Ok(Self(bytes))
    }
}
