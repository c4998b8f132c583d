use std::{collections::BTreeMap, path::PathBuf};

use jsonwebtoken::{Algorithm, AlgorithmFamily};
use serde::Deserialize;

use super::ConfigError;

/// The section `[oauth]`: this server as a resource server of OAuth 2.1.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OauthConfig {
    /// The MCP endpoint's address as clients write it, such as `https://mcp.example.com/mcp`. Tokens
    /// must be issued for it (RFC 8707), and its metadata stand beside it (RFC 9728).
    pub resource: String,
    /// Scopes that every request needs. Default none.
    #[serde(default)]
    pub scopes_required: Vec<String>,
    /// Scopes that a call needs besides, by the tool's name. Default none.
    #[serde(default)]
    pub tool_scopes: BTreeMap<String, Vec<String>>,
    /// Longest token that is looked at, in bytes. Default 16384 (16 KiB).
    #[serde(default = "defaults::token_bytes_max")]
    pub token_bytes_max: usize,
    /// Who issues tokens, by a name of the operator's.
    pub issuers: BTreeMap<String, IssuerConfig>,
}

/// A table `[oauth.issuers.NAME]`: an authorization server, and what its tokens mean here. Claims are
/// named by JSON Pointers (RFC 6901), such as `/realm_access/roles`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerConfig {
    /// The claim `iss` of its tokens, to the letter.
    pub issuer: String,
    /// One of these must stand in the claim `aud`. Default: `resource` of `[oauth]`.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// Signatures that are accepted. Default `ES256`, `RS256` and `EdDSA`; those with a shared secret
    /// (`HS256` and its like) can never be.
    #[serde(default = "defaults::algorithms")]
    pub algorithms: Vec<Algorithm>,
    /// Where its keys are (a JWK Set, RFC 7517): an `https` address; `http` on this machine alone.
    pub jwks_url: Option<String>,
    /// The same as a file, read again like the address.
    pub jwks_file: Option<PathBuf>,
    /// Time to fetch the keys, in milliseconds. Default 5000.
    #[serde(default = "defaults::jwks_timeout_ms")]
    pub jwks_timeout_ms: u64,
    /// Largest set of keys that is read, in bytes. Default 262144 (256 KiB).
    #[serde(default = "defaults::jwks_bytes_max")]
    pub jwks_bytes_max: usize,
    /// Age at which keys are fetched again, in seconds. Default 3600.
    #[serde(default = "defaults::jwks_max_age_s")]
    pub jwks_max_age_s: u64,
    /// Time between two fetches at least, in seconds, whatever unknown key ids tokens name. Default 30.
    #[serde(default = "defaults::jwks_refetch_s")]
    pub jwks_refetch_s: u64,
    /// Age up to which keys are used while they cannot be fetched again, in seconds; then all tokens
    /// of the issuer are refused. Default 86400 (a day).
    #[serde(default = "defaults::jwks_stale_max_s")]
    pub jwks_stale_max_s: u64,
    /// Difference between the issuer's clock and ours that is forgiven, in seconds. Default 30.
    #[serde(default = "defaults::leeway_s")]
    pub leeway_s: u64,
    /// The one tenant of all its tokens.
    pub tenant: Option<String>,
    /// In place of `tenant`: the claim that names it.
    pub tenant_claim: Option<String>,
    /// The values of `tenant_claim` that are known, and the tenant of each. Another one is refused.
    #[serde(default)]
    pub tenants: BTreeMap<String, String>,
    /// The claim that is the principal. Default `/sub`.
    #[serde(default = "defaults::principal_claim")]
    pub principal_claim: String,
    /// The claim with the roles, a list of texts or one. Default `/roles`.
    #[serde(default = "defaults::roles_claim")]
    pub roles_claim: String,
    /// The roles that are known. A token without one of them is refused, further ones are left out.
    pub roles: BTreeMap<String, RoleConfig>,
    /// The claim with the scopes, a text with spaces or a list. Default `/scope`.
    #[serde(default = "defaults::scope_claim")]
    pub scope_claim: String,
    /// The claim with a name that tools may show. Default `/name`; without it, the principal is shown.
    #[serde(default = "defaults::display_name_claim")]
    pub display_name_claim: String,
    /// The claim with an IANA time zone. Default `/zoneinfo`; without it, `UTC`.
    #[serde(default = "defaults::time_zone_claim")]
    pub time_zone_claim: String,
}

/// What a role in a token means here.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleConfig {
    /// The database role of the caller's statements, one of `reader_roles` in `[database]`. A token
    /// whose roles lead to two of them is refused.
    pub reader_role: String,
    /// The role that the application's policies look at. Default: its name in the token.
    pub role: Option<String>,
}

mod defaults {
    use jsonwebtoken::Algorithm;

    pub(super) fn algorithms() -> Vec<Algorithm> {
        vec![Algorithm::ES256, Algorithm::RS256, Algorithm::EdDSA]
    }

    macro_rules! values {
        ($($name:ident: $type:ty = $value:expr;)*) => { $(pub(super) fn $name() -> $type { $value.into() })* };
    }

    values! {
        token_bytes_max: usize = 16_384_usize;
        jwks_timeout_ms: u64 = 5_000_u64;
        jwks_bytes_max: usize = 262_144_usize;
        jwks_max_age_s: u64 = 3_600_u64;
        jwks_refetch_s: u64 = 30_u64;
        jwks_stale_max_s: u64 = 86_400_u64;
        leeway_s: u64 = 30_u64;
        principal_claim: String = "/sub";
        roles_claim: String = "/roles";
        scope_claim: String = "/scope";
        display_name_claim: String = "/name";
        time_zone_claim: String = "/zoneinfo";
    }
}

/// Nobody's clock is wrong by more.
const LEEWAY_MAX_S: u64 = 300;

impl OauthConfig {
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        if url_of(&self.resource).is_none_or(|url| url.query().is_some()) {
            return Err(ConfigError::value(
                "oauth.resource",
                "is not the address of the MCP endpoint; write `https://mcp.example.com/mcp` (`http` on this machine alone)",
            ));
        }
        for scope in self.scopes_required.iter().chain(self.tool_scopes.values().flatten()) {
            // RFC 6749, section 3.3. They stand in a header, between quotes.
            if scope.is_empty() || !scope.bytes().all(|b| b.is_ascii_graphic() && !b"\"\\".contains(&b)) {
                let expected = "holds a text that is no scope; write printable ASCII without spaces and quotes";
                return Err(ConfigError::value("oauth", format!("{expected}, such as `tools:call`")));
            }
        }
        if !(512..=65_536).contains(&self.token_bytes_max) {
            return Err(ConfigError::value("oauth.token_bytes_max", "must lie between 512 and 65536"));
        }
        if self.issuers.is_empty() {
            return Err(ConfigError::value("oauth.issuers", "is empty; write a table `[oauth.issuers.NAME]`"));
        }
        let mut taken = std::collections::BTreeSet::new();
        for (name, issuer) in &self.issuers {
            issuer.validate(name)?;
            if !taken.insert(&issuer.issuer) {
                return Err(ConfigError::value(format!("oauth.issuers.{name}.issuer"), "is another issuer's too"));
            }
        }
        Ok(())
    }
}

impl IssuerConfig {
    fn validate(&self, name: &str) -> Result<(), ConfigError> {
        let wrong = |key: &str, problem: &str| Err(ConfigError::value(format!("oauth.issuers.{name}.{key}"), problem));
        if self.algorithms.is_empty() || self.algorithms.iter().any(|a| a.family() == AlgorithmFamily::Hmac) {
            return wrong("algorithms", "must list signatures with a public key, such as `ES256`");
        }
        match (&self.jwks_url, &self.jwks_file) {
            (Some(url), None) if url_of(url).is_none() => {
                return wrong("jwks_url", "must be an `https` address (`http` on this machine alone)");
            }
            (Some(_), None) | (None, Some(_)) => {}
            _ => return wrong("jwks_url", "or `jwks_file` is needed, and not both"),
        }
        match (&self.tenant, &self.tenant_claim) {
            (Some(_), None) if self.tenants.is_empty() => {}
            (None, Some(_)) if !self.tenants.is_empty() => {}
            _ => return wrong("tenant", "is needed, or `tenant_claim` with a table `tenants`, and not both"),
        }
        if self.roles.is_empty() {
            return wrong("roles", "is empty; write which role in a token leads to which `reader_role`");
        }
        let claims = [&self.principal_claim, &self.roles_claim, &self.scope_claim]
            .into_iter()
            .chain([&self.display_name_claim, &self.time_zone_claim])
            .chain(&self.tenant_claim);
        if claims.into_iter().any(|pointer| !pointer.starts_with('/')) {
            return wrong("*_claim", "is no JSON Pointer; write `/sub`, or `/realm_access/roles`");
        }
        let limits = [
            ("jwks_timeout_ms", self.jwks_timeout_ms),
            ("jwks_bytes_max", self.jwks_bytes_max as u64),
            ("jwks_max_age_s", self.jwks_max_age_s),
            ("jwks_refetch_s", self.jwks_refetch_s),
            ("jwks_stale_max_s", self.jwks_stale_max_s),
        ];
        for (key, value) in limits {
            if !(1..=1 << 31).contains(&value) {
                return wrong(key, "must lie between 1 and 2147483648");
            }
        }
        if self.jwks_stale_max_s < self.jwks_max_age_s {
            return wrong("jwks_stale_max_s", "must not be less than `jwks_max_age_s`");
        }
        if self.leeway_s > LEEWAY_MAX_S {
            return wrong("leeway_s", "must lie between 0 and 300");
        }
        Ok(())
    }

    /// All tenants that its tokens can lead to.
    pub(crate) fn tenant_names(&self) -> impl Iterator<Item = &String> {
        self.tenant.iter().chain(self.tenants.values())
    }
}

/// An address that cannot be listened in on: `https`, or this machine. Without a user, without a fragment.
pub(crate) fn url_of(text: &str) -> Option<reqwest::Url> {
    let url = reqwest::Url::parse(text).ok()?;
    let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    let private = url.scheme() == "https" || url.scheme() == "http" && local;
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    (private && plain && url.host_str().is_some()).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = "resource = 'https://mcp.example.com/mcp'\n[issuers.id]\nissuer = 'https://id.example.com'\n\
        jwks_url = 'https://id.example.com/keys'\ntenant = 'acme'\n[issuers.id.roles.reader]\nreader_role = 'reader'\n";

    fn problem(from: &str, to: &str) -> String {
        let text = MINIMAL.replacen(from, to, 1);
        assert_ne!(text, MINIMAL, "{from}");
        match toml::from_str::<OauthConfig>(&text) {
            Err(error) => error.message().to_owned(),
            Ok(config) => config.validate().expect_err("a refusal").to_string(),
        }
    }

    #[test]
    fn a_minimal_section_is_complete() {
        let config: OauthConfig = toml::from_str(MINIMAL).expect("a section");
        assert!(config.validate().is_ok());
        let issuer = &config.issuers["id"];
        assert_eq!((issuer.jwks_refetch_s, issuer.leeway_s, config.token_bytes_max), (30, 30, 16_384));
        assert!(!issuer.algorithms.contains(&Algorithm::HS256));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (from, to, expected) in [
            ("https://mcp.example.com/mcp", "http://mcp.example.com/mcp", "oauth.resource"),
            ("https://mcp.example.com/mcp", "https://mcp.example.com/mcp#a", "oauth.resource"),
            ("[issuers.id]", "scopes_required = ['a b']\n[issuers.id]", "no scope"),
            ("[issuers.id]", "scopes_required = ['a\"b']\n[issuers.id]", "no scope"),
            ("https://id.example.com/keys", "http://id.example.com/keys", "jwks_url"),
            ("jwks_url =", "jwks_file = 'k'\njwks_url =", "not both"),
            ("jwks_url = 'https://id.example.com/keys'\n", "", "jwks_url"),
            ("tenant = 'acme'", "algorithms = ['HS256']\ntenant = 'acme'", "algorithms"),
            ("tenant = 'acme'", "algorithms = ['none']\ntenant = 'acme'", "unknown variant"),
            ("tenant = 'acme'", "algorithms = []\ntenant = 'acme'", "algorithms"),
            ("tenant = 'acme'", "", "tenant"),
            ("tenant = 'acme'", "tenant_claim = '/org'", "tenant"),
            ("tenant = 'acme'", "tenant = 'acme'\nprincipal_claim = 'sub'", "JSON Pointer"),
            ("tenant = 'acme'", "tenant = 'acme'\nleeway_s = 301", "leeway_s"),
            ("tenant = 'acme'", "tenant = 'acme'\njwks_refetch_s = 0", "jwks_refetch_s"),
            ("tenant = 'acme'", "tenant = 'acme'\naudience = 'x'", "unknown field"),
        ] {
            let problem = problem(from, to);
            assert!(problem.contains(expected), "{to}: {problem}");
        }
    }
}
