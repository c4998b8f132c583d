use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures::Stream;
use rmcp::{
    model::{ClientJsonRpcMessage, GetExtensions as _, ServerJsonRpcMessage},
    transport::streamable_http_server::{
        SessionId, SessionManager,
        session::{
            ServerSseMessage,
            local::{LocalSessionManager, LocalSessionManagerError, SessionError, SessionTransport},
        },
    },
};

use tokio_util::sync::CancellationToken;

use super::{
    Exchange, Trouble,
    ids::{Ids, UntilEnd},
};
use crate::{
    auth::KnownCaller,
    config::ServerConfig,
    telemetry::{Metrics, Session},
};

/// The sessions of the older revisions, each bound to the caller that opened it.
///
/// The library can serve those revisions without sessions, but then it drops `notifications/cancelled`
/// and has no stream for `tools/list_changed`. Its own sessions have no owner and no bound: whoever
/// knows an id can read, use and close the session, and ids cost nothing. So: every operation is for
/// the owner alone, and another caller's session is answered as one that does not exist.
pub(crate) struct OwnedSessions {
    inner: Arc<LocalSessionManager>,
    owned: Mutex<HashMap<SessionId, Owned>>,
    sessions_max: usize,
    per_caller_max: usize,
    metrics: Metrics,
}

struct Owned {
    caller: Arc<str>,
    tenant: Arc<str>,
    /// As [`KnownCaller::gone`].
    gone: CancellationToken,
    used: Instant,
    ids: Ids,
    _timed: Session,
}

/// Why a session operation failed. The texts are ours: the library sends them to clients.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionFailure {
    #[error("no room for a further session")]
    Full,
    #[error("no such session")]
    Unknown,
    #[error("a request with this id is under way")]
    IdInUse,
    #[error("the session failed")]
    Inner(#[source] LocalSessionManagerError),
}

impl SessionFailure {
    fn inner(error: LocalSessionManagerError) -> Self {
        let gone = matches!(
            error,
            LocalSessionManagerError::SessionNotFound(_)
                | LocalSessionManagerError::SessionError(SessionError::SessionServiceTerminated)
        );
        if gone {
            Exchange::note(Trouble::SessionGone);
            return Self::Unknown;
        }
        Self::Inner(error)
    }
}

impl OwnedSessions {
    pub(crate) fn new(config: &ServerConfig, metrics: Metrics) -> Self {
        let mut inner = LocalSessionManager::default();
        inner.session_config.keep_alive = Some(Duration::from_secs(config.session_idle_timeout_s));
        Self {
            inner: Arc::new(inner),
            owned: Mutex::new(HashMap::new()),
            sessions_max: config.sessions_max,
            per_caller_max: config.sessions_per_caller_max,
            metrics,
        }
    }

    fn owned(&self) -> MutexGuard<'_, HashMap<SessionId, Owned>> {
        self.owned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the caller of the request that runs here owns the session; if so, the session is in use.
    fn is_own(&self, id: &SessionId) -> bool {
        self.own_ids(id).is_some()
    }

    /// The ids in use, if the session is the caller's own.
    fn own_ids(&self, id: &SessionId) -> Option<Ids> {
        let known = Exchange::caller()?;
        let mut owned = self.owned();
        let session = owned.get_mut(id).filter(|session| session.caller == known.id && !session.gone.is_cancelled())?;
        session.used = Instant::now();
        Some(session.ids.clone())
    }

    fn check_own(&self, id: &SessionId) -> Result<Ids, SessionFailure> {
        self.own_ids(id).ok_or_else(|| {
            Exchange::note(Trouble::SessionGone);
            SessionFailure::Unknown
        })
    }

    /// Enters a new session. Returns the one that makes room for it, if the caller has its fill: many
    /// clients never close theirs, and refusing would lock a caller out until the old ones expire.
    fn enter(&self, id: &SessionId, known: &KnownCaller) -> Result<Option<SessionId>, SessionFailure> {
        let mut owned = self.owned();
        let own = owned.iter().filter(|(_, session)| session.caller == known.id);
        let oldest = if own.clone().count() < self.per_caller_max {
            None
        } else {
            own.min_by_key(|(_, session)| session.used).map(|(id, _)| Arc::clone(id))
        };
        if known.gone.is_cancelled() {
            return Err(SessionFailure::Unknown);
        }
        let (tenant, tenant_max) = (&known.tenant.name, known.tenant.limits.sessions_max);
        let of_tenant = || owned.values().filter(|session| session.tenant == *tenant).count();
        if oldest.is_none() && (owned.len() >= self.sessions_max || of_tenant() >= tenant_max) {
            return Err(SessionFailure::Full);
        }
        if let Some(oldest) = &oldest {
            owned.remove(oldest);
        }
        let (caller, tenant, gone) = (Arc::clone(&known.id), Arc::clone(tenant), known.gone.clone());
        let (used, ids, _timed) = (Instant::now(), Ids::default(), self.metrics.session("tcp"));
        let session = Owned { caller, tenant, gone, used, ids, _timed };
        owned.insert(Arc::clone(id), session);
        Ok(oldest)
    }

    /// Closes the sessions of callers who are gone.
    pub(crate) fn close_gone(&self) {
        let gone: Vec<SessionId> = {
            let mut owned = self.owned();
            let gone = owned.extract_if(|_, session| session.gone.is_cancelled());
            gone.map(|(id, _)| id).collect()
        };
        gone.into_iter().for_each(|id| self.close_behind(id));
    }

    /// Closing waits for the session's worker, which may wait for a client: not here.
    fn close_behind(&self, id: SessionId) {
        let inner = Arc::clone(&self.inner);
        tokio::spawn(async move { inner.close_session(&id).await });
    }
}

impl SessionManager for OwnedSessions {
    type Error = SessionFailure;
    type Transport = SessionTransport;

    async fn create_session(&self) -> Result<(SessionId, Self::Transport), Self::Error> {
        let known = Exchange::caller().ok_or(SessionFailure::Unknown)?;
        let (id, transport) = self.inner.create_session().await.map_err(SessionFailure::inner)?;
        // From here on nothing waits: the library closes what it gets, and this closes what it does not.
        match self.enter(&id, &known) {
            Ok(None) => {}
            Ok(Some(oldest)) => {
                tracing::warn!(
                    caller = &*known.name,
                    "session closed: the caller opened more than sessions_per_caller_max"
                );
                self.close_behind(oldest);
            }
            Err(failure) => {
                let full = matches!(failure, SessionFailure::Full);
                Exchange::note(if full { Trouble::SessionsFull } else { Trouble::SessionGone });
                self.close_behind(id);
                return Err(failure);
            }
        }
        Ok((id, transport))
    }

    async fn initialize_session(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, Self::Error> {
        self.check_own(id)?;
        self.inner.initialize_session(id, message).await.map_err(SessionFailure::inner)
    }

    async fn has_session(&self, id: &SessionId) -> Result<bool, Self::Error> {
        Ok(self.is_own(id) && self.inner.has_session(id).await.map_err(SessionFailure::inner)?)
    }

    async fn close_session(&self, id: &SessionId) -> Result<(), Self::Error> {
        // Outside of a request it is the library, whose worker for the session has ended. In one it is
        // a client's DELETE, which is answered alike for a session that is not there and for another's.
        if Exchange::caller().is_some() && !self.is_own(id) {
            return Ok(());
        }
        self.owned().remove(id);
        self.inner.close_session(id).await.map_err(SessionFailure::inner)
    }

    async fn create_stream(
        &self,
        id: &SessionId,
        mut message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        let ids = self.check_own(id)?;
        // The library asks for a stream for requests alone.
        let ClientJsonRpcMessage::Request(request) = &mut message else { return Err(SessionFailure::Unknown) };
        let Some(used) = ids.take(&request.id) else {
            Exchange::note(Trouble::IdInUse);
            return Err(SessionFailure::IdInUse);
        };
        // A handler that was cancelled answers all the same, later: to nobody, as long as no other has the id.
        request.request.extensions_mut().insert(Arc::clone(&used));
        let stream = self.inner.create_stream(id, message).await.map_err(SessionFailure::inner)?;
        Ok(UntilEnd::new(stream, used))
    }

    async fn accept_message(&self, id: &SessionId, message: ClientJsonRpcMessage) -> Result<(), Self::Error> {
        self.check_own(id)?;
        self.inner.accept_message(id, message).await.map_err(SessionFailure::inner)
    }

    async fn create_standalone_stream(
        &self,
        id: &SessionId,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        self.check_own(id)?;
        self.inner.create_standalone_stream(id).await.map_err(SessionFailure::inner)
    }

    async fn resume(
        &self,
        id: &SessionId,
        last_event_id: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        self.check_own(id)?;
        self.inner.resume(id, last_event_id).await.map_err(SessionFailure::inner)
    }
}
