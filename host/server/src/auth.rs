//! Who is calling: bearer tokens, mapped to callers. A token is one that the configuration knows by its
//! digest, or a JWT of an issuer that it names; what is wrong with it, only the log says.

mod bearer;
mod challenge;
mod claims;
mod keys;
mod known;
mod oauth;

pub(crate) use challenge::Challenge;
pub use claims::map as map_claims;
pub use known::KnownCaller;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use http::HeaderMap;
use stockade_runtime::Caller;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    config::{AccessConfig, ConfigError, ServerConfig, TokenDigest},
    tenants::{Tenant, Tenants},
};
use known::{Active, Shares};
use oauth::{Oauth, Verified};

/// Longest token that is looked at where only our own are known, in bytes. They have 68.
const TOKEN_BYTES_MAX: usize = 512;

/// Why a request is not let in. The text is for the log: it holds nothing of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused(pub(crate) &'static str);

/// A request that is let in.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// Who calls.
    pub known: Arc<KnownCaller>,
    /// What this request's token allows, in the issuer's words.
    pub(crate) scopes: Arc<BTreeSet<String>>,
    /// When the token expires. Ours do not.
    pub(crate) expires: Option<Instant>,
}

/// All that a caller is. JSON keeps the parts apart, whatever characters they have.
fn all_of(issuer: &str, caller: &Caller) -> String {
    let Caller { identity, display_name, time_zone } = caller;
    serde_json::json!([
        issuer,
        identity.tenant,
        identity.principal,
        identity.roles,
        identity.reader_role,
        display_name,
        time_zone
    ])
    .to_string()
}

/// Whether the request carries the one token with this digest.
pub(crate) fn admits(headers: &HeaderMap, digest: &TokenDigest) -> Result<(), Refused> {
    let token = bearer::token(headers, TOKEN_BYTES_MAX)?;
    let same: bool = TokenDigest::of(token).as_bytes().ct_eq(digest.as_bytes()).into();
    if same { Ok(()) } else { Err(Refused("unknown token")) }
}

/// The issuers of `access`, with the keys that are known of them.
fn oauth(access: &AccessConfig, before: Option<&Callers>) -> Result<Option<Oauth>, ConfigError> {
    let before = before.and_then(|before| before.oauth.as_ref());
    access.oauth.as_ref().map(|config| Oauth::new(config, before)).transpose()
}

/// All who may call.
pub struct Callers {
    /// Scanned whole at every request, so that time tells nothing about how near a guess was. Callers
    /// are listed in a file: they are few.
    tokens: Vec<(TokenDigest, Admitted)>,
    names: BTreeMap<String, Arc<KnownCaller>>,
    tenants: Tenants,
    oauth: Option<Oauth>,
    active: Arc<Active>,
    shares: Shares,
}

impl fmt::Debug for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callers").field("names", &self.names.keys()).finish_non_exhaustive()
    }
}

impl Callers {
    /// Takes the tables `[callers.*]`, `[oauth]`, `[tenants.*]` and `[tenant_defaults]`.
    ///
    /// # Errors
    /// Names the key of a value that is wrong, or of a token that two callers share.
    pub fn new(access: &AccessConfig, server: &ServerConfig) -> Result<Self, ConfigError> {
        Self::build(access, server, None)
    }

    /// Who may call from now on. A caller that is the same, to the letter, of a tenant with the same limits,
    /// goes on as it is; so do those that only tokens name, where `issuers_stay`: neither issuers nor tenants are
    /// others than before. The keys of an issuer stay while it publishes them at the same place.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub(crate) fn renewed(
        &self,
        access: &AccessConfig,
        server: &ServerConfig,
        issuers_stay: bool,
    ) -> Result<Self, ConfigError> {
        let mut next = Self::build(access, server, Some(self))?;
        if issuers_stay && next.shares == self.shares {
            next.active = Arc::clone(&self.active);
        }
        Ok(next)
    }

    /// Ends the sessions and streams of those who are not among `next`.
    pub(crate) fn retire(&self, next: &Self) {
        for (name, known) in &self.names {
            if !next.names.get(name).is_some_and(|stays| Arc::ptr_eq(stays, known)) {
                known.gone.cancel();
            }
        }
        if !Arc::ptr_eq(&self.active, &next.active) {
            self.active.gone.cancel();
        }
    }

    fn build(access: &AccessConfig, server: &ServerConfig, before: Option<&Self>) -> Result<Self, ConfigError> {
        let issuers = access.oauth.iter().flat_map(|oauth| oauth.issuers.values());
        let named = access.callers.values().map(|caller| &caller.tenant);
        let named = named.chain(issuers.flat_map(|issuer| issuer.tenant_names()));
        let mut callers = Self {
            tokens: Vec::new(),
            names: BTreeMap::new(),
            tenants: Tenants::new(
                &access.tenants,
                &access.tenant_defaults,
                named,
                before.map(|before| &before.tenants),
            )?,
            oauth: oauth(access, before)?,
            active: Arc::default(),
            shares: Shares::of(server),
        };
        for (name, config) in &access.callers {
            let caller = config.caller(name)?;
            let tenant = callers
                .tenant(&config.tenant)
                .map_err(|Refused(problem)| ConfigError::value(format!("callers.{name}.tenant"), problem))?;
            let id = format!("callers.{name} {}", all_of("", &caller));
            let same = |known: &&Arc<KnownCaller>| known.id.as_ref() == id && Arc::ptr_eq(&known.tenant, &tenant);
            let before =
                before.filter(|before| before.shares == callers.shares && before.token_of(name) == config.token_sha256);
            let known = match before.and_then(|before| before.names.get(name)).filter(same) {
                Some(known) => Arc::clone(known),
                None => callers.shares.caller(name.clone(), id.into(), caller, tenant, CancellationToken::new()),
            };
            if let Some(digest) = config.token_sha256 {
                if callers.tokens.iter().any(|(taken, _)| *taken == digest) {
                    let key = format!("callers.{name}.token_sha256");
                    return Err(ConfigError::value(
                        key,
                        "is another caller's too; give each caller a token of its own",
                    ));
                }
                let scopes = Arc::new(config.scopes.iter().cloned().collect());
                callers.tokens.push((digest, Admitted { known: Arc::clone(&known), scopes, expires: None }));
            }
            callers.names.insert(name.clone(), known);
        }
        Ok(callers)
    }

    fn token_of(&self, name: &str) -> Option<TokenDigest> {
        let (digest, _) = self.tokens.iter().find(|(_, admitted)| &*admitted.known.name == name)?;
        Some(*digest)
    }

    fn tenant(&self, name: &str) -> Result<Arc<Tenant>, Refused> {
        self.tenants.get(name).ok_or(Refused("the tenant is not configured"))
    }

    /// The tenants that callers and issuers name.
    pub(crate) fn tenants(&self) -> Vec<Arc<Tenant>> {
        self.tenants.all()
    }

    /// Whether nobody can come over HTTP.
    #[must_use]
    pub fn no_tokens(&self) -> bool {
        self.tokens.is_empty() && self.oauth.is_none()
    }

    /// The caller named `name` in the configuration.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<Arc<KnownCaller>> {
        self.names.get(name).cloned()
    }

    /// Fetches the issuers' keys, so that the first request need not wait for them.
    pub(crate) fn warm_up(&self) {
        if let Some(oauth) = &self.oauth {
            oauth.warm_up();
        }
    }

    /// What is told to those who are not let in.
    pub(crate) fn challenge(&self) -> Challenge {
        Challenge::new(self.oauth.as_ref().map(|oauth| &oauth.config))
    }

    /// The caller whose token the request carries.
    ///
    /// # Errors
    /// No token, a wrong one, and anything that is not exactly one `Authorization: Bearer TOKEN`: all
    /// are to be answered alike.
    pub async fn authenticate(&self, headers: &HeaderMap) -> Result<Admitted, Refused> {
        let bytes_max = self.oauth.as_ref().map_or(TOKEN_BYTES_MAX, |oauth| oauth.config.token_bytes_max);
        let token = bearer::token(headers, bytes_max)?;
        if let Some(admitted) = self.by_token(token) {
            return Ok(admitted);
        }
        let oauth = self.oauth.as_ref().ok_or(Refused("unknown token"))?;
        let Verified { issuer, caller, scopes, expires } = oauth.verify(token).await?;
        let tenant = self.tenant(caller.identity.tenant.as_str())?;
        let name = format!("{issuer}/{}", caller.identity.principal);
        let gone = self.active.gone.child_token();
        let known = self.active.get(all_of(&issuer, &caller), |id| self.shares.caller(name, id, caller, tenant, gone));
        Ok(Admitted { known, scopes: Arc::new(scopes), expires })
    }

    fn by_token(&self, token: &str) -> Option<Admitted> {
        let digest = TokenDigest::of(token);
        let mut found = u64::MAX;
        for (index, (known, _)) in (0_u64..).zip(&self.tokens) {
            let same: Choice = known.as_bytes().ct_eq(digest.as_bytes());
            found.conditional_assign(&index, same);
        }
        let (_, admitted) = self.tokens.get(usize::try_from(found).ok()?)?;
        Some(admitted.clone())
    }

    /// All scopes that a request needs, if `scopes` lacks one of them: for any request those of all
    /// requests, for a call of a tool the tool's besides.
    pub(crate) fn lacking(&self, scopes: &BTreeSet<String>, tool: Option<&str>) -> Option<Vec<&str>> {
        let config = &self.oauth.as_ref()?.config;
        let of_tool = tool.and_then(|tool| config.tool_scopes.get(tool));
        let needed: BTreeSet<_> = config.scopes_required.iter().chain(of_tool.into_iter().flatten()).collect();
        let lacks = needed.iter().any(|&scope| !scopes.contains(scope));
        lacks.then(|| needed.into_iter().map(String::as_str).collect())
    }

    /// Whether some tool needs scopes of its own.
    pub(crate) fn has_tool_scopes(&self) -> bool {
        self.oauth.as_ref().is_some_and(|oauth| !oauth.config.tool_scopes.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CallerConfig;

    fn access(callers: impl IntoIterator<Item = (String, CallerConfig)>) -> AccessConfig {
        AccessConfig { callers: callers.into_iter().collect(), ..AccessConfig::default() }
    }

    fn callers() -> Callers {
        let configured = ["north", "south"].map(|name| {
            let text = format!(
                "token_sha256 = \"{}\"\ntenant = \"acme\"\nprincipal = \"p-{name}\"\nreader_role = \"reader\"",
                TokenDigest::of(&format!("token-{name}")).to_hex(),
            );
            (name.to_owned(), toml::from_str::<CallerConfig>(&text).expect("a caller"))
        });
        Callers::new(&access(configured), &ServerConfig::default()).expect("callers")
    }

    async fn who(values: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(http::header::AUTHORIZATION, value.parse().expect("a header value"));
        }
        callers().authenticate(&headers).await.ok().map(|admitted| admitted.known.name.to_string())
    }

    #[tokio::test]
    async fn a_token_leads_to_its_caller_and_to_no_other() {
        assert_eq!(who(&["Bearer token-north"]).await.as_deref(), Some("north"));
        assert_eq!(who(&["bearer token-south"]).await.as_deref(), Some("south"));
    }

    #[tokio::test]
    async fn everything_else_leads_nowhere() {
        let long = format!("Bearer {}", "a".repeat(TOKEN_BYTES_MAX + 1));
        for values in [
            &[][..],
            &[""],
            &["Bearer"],
            &["Bearer "],
            &["token-north"],
            &["Basic token-north"],
            &["Bearer token-nort"],
            &["Bearer token-north2"],
            &["Bearer token-north token-south"],
            &["Bearer token-north", "Bearer token-south"],
            &["Bearer token-north", "Bearer token-north"],
            &[&long],
        ] {
            assert_eq!(who(values).await, None, "{values:?}");
        }
    }

    #[test]
    fn two_callers_cannot_share_a_token() {
        let digest = TokenDigest::of("same").to_hex();
        let text = format!("token_sha256 = \"{digest}\"\ntenant = \"t\"\nprincipal = \"p\"\nreader_role = \"r\"");
        let config: CallerConfig = toml::from_str(&text).expect("a caller");
        let both = access([("a".to_owned(), config.clone()), ("b".to_owned(), config)]);
        let error = Callers::new(&both, &ServerConfig::default()).expect_err("shared token");
        assert!(error.to_string().contains("callers.b.token_sha256"));
        assert!(!error.to_string().contains(&digest));
    }

    #[test]
    fn debug_output_has_no_digest() {
        let config = format!("{:?}", TokenDigest::of("token-north"));
        assert!(!config.contains(&TokenDigest::of("token-north").to_hex()));
        assert!(!format!("{:?}", callers()).contains("token"));
    }

    #[test]
    fn callers_that_only_tokens_name_are_forgotten_with_their_last_request() {
        let callers = callers();
        let template = callers.by_name("north").expect("a caller");
        let get = |id: usize| {
            callers.active.get(id.to_string(), |id| {
                let caller = stockade_runtime::Caller::clone(&template.caller);
                let tenant = Arc::clone(&template.tenant);
                callers.shares.caller("issuer/p".to_owned(), id, caller, tenant, callers.active.gone.child_token())
            })
        };
        let held = get(0);
        assert!((1..10_000).all(|id| &*get(id).id == id.to_string().as_str()));
        assert!(callers.active.len() < 200, "{}", callers.active.len());
        assert!(Arc::ptr_eq(&get(0), &held), "one caller is one caller, as long as something of it is under way");
    }
}
