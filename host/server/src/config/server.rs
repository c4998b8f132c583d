use std::net::SocketAddr;

use serde::Deserialize;

use super::ConfigError;

/// Declares every setting of `[server]` once: field, default and what it is.
macro_rules! server_config {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $default:expr;)*) => {
        /// The section `[server]`: where the server listens, and what a client may use of it.
        #[derive(Clone, Debug, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct ServerConfig { $($(#[$doc])* pub $name: $type,)* }

        impl Default for ServerConfig {
            fn default() -> Self { Self { $($name: $default,)* } }
        }
    };
}

server_config! {
    /// Address and port. Port 0 takes any free one.
    listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8808));
    /// Names under which clients reach the server, with or without a port: the `Host` header must be
    /// one of them, so that a web page cannot reach a server on loopback by rebinding its name.
    allowed_hosts: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    /// Origins whose web pages may call, each `scheme://host`, `scheme://host:port` or `scheme://host:*`.
    /// A request that has an `Origin` header with another one is refused.
    allowed_origins: Vec<String> = Vec::new();
    /// What agents are told of this server when they connect.
    instructions: Option<String> = None;
    /// Largest request body, and over stdio the longest message, in bytes (4 MiB).
    body_bytes_max: usize = 4 << 20;
    /// Levels of lists and objects in each other in a request's body; more than 127 are never read.
    json_depth_max: usize = 64;
    /// Largest head of a request (line and headers), in bytes (64 KiB); a larger one gets 431. It is looked
    /// at between reads, so that up to as much again may pass.
    header_bytes_max: usize = 64 << 10;
    /// Headers of a request; more get 431.
    headers_max: usize = 100;
    /// Time to receive a request's body, in seconds.
    body_timeout_s: u64 = 30;
    /// Time to receive a request's headers, in seconds; a connection that stays idle for as long is closed.
    header_timeout_s: u64 = 60;
    /// Time that a client may leave a reply unread, in seconds.
    write_timeout_s: u64 = 30;
    /// Connections at once; a further one waits to be accepted.
    connections_max: usize = 1024;
    /// Connections of one address at once (of IPv6, of one /64 network); a further one is closed. Behind a
    /// proxy all have the proxy's address: make it as many as `connections_max` there.
    connections_per_ip_max: usize = 256;
    /// HTTP requests of one caller under way at once, open streams included; a further one gets 429.
    requests_per_caller_max: usize = 256;
    /// Tool calls that run at once; tenants that wait for a place get one by turns.
    calls_max: usize = 256;
    /// Tool calls of one caller that run at once.
    calls_per_caller_max: usize = 64;
    /// Time that a call beyond these waits for its turn, in milliseconds, before it is told to try again.
    call_queue_timeout_ms: u64 = 5_000;
    /// Sessions of the older protocol revision at once; a further one gets 503.
    sessions_max: usize = 1024;
    /// Sessions of one caller at once; a further one closes the caller's least recently used.
    sessions_per_caller_max: usize = 64;
    /// Time after which an unused session is closed, in seconds.
    session_idle_timeout_s: u64 = 1_800;
    /// Time between saying on `/readyz` that the server stops and refusing connections, in milliseconds.
    shutdown_delay_ms: u64 = 0;
    /// Time that calls under way have to finish when the server is told to stop, in seconds.
    shutdown_grace_s: u64 = 20;
    /// Time that `/readyz` gives what it asks to answer, in milliseconds.
    ready_timeout_ms: u64 = 2_000;
}

impl ServerConfig {
    /// Checks what types cannot say.
    ///
    /// # Errors
    /// Names the key.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let positive = [
            ("body_bytes_max", self.body_bytes_max as u64),
            ("body_timeout_s", self.body_timeout_s),
            ("header_timeout_s", self.header_timeout_s),
            ("write_timeout_s", self.write_timeout_s),
            ("connections_max", self.connections_max as u64),
            ("connections_per_ip_max", self.connections_per_ip_max as u64),
            ("requests_per_caller_max", self.requests_per_caller_max as u64),
            ("calls_max", self.calls_max as u64),
            ("calls_per_caller_max", self.calls_per_caller_max as u64),
            ("sessions_max", self.sessions_max as u64),
            ("sessions_per_caller_max", self.sessions_per_caller_max as u64),
            ("session_idle_timeout_s", self.session_idle_timeout_s),
            ("ready_timeout_ms", self.ready_timeout_ms),
        ];
        for (key, value) in positive {
            // Above this, semaphores and deadlines overflow; nobody means such a value.
            if value == 0 || value > 1 << 32 {
                return Err(ConfigError::value(format!("server.{key}"), "must lie between 1 and 4294967296"));
            }
        }
        if self.shutdown_delay_ms > 600_000 {
            return Err(ConfigError::value("server.shutdown_delay_ms", "must lie between 0 and 600000"));
        }
        // Below the first the library does not start, above the second no parser goes on.
        for (key, value, least, most) in [
            ("header_bytes_max", self.header_bytes_max, 8_192, 1 << 20),
            ("headers_max", self.headers_max, 16, 1_000),
            ("json_depth_max", self.json_depth_max, 8, 127),
        ] {
            if !(least..=most).contains(&value) {
                let problem = format!("must lie between {least} and {most}");
                return Err(ConfigError::value(format!("server.{key}"), problem));
            }
        }
        // For the library, an empty list means that every host is allowed.
        if self.allowed_hosts.is_empty() {
            return Err(ConfigError::value(
                "server.allowed_hosts",
                "is empty; list the names under which clients reach the server",
            ));
        }
        for host in &self.allowed_hosts {
            let bare_v6 = host.parse::<std::net::Ipv6Addr>().is_ok();
            if !bare_v6 && (host.contains('@') || host.parse::<http::uri::Authority>().is_err()) {
                return Err(ConfigError::value(
                    "server.allowed_hosts",
                    "has an entry that is no host name; write `mcp.example.com` or `mcp.example.com:8443`",
                ));
            }
        }
        self.origins().map(drop)
    }

    /// The allowed origins, each with a port: without one the library would match any.
    ///
    /// # Errors
    /// Names the key when an entry is no origin: the library would leave it out in silence.
    pub(crate) fn origins(&self) -> Result<Vec<String>, ConfigError> {
        self.allowed_origins.iter().map(|origin| with_port(origin)).collect::<Option<_>>().ok_or_else(|| {
            ConfigError::value("server.allowed_origins", "has an entry that is no origin; write `https://app.example.com`, with a port where it is not the scheme's own")
        })
    }
}

impl ServerConfig {
    /// Whether a web page of `origin` may call.
    pub(crate) fn allows_origin(&self, origin: &http::HeaderValue) -> bool {
        let Some((origin, with_port)) = origin.to_str().ok().and_then(|text| Some((text, with_port(text)?))) else {
            return false;
        };
        let same_with_any_port = |allowed: &str| {
            let (host, of_page) = (allowed.strip_suffix(":*"), with_port.rsplit_once(':'));
            host.is_some_and(|host| of_page.is_some_and(|(of_page, _)| of_page == host))
        };
        let allowed = self.origins().unwrap_or_default();
        !origin.ends_with('*') && allowed.iter().any(|allowed| *allowed == with_port || same_with_any_port(allowed))
    }
}

fn with_port(origin: &str) -> Option<String> {
    let (scheme, rest) = origin.split_once("://")?;
    let default = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let (host, any) = rest.strip_suffix(":*").map_or((rest, false), |host| (host, true));
    let authority: http::uri::Authority = host.parse().ok()?;
    if host.contains(['@', '/']) || authority.host().is_empty() {
        return None;
    }
    match (any, authority.port_u16()) {
        (true, None) => Some(origin.to_owned()),
        (false, Some(_)) => Some(origin.to_owned()),
        (false, None) if !host.ends_with(':') => Some(format!("{scheme}://{host}:{default}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_get_their_schemes_port() {
        assert_eq!(with_port("https://app.example.com").as_deref(), Some("https://app.example.com:443"));
        assert_eq!(with_port("http://localhost:*").as_deref(), Some("http://localhost:*"));
        assert_eq!(with_port("http://[::1]:3000").as_deref(), Some("http://[::1]:3000"));
        for wrong in
            ["app.example.com", "ftp://a", "https://", "https://a/", "https://u@a", "null", "https://a:1:*", "*"]
        {
            assert_eq!(with_port(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_origin_is_allowed_to_the_letter() {
        let allowed_origins = ["https://app.example.com", "http://localhost:*"].map(str::to_owned).to_vec();
        let config = ServerConfig { allowed_origins, ..ServerConfig::default() };
        let allows = |origin: &str| config.allows_origin(&origin.parse().expect("a header value"));
        for origin in
            ["https://app.example.com", "https://app.example.com:443", "http://localhost", "http://localhost:1"]
        {
            assert!(allows(origin), "{origin}");
        }
        for origin in [
            "null",
            "*",
            "http://app.example.com",
            "https://app.example.com:8443",
            "https://app.example.com.evil.example",
            "https://evil.example",
            "http://localhost:*",
            "http://localhost.evil.example:1",
            "https://localhost",
        ] {
            assert!(!allows(origin), "{origin}");
        }
    }

    #[test]
    fn an_empty_host_list_or_a_zero_limit_is_refused() {
        let config = ServerConfig { allowed_hosts: Vec::new(), ..ServerConfig::default() };
        assert!(config.validate().is_err());
        let config = ServerConfig { calls_max: 0, ..ServerConfig::default() };
        assert!(config.validate().expect_err("0 calls").to_string().contains("server.calls_max"));
        let config = ServerConfig { allowed_hosts: vec!["http://a".into()], ..ServerConfig::default() };
        assert!(config.validate().is_err());
        assert!(ServerConfig::default().validate().is_ok());
    }
}
