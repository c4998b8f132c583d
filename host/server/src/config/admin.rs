use std::{net::SocketAddr, path::PathBuf};

use serde::Deserialize;

use super::{ConfigError, ServerConfig, TokenDigest};
use crate::http::ListenAddress;

/// The section `[admin]`: where operators ask and act, by a credential of their own. Without `listen` there
/// is no such place.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdminConfig {
    /// Address and port, or `unix:PATH`. Default none: off.
    #[serde(deserialize_with = "address")]
    pub listen: Option<ListenAddress>,
    /// SHA-256 of the operators' bearer token, 64 hexadecimal digits. `stockade token new` prints both.
    pub token_sha256: Option<TokenDigest>,
    /// Whether `listen` may be an address that other machines reach. Default false.
    pub accept_remote: bool,
    /// Connections at once; a further one waits to be accepted. Default 16.
    pub connections_max: usize,
    /// Time to receive a request's headers, in seconds; a connection that stays idle for as long is
    /// closed. Default 10.
    pub header_timeout_s: u64,
    /// Time between two looks at each embedding model, in seconds. Default 60.
    pub embedder_probe_s: u64,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self {
            listen: None,
            token_sha256: None,
            accept_remote: false,
            connections_max: 16,
            header_timeout_s: 10,
            embedder_probe_s: 60,
        }
    }
}

fn address<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<ListenAddress>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
        return Ok(Some(ListenAddress::Unix(path.into())));
    }
    text.parse::<SocketAddr>().map(|address| Some(ListenAddress::Tcp(address))).map_err(|_| {
        serde::de::Error::custom("`listen` of [admin] must be an address and port, `127.0.0.1:8809`, or `unix:PATH`")
    })
}

impl AdminConfig {
    /// What the listener takes, as the public one's settings.
    pub(crate) fn limits(&self) -> ServerConfig {
        ServerConfig {
            connections_max: self.connections_max,
            connections_per_ip_max: self.connections_max,
            header_timeout_s: self.header_timeout_s,
            header_bytes_max: 8_192,
            ..ServerConfig::default()
        }
    }

    /// The token's digest, where there is a listener.
    ///
    /// # Errors
    /// Names the key that is missing or wrong, and says what to write.
    pub(super) fn validate(&self) -> Result<Option<TokenDigest>, ConfigError> {
        for (key, value) in [
            ("connections_max", self.connections_max as u64),
            ("header_timeout_s", self.header_timeout_s),
            ("embedder_probe_s", self.embedder_probe_s),
        ] {
            if value == 0 || value > 65_536 {
                return Err(ConfigError::value(format!("admin.{key}"), "must lie between 1 and 65536"));
            }
        }
        let Some(listen) = &self.listen else { return Ok(None) };
        if let ListenAddress::Tcp(address) = listen
            && !address.ip().is_loopback()
            && !self.accept_remote
        {
            return Err(ConfigError::value(
                "admin.listen",
                "can be reached from other machines, and what is said there is not encrypted; use 127.0.0.1 or \
                 `unix:PATH`, or put it behind TLS or into a network of its own and set `accept_remote = true`",
            ));
        }
        self.token_sha256.map(Some).ok_or_else(|| {
            ConfigError::value(
                "admin.token_sha256",
                "is missing; operators need a token of their own: `stockade token new`",
            )
        })
    }

    /// The path that is named relative to the configuration's folder.
    pub(super) fn path(&mut self) -> Option<&mut PathBuf> {
        match &mut self.listen {
            Some(ListenAddress::Unix(path)) => Some(path),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        let read = toml::from_str::<AdminConfig>(text).map_err(|error| error.message().to_owned());
        read.and_then(|config| config.validate().map_err(|error| error.to_string())).err().unwrap_or_default()
    }

    #[test]
    fn a_place_for_operators_needs_its_own_token_and_no_strangers() {
        let token = format!("token_sha256 = '{}'\n", TokenDigest::of("t").to_hex());
        assert_eq!(problem(""), "", "off");
        for listen in ["127.0.0.1:0", "[::1]:8809", "unix:admin.sock"] {
            assert_eq!(problem(&format!("{token}listen = '{listen}'")), "", "{listen}");
            assert!(problem(&format!("listen = '{listen}'")).contains("admin.token_sha256"), "{listen}");
        }
        assert!(problem(&format!("{token}listen = '0.0.0.0:8809'")).contains("accept_remote = true"));
        assert_eq!(problem(&format!("{token}listen = '0.0.0.0:8809'\naccept_remote = true")), "");
        assert!(problem("listen = '0.0.0.0:8809'\naccept_remote = true").contains("admin.token_sha256"));
        for wrong in ["", "unix:", "8809", "localhost:8809"] {
            assert!(problem(&format!("{token}listen = '{wrong}'")).contains("unix:PATH"), "{wrong}");
        }
        assert!(problem("connections_max = 0").contains("admin.connections_max"));
    }
}
