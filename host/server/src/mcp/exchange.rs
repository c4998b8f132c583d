use std::{
    cell::Cell,
    collections::BTreeSet,
    future::Future,
    sync::{Arc, OnceLock},
    time::Duration,
};

use rmcp::{RoleServer, service::RequestContext};
use tokio::sync::OwnedSemaphorePermit;

use crate::auth::{Callers, KnownCaller};

/// A request's places among its caller's and its tenant's.
pub(crate) type Share = (OwnedSemaphorePermit, OwnedSemaphorePermit);

/// What the HTTP request of a message knows, and learns, of a call: it travels with the message to the
/// handler, which for the older revisions runs in the session and not in the request.
pub(crate) struct HttpSide {
    callers: Arc<Callers>,
    scopes: Arc<BTreeSet<String>>,
    /// In a session, a call goes on without the client that sent it, and its message takes up room for as long.
    _share: Share,
    /// Set by a call that was refused for now.
    pub(crate) retry_after: OnceLock<Duration>,
}

impl HttpSide {
    pub(crate) fn new(callers: Arc<Callers>, scopes: Arc<BTreeSet<String>>, share: Share) -> Arc<Self> {
        Arc::new(Self { callers, scopes, _share: share, retry_after: OnceLock::new() })
    }

    /// Of the message that `context` belongs to. `None` over stdio.
    pub(super) fn of(context: &RequestContext<RoleServer>) -> Option<&Self> {
        let parts = context.extensions.get::<http::request::Parts>()?;
        parts.extensions.get::<Arc<Self>>().map(Arc::as_ref)
    }

    /// The session that a message came in, which is its owner's alone: whoever reads the id can do nothing with it.
    pub(super) fn session_of(context: &RequestContext<RoleServer>) -> Option<&str> {
        let parts = context.extensions.get::<http::request::Parts>()?;
        parts.headers.get("mcp-session-id")?.to_str().ok()
    }

    /// All scopes that a request, or a call of `tool`, needs, if the request's token lacks one of them.
    pub(crate) fn lacking(&self, tool: Option<&str>) -> Option<Vec<&str>> {
        self.callers.lacking(&self.scopes, tool)
    }
}

/// What went wrong below the library, which would answer all of it with a 500.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// No room for a further session.
    SessionsFull,
    /// The session ended while the request was on its way to it.
    SessionGone,
    /// The session has a request of this id under way.
    IdInUse,
}

/// One HTTP request and its answer. The library hands neither the caller to the session manager nor
/// the request to the handler's factory; both run inside the request's own future, so they find the
/// caller here.
pub(crate) struct Exchange {
    caller: Arc<KnownCaller>,
    trouble: Cell<Option<Trouble>>,
}

tokio::task_local! {
    static CURRENT: Exchange;
}

impl Exchange {
    /// Runs `work` as `caller`, and says what trouble it noted.
    pub(crate) async fn scope<T>(caller: Arc<KnownCaller>, work: impl Future<Output = T>) -> (T, Option<Trouble>) {
        let exchange = Self { caller, trouble: Cell::new(None) };
        CURRENT
            .scope(exchange, async {
                let output = work.await;
                (output, CURRENT.with(|current| current.trouble.take()))
            })
            .await
    }

    /// The caller of the request that runs here. `None` outside of any request: there is no default.
    pub(crate) fn caller() -> Option<Arc<KnownCaller>> {
        CURRENT.try_with(|current| Arc::clone(&current.caller)).ok()
    }

    pub(crate) fn note(trouble: Trouble) {
        // Outside of a request nobody waits for an answer.
        let _ = CURRENT.try_with(|current| current.trouble.set(Some(trouble)));
    }
}
