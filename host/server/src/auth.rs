//! Who is calling: bearer tokens, compared in constant time, mapped to callers.

use std::{collections::BTreeMap, fmt, sync::Arc};

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use stockade_runtime::Caller;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use tokio::sync::Semaphore;

use crate::config::{CallerConfig, ConfigError, ServerConfig, TokenDigest};

/// Longest token that is looked at, in bytes. Ours have 68.
const TOKEN_BYTES_MAX: usize = 512;

/// A caller that the configuration knows, with its share of the server.
pub struct KnownCaller {
    /// The name of its table in the configuration. Safe to log.
    pub name: Arc<str>,
    /// What tools and the database are told.
    pub caller: Arc<Caller>,
    /// HTTP requests under way at once.
    pub(crate) requests: Arc<Semaphore>,
    /// Tool calls that run at once.
    pub(crate) calls: Arc<Semaphore>,
}

impl fmt::Debug for KnownCaller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownCaller").field("name", &self.name).finish_non_exhaustive()
    }
}

/// All callers, by token and by name.
pub struct Callers {
    /// Scanned whole at every request, so that time tells nothing about how near a guess was. Callers
    /// are listed in a file: they are few.
    tokens: Vec<(TokenDigest, Arc<KnownCaller>)>,
    names: BTreeMap<Arc<str>, Arc<KnownCaller>>,
}

impl fmt::Debug for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callers").field("names", &self.names.keys()).finish_non_exhaustive()
    }
}

impl Callers {
    /// Takes the tables `[callers.*]`.
    ///
    /// # Errors
    /// Names the key of a value that is wrong, or of a token that two callers share.
    pub fn new(configured: &BTreeMap<String, CallerConfig>, server: &ServerConfig) -> Result<Self, ConfigError> {
        let mut callers = Self { tokens: Vec::new(), names: BTreeMap::new() };
        for (name, config) in configured {
            let known = Arc::new(KnownCaller {
                name: Arc::from(name.as_str()),
                caller: Arc::new(config.caller(name)?),
                requests: Arc::new(Semaphore::new(server.requests_per_caller_max)),
                calls: Arc::new(Semaphore::new(server.calls_per_caller_max)),
            });
            if let Some(digest) = config.token_sha256 {
                if callers.tokens.iter().any(|(taken, _)| *taken == digest) {
                    let key = format!("callers.{name}.token_sha256");
                    return Err(ConfigError::value(
                        key,
                        "is another caller's too; give each caller a token of its own",
                    ));
                }
                callers.tokens.push((digest, Arc::clone(&known)));
            }
            callers.names.insert(Arc::clone(&known.name), known);
        }
        Ok(callers)
    }

    /// Whether nobody can come over HTTP.
    #[must_use]
    pub fn no_tokens(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The caller named `name` in the configuration.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<Arc<KnownCaller>> {
        self.names.get(name).cloned()
    }

    /// The caller whose token the request carries. `None` for no token, a wrong one, and anything
    /// that is not exactly one `Authorization: Bearer TOKEN`: all are answered alike.
    #[must_use]
    pub fn authenticate(&self, headers: &HeaderMap) -> Option<Arc<KnownCaller>> {
        let digest = TokenDigest::of(bearer_token(headers)?);
        let mut found = u64::MAX;
        for (index, (known, _)) in (0_u64..).zip(&self.tokens) {
            let same: Choice = known.as_bytes().ct_eq(digest.as_bytes());
            found.conditional_assign(&index, same);
        }
        let (_, caller) = self.tokens.get(usize::try_from(found).ok()?)?;
        Some(Arc::clone(caller))
    }
}

fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim_matches(' ');
    let well_formed = scheme.eq_ignore_ascii_case("Bearer")
        && (1..=TOKEN_BYTES_MAX).contains(&token.len())
        && token.bytes().all(|b| b.is_ascii_graphic());
    well_formed.then_some(token)
}

/// The one answer to a request without a valid token.
#[must_use]
pub fn unauthorized<B: From<&'static str>>() -> Response<B> {
    let mut response = Response::new(B::from(
        "Unauthorized: send `Authorization: Bearer TOKEN` with a token that this server knows.\n",
    ));
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn callers() -> Callers {
        let configured = ["north", "south"].map(|name| {
            let text = format!(
                "token_sha256 = \"{}\"\ntenant = \"acme\"\nprincipal = \"p-{name}\"\nreader_role = \"reader\"",
                TokenDigest::of(&format!("token-{name}")).to_hex(),
            );
            (name.to_owned(), toml::from_str::<CallerConfig>(&text).expect("a caller"))
        });
        Callers::new(&BTreeMap::from(configured), &ServerConfig::default()).expect("callers")
    }

    fn who(values: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().expect("a header value"));
        }
        callers().authenticate(&headers).map(|known| known.name.to_string())
    }

    #[test]
    fn a_token_leads_to_its_caller_and_to_no_other() {
        assert_eq!(who(&["Bearer token-north"]).as_deref(), Some("north"));
        assert_eq!(who(&["bearer token-south"]).as_deref(), Some("south"));
    }

    #[test]
    fn everything_else_leads_nowhere() {
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
            assert_eq!(who(values), None, "{values:?}");
        }
    }

    #[test]
    fn two_callers_cannot_share_a_token() {
        let digest = TokenDigest::of("same").to_hex();
        let text = format!("token_sha256 = \"{digest}\"\ntenant = \"t\"\nprincipal = \"p\"\nreader_role = \"r\"");
        let config: CallerConfig = toml::from_str(&text).expect("a caller");
        let both = BTreeMap::from([("a".to_owned(), config.clone()), ("b".to_owned(), config)]);
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
}
