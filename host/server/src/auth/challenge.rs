use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::config::OauthConfig;

/// Where RFC 9728 puts the metadata of a resource, before the resource's own path.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
const UNAUTHORIZED: &str = "Unauthorized: send `Authorization: Bearer TOKEN` with a token that this server knows.\n";
const FORBIDDEN: &str = "Forbidden: the token lacks a scope; WWW-Authenticate lists what is needed.\n";

/// What this server says of itself to those whom it does not let in.
#[derive(Debug)]
pub(crate) struct Challenge {
    /// Parameters of every challenge, after `Bearer`.
    parameters: String,
    unauthorized: HeaderValue,
    metadata: Option<Metadata>,
}

#[derive(Debug)]
struct Metadata {
    /// Beside the root, the path where the document stands.
    path: String,
    document: String,
}

impl Challenge {
    /// Without `[oauth]` there is nothing to point at.
    pub(crate) fn new(oauth: Option<&OauthConfig>) -> Self {
        let Some((oauth, resource)) = oauth.and_then(|o| Some((o, crate::config::url_of(&o.resource)?))) else {
            return Self {
                parameters: String::new(),
                unauthorized: HeaderValue::from_static("Bearer"),
                metadata: None,
            };
        };
        let path = format!("{WELL_KNOWN}{}", resource.path().trim_end_matches('/'));
        let parameters = format!("resource_metadata=\"{}{path}\"", resource.origin().ascii_serialization());
        let scopes = oauth.scopes_required.join(" ");
        let scope = if scopes.is_empty() { String::new() } else { format!(", scope=\"{scopes}\"") };
        let metadata = Some(Metadata { path, document: document(oauth).to_string() });
        Self { unauthorized: value(&format!("Bearer {parameters}{scope}")), parameters, metadata }
    }

    /// The one answer to a request without a valid token, whatever is wrong with it.
    pub(crate) fn unauthorized<B: From<&'static str>>(&self) -> Response<B> {
        refusal(StatusCode::UNAUTHORIZED, self.unauthorized.clone(), UNAUTHORIZED)
    }

    /// The answer to a valid token that lacks a scope (RFC 6750, section 3.1). `needed` is all that the
    /// request needs: a client that asks for just these has all missing ones at once, and loses none.
    pub(crate) fn insufficient_scope<B: From<&'static str>>(&self, needed: &[&str]) -> Response<B> {
        let needed = needed.join(" ");
        let rest = if self.parameters.is_empty() { String::new() } else { format!(", {}", self.parameters) };
        let header = value(&format!("Bearer error=\"insufficient_scope\", scope=\"{needed}\"{rest}"));
        refusal(StatusCode::FORBIDDEN, header, FORBIDDEN)
    }

    /// The metadata (RFC 9728), if they stand at `path`.
    pub(crate) fn metadata_at(&self, path: &str) -> Option<&str> {
        let metadata = self.metadata.as_ref()?;
        (path == WELL_KNOWN || path == metadata.path).then_some(metadata.document.as_str())
    }
}

fn document(oauth: &OauthConfig) -> Value {
    let issuers: Vec<_> = oauth.issuers.values().map(|issuer| issuer.issuer.as_str()).collect();
    let mut document = json!({
        "resource": oauth.resource,
        "authorization_servers": issuers,
        "bearer_methods_supported": ["header"],
        "resource_name": "Stockade",
    });
    let scopes: std::collections::BTreeSet<_> =
        oauth.scopes_required.iter().chain(oauth.tool_scopes.values().flatten()).collect();
    if let (Some(document), false) = (document.as_object_mut(), scopes.is_empty()) {
        document.insert("scopes_supported".to_owned(), json!(scopes));
    }
    document
}

/// The parts come from the checked configuration; one that still is no header challenges plainly.
fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("Bearer"))
}

fn refusal<B: From<&'static str>>(status: StatusCode, challenge: HeaderValue, text: &'static str) -> Response<B> {
    let mut response = Response::new(B::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
