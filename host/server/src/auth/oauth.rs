use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, SystemTime},
};

use jsonwebtoken::{Validation, dangerous::insecure_decode_claims, decode, decode_header};
use serde::Deserialize;
use serde_json::Value;
use stockade_runtime::Caller;
use tokio::time::Instant;

use super::{Refused, claims, keys::Keys};
use crate::config::{ConfigError, IssuerConfig, OauthConfig};

/// The issuers whose tokens are accepted.
pub(super) struct Oauth {
    pub(super) config: OauthConfig,
    /// By their claim `iss`.
    issuers: BTreeMap<String, Issuer>,
}

struct Issuer {
    name: String,
    config: IssuerConfig,
    audiences: Vec<String>,
    keys: Arc<Keys>,
}

/// What a valid token says.
pub(super) struct Verified {
    /// The issuer's name in the configuration.
    pub(super) issuer: String,
    pub(super) caller: Caller,
    pub(super) scopes: BTreeSet<String>,
    /// When it expires, leeway included. `None` where no clock goes that far.
    pub(super) expires: Option<Instant>,
}

impl Oauth {
    /// `before` is what held until now: an issuer that is still the same keeps its keys.
    pub(super) fn new(config: &OauthConfig, before: Option<&Self>) -> Result<Self, ConfigError> {
        config.validate()?;
        let mut issuers = BTreeMap::new();
        for (name, of) in &config.issuers {
            let own = std::slice::from_ref(&config.resource);
            let audiences = if of.audiences.is_empty() { own } else { of.audiences.as_slice() };
            let before = before.and_then(|before| before.issuers.get(&of.issuer));
            let keys = Keys::new(name, of, before.map(|before| &*before.keys))?;
            let issuer = Issuer { name: name.clone(), config: of.clone(), audiences: audiences.to_vec(), keys };
            issuers.insert(of.issuer.clone(), issuer);
        }
        Ok(Self { config: config.clone(), issuers })
    }

    /// Fetches all keys behind what the caller does, so that the first request need not wait for them.
    pub(super) fn warm_up(&self) {
        self.issuers.values().for_each(|issuer| issuer.keys.refresh_behind());
    }

    /// Checks a token (RFC 7519, section 7.2; RFC 9068, section 4). Of its header, `alg` and `kid`
    /// choose among what the configuration and the issuer allow; keys and addresses of keys in it
    /// (`jwk`, `jku`, `x5c`, `x5u`) are not looked at.
    pub(super) async fn verify(&self, token: &str) -> Result<Verified, Refused> {
        #[derive(Deserialize)]
        struct Claimed {
            iss: String,
        }
        let header = decode_header(token).map_err(|_| Refused("no known token, and no JWT with a known `alg`"))?;
        if header.crit.is_some() {
            return Err(Refused("`crit` asks for what nobody here understands"));
        }
        let kid = header.kid.ok_or(Refused("no `kid`"))?;
        // Not to be believed before the signature is checked: it only says with whose keys.
        let Claimed { iss } = insecure_decode_claims(token).map_err(|_| Refused("no `iss`"))?;
        let issuer = self.issuers.get(&iss).ok_or(Refused("unknown issuer"))?;
        if !issuer.config.algorithms.contains(&header.alg) {
            return Err(Refused("`alg` is not among the issuer's algorithms"));
        }
        let key = issuer.keys.find(&kid, header.alg).await.ok_or(Refused("no such key of the issuer"))?;
        let mut validation = Validation::new(header.alg);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.set_issuer(&[&iss]);
        validation.set_audience(&issuer.audiences);
        validation.validate_nbf = true;
        validation.leeway = issuer.config.leeway_s;
        let claims = decode::<Value>(token, &key, &validation).map_err(|error| reason(&error))?.claims;
        let (caller, scopes) = claims::map(&issuer.config, &claims)?;
        let expires = expires(&claims, issuer.config.leeway_s);
        Ok(Verified { issuer: issuer.name.clone(), caller, scopes, expires })
    }
}

fn expires(claims: &Value, leeway_s: u64) -> Option<Instant> {
    let expires = Duration::try_from_secs_f64(claims.get("exp")?.as_f64()?).ok()?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let left = expires.saturating_add(Duration::from_secs(leeway_s)).saturating_sub(now);
    Instant::now().checked_add(left)
}

/// A word for the log. The library's own texts may hold what the token says.
fn reason(error: &jsonwebtoken::errors::Error) -> Refused {
    use jsonwebtoken::errors::ErrorKind;
    Refused(match error.kind() {
        ErrorKind::InvalidSignature => "wrong signature",
        ErrorKind::ExpiredSignature => "expired",
        ErrorKind::ImmatureSignature => "not yet valid",
        ErrorKind::InvalidAudience => "issued for another audience",
        ErrorKind::InvalidIssuer => "wrong issuer",
        ErrorKind::MissingRequiredClaim(_) => "a required claim is missing or has the wrong type",
        ErrorKind::InvalidClaimFormat(_) => "a claim has the wrong type",
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidKeyFormat => "`alg` does not fit the key",
        _ => "malformed",
    })
}
