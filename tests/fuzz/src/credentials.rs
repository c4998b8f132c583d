//! What a client says of itself before anything else is read: the `Authorization` header, and the
//! claims of a token.

use std::{collections::BTreeMap, sync::LazyLock};

use futures::FutureExt as _;
use http::{HeaderMap, HeaderValue, header};
use stockade_server::{
    auth::{Callers, map_claims},
    config::{AccessConfig, CallerConfig, IssuerConfig, ServerConfig, TokenDigest},
};

const TOKEN: &str = "a-token-that-is-known";

static CALLERS: LazyLock<Callers> = LazyLock::new(|| {
    let text = format!(
        "token_sha256 = '{}'\ntenant = 'acme'\nprincipal = 'p'\nreader_role = 'reader'",
        TokenDigest::of(TOKEN).to_hex()
    );
    let caller: CallerConfig = toml::from_str(&text).expect("a caller");
    callers("office", caller).expect("callers")
});

static ISSUER: LazyLock<IssuerConfig> = LazyLock::new(|| {
    let text = "issuer = 'https://id.example'\njwks_file = 'keys.json'\nalgorithms = ['ES256']\n\
        tenant_claim = '/org/id'\ntenants = { a = 'acme' }\n[roles.clerk]\nreader_role = 'reader'";
    toml::from_str(text).expect("an issuer")
});

fn callers(name: &str, caller: CallerConfig) -> Option<Callers> {
    let callers = BTreeMap::from([(name.to_owned(), caller)]);
    Callers::new(&AccessConfig { callers, ..AccessConfig::default() }, &ServerConfig::default()).ok()
}

/// Authenticates with the bytes as headers, a line for each, and reads them as a caller's table and as claims.
pub fn read(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(header::AUTHORIZATION, value);
        }
    }
    // Without an issuer there is nothing to wait for.
    if let Some(Ok(_)) = CALLERS.authenticate(&headers).now_or_never() {
        let values: Vec<_> = headers.values().collect();
        let one = matches!(values.as_slice(), [value] if value.to_str().is_ok_and(|text| text.contains(TOKEN)));
        assert!(one, "let in: {values:?}");
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(caller) = toml::from_str::<CallerConfig>(text)
    {
        drop(callers("one", caller));
    }
    if let Ok(claims) = serde_json::from_slice(bytes)
        && let Ok((caller, _)) = map_claims(&ISSUER, &claims)
    {
        assert_eq!(caller.identity.tenant.to_string(), "acme", "the only tenant that is mapped");
    }
}
