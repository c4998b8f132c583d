//! The ids of a session's requests.
//!
//! Clients must not use one twice. The library relies on it: of two requests with one id it answers one, and keeps
//! what belongs to the other as long as the session lasts.

use std::{
    collections::HashSet,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use futures::{Stream, StreamExt as _};
use rmcp::model::RequestId;

/// The ids that are in use in one session.
#[derive(Clone, Default)]
pub(super) struct Ids(Arc<Mutex<HashSet<RequestId>>>);

/// An id in use, until it is dropped.
pub(super) struct UsedId {
    ids: Ids,
    id: RequestId,
}

impl Ids {
    fn used(&self) -> MutexGuard<'_, HashSet<RequestId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` where it is in use.
    pub(super) fn take(&self, id: &RequestId) -> Option<Arc<UsedId>> {
        let is_new = self.used().insert(id.clone());
        is_new.then(|| Arc::new(UsedId { ids: self.clone(), id: id.clone() }))
    }
}

impl Drop for UsedId {
    fn drop(&mut self) {
        self.ids.used().remove(&self.id);
    }
}

/// The messages that belong to a request. Dropped before its end, because the client has left, the stream is read to
/// its end all the same: until the library has sent the answer, the id is in use.
pub(super) struct UntilEnd<S: Stream + Send + Unpin + 'static>(Option<(S, Arc<UsedId>)>);

impl<S: Stream + Send + Unpin + 'static> UntilEnd<S> {
    pub(super) fn new(stream: S, id: Arc<UsedId>) -> Self {
        Self(Some((stream, id)))
    }
}

impl<S: Stream + Send + Unpin + 'static> Stream for UntilEnd<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let Some((stream, _)) = &mut self.0 else { return Poll::Ready(None) };
        let next = stream.poll_next_unpin(cx);
        if let Poll::Ready(None) = next {
            self.0 = None;
        }
        next
    }
}

impl<S: Stream + Send + Unpin + 'static> Drop for UntilEnd<S> {
    fn drop(&mut self) {
        // Without a runtime there is no session any more either.
        if let (Some((stream, id)), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move {
                stream.for_each(|_| std::future::ready(())).await;
                drop(id);
            });
        }
    }
}
