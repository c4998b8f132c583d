//! What a client says of itself before anything else is read: the `Authorization` header. A mapping
//! of claims to callers is read here too where the server has one.

use std::{collections::BTreeMap, sync::LazyLock};

use http::{HeaderMap, HeaderValue, header};
use stockade_server::{
    auth::Callers,
    config::{CallerConfig, ServerConfig, TokenDigest},
};

const TOKEN: &str = "a-token-that-is-known";

static CALLERS: LazyLock<Callers> = LazyLock::new(|| {
    let text = format!(
        "token_sha256 = '{}'\ntenant = 'acme'\nprincipal = 'p'\nreader_role = 'reader'",
        TokenDigest::of(TOKEN).to_hex()
    );
    let caller: CallerConfig = toml::from_str(&text).expect("a caller");
    Callers::new(&BTreeMap::from([("office".to_owned(), caller)]), &ServerConfig::default()).expect("callers")
});

/// Authenticates with the bytes as headers, a line for each, and reads them as a caller's table.
pub fn read(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(header::AUTHORIZATION, value);
        }
    }
    if CALLERS.authenticate(&headers).is_some() {
        let values: Vec<_> = headers.values().collect();
        let one = matches!(values.as_slice(), [value] if value.to_str().is_ok_and(|text| text.contains(TOKEN)));
        assert!(one, "let in: {values:?}");
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(caller) = toml::from_str::<CallerConfig>(text)
    {
        let configured = BTreeMap::from([("one".to_owned(), caller)]);
        drop(Callers::new(&configured, &ServerConfig::default()));
    }
}
