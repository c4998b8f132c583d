//! An authorization server, as far as a resource server sees it: its keys over HTTP.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{StatusCode, header::LOCATION},
    response::{IntoResponse, Response},
    routing::get,
};
use futures::StreamExt as _;
use serde_json::{Value, json};
use stockade_server::config::AccessConfig;
use tokio::sync::Semaphore;

use crate::{harness::caller, signing::TestKey};

pub(crate) const ISSUER: &str = "https://id.example.com";
pub(crate) const RESOURCE: &str = "https://mcp.example.com/mcp";

/// What the server answers.
#[derive(Clone)]
pub(crate) enum Answer {
    Keys(Vec<Value>),
    /// The same, once for each permit of `gate`.
    KeysWhenTold(Vec<Value>),
    Text(&'static str),
    Status(StatusCode),
    RedirectTo(String),
    Megabytes(usize),
    Nothing,
}

pub(crate) struct Issuer {
    pub(crate) url: String,
    pub(crate) state: Arc<IssuerState>,
}

pub(crate) struct IssuerState {
    answer: Mutex<Answer>,
    asked: AtomicUsize,
    megabytes: AtomicUsize,
    pub(crate) gate: Semaphore,
}

impl Issuer {
    pub(crate) async fn start(answer: Answer) -> Self {
        let state = Arc::new(IssuerState {
            answer: Mutex::new(answer),
            asked: AtomicUsize::new(0),
            megabytes: AtomicUsize::new(0),
            gate: Semaphore::new(0),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/keys", listener.local_addr().expect("an address"));
        let router = Router::new().route("/keys", get(keys)).with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, state }
    }

    pub(crate) async fn with(keys: &[&TestKey]) -> Self {
        Self::start(Answer::Keys(jwks(keys))).await
    }

    pub(crate) fn now_answers(&self, answer: Answer) {
        *self.state.answer.lock().expect("no panic") = answer;
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.state.asked.load(Ordering::SeqCst)
    }

    /// Megabytes that it has sent.
    pub(crate) fn megabytes(&self) -> usize {
        self.state.megabytes.load(Ordering::SeqCst)
    }
}

pub(crate) fn jwks(keys: &[&TestKey]) -> Vec<Value> {
    keys.iter().map(|key| key.jwk()).collect()
}

async fn keys(State(state): State<Arc<IssuerState>>) -> Response {
    state.asked.fetch_add(1, Ordering::SeqCst);
    let answer = state.answer.lock().expect("no panic").clone();
    match answer {
        Answer::Keys(keys) => json!({ "keys": keys }).to_string().into_response(),
        Answer::KeysWhenTold(keys) => {
            state.gate.acquire().await.expect("open").forget();
            json!({ "keys": keys }).to_string().into_response()
        }
        Answer::Text(text) => text.into_response(),
        Answer::Status(status) => status.into_response(),
        Answer::RedirectTo(url) => (StatusCode::FOUND, [(LOCATION, url)]).into_response(),
        Answer::Megabytes(count) => {
            let chunks = futures::stream::iter(0..count).map(move |_| {
                state.megabytes.fetch_add(1, Ordering::SeqCst);
                Ok::<_, std::io::Error>(vec![b' '; 1 << 20])
            });
            Body::from_stream(chunks).into_response()
        }
        Answer::Nothing => std::future::pending().await,
    }
}

/// The callers of the tests, with `[oauth]` that trusts the keys at `jwks`: a line `jwks_url = …` or
/// `jwks_file = …`, and others of the issuer's table.
pub(crate) fn access(jwks: &str) -> AccessConfig {
    let text = format!(
        "resource = '{RESOURCE}'\nscopes_required = ['tools:call']\n\
         tool_scopes = {{ fail = ['tools:break', 'tools:fail'], hidden = ['tools:hidden'] }}\n\
         [issuers.id]\nissuer = '{ISSUER}'\n{jwks}\n\
         tenant_claim = '/org'\ntenants = {{ o1 = 'acme', o2 = 'zeta' }}\n\
         [issuers.id.roles]\nreader = {{ reader_role = 'reader' }}\nadmin = {{ reader_role = 'admin_reader' }}\n"
    );
    let oauth = Some(toml::from_str(&text).expect("a section"));
    AccessConfig { callers: [caller("west", "zeta")].into(), oauth, ..AccessConfig::default() }
}

/// Seconds since 1970, and `more`.
pub(crate) fn in_seconds(more: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    i64::try_from(now).expect("before the end") + more
}

/// The claims of a token that is let in.
pub(crate) fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": RESOURCE, "exp": in_seconds(300), "nbf": in_seconds(-5), "iat": in_seconds(-5),
        "sub": "p-ann", "org": "o1", "roles": ["reader", "offline_access"], "scope": "openid tools:call", "name": "Ann",
    })
}

/// `claims` with one that is different, or absent.
pub(crate) fn claims_but(pointer: &str, value: Option<Value>) -> Value {
    let mut claims = claims();
    match value {
        Some(value) => claims[pointer] = value,
        None => drop(claims.as_object_mut().expect("an object").remove(pointer)),
    }
    claims
}
