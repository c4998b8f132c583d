//! What a client hears between a request and its answer, or between requests.

use std::{sync::Arc, time::Duration};

use rmcp::{
    Peer, RoleServer,
    model::{ProgressNotificationParam, ProgressToken},
    service::SubscriptionContext,
};
use stockade_runtime::{CallError, Invocation, Progress, ToolOutput};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Shared, lists};
use crate::auth::KnownCaller;

/// Reports of one call that may wait for a slow client; the tool's further ones are dropped.
const PROGRESS_BUFFER: usize = 16;
/// Time that a finished call gives the client to take its last reports, before it gets the result.
const PROGRESS_DRAIN: Duration = Duration::from_secs(1);

/// Runs the call, and passes its reports of progress on while it runs: a client that is slow to take
/// them does not hold the call up.
pub(super) async fn call_with_progress(
    shared: &Shared,
    mut invocation: Invocation,
    peer: &Peer<RoleServer>,
    token: ProgressToken,
) -> Result<ToolOutput, CallError> {
    let (sender, receiver) = mpsc::channel(PROGRESS_BUFFER);
    invocation.progress = Some(sender);
    let mut forward = std::pin::pin!(forward(receiver, peer, token));
    let mut call = shared.tools.call(invocation);
    tokio::select! {
        biased;
        output = &mut call => {
            // The last reports come before the result, and none comes after it.
            let _ = tokio::time::timeout(PROGRESS_DRAIN, forward).await;
            output
        }
        // The tool can report no more, or nobody takes it.
        () = &mut forward => call.await,
    }
}

async fn forward(mut reports: mpsc::Receiver<Progress>, peer: &Peer<RoleServer>, token: ProgressToken) {
    let mut last = f64::NEG_INFINITY;
    while let Some(Progress { done, total, message }) = reports.recv().await {
        // Clients rely on growth, and JSON has no number for the rest.
        if !done.is_finite() || done <= last {
            continue;
        }
        last = done;
        let mut param = ProgressNotificationParam::new(token.clone(), done);
        param.total = total.filter(|total| total.is_finite());
        param.message = message;
        if peer.notify_progress(param).await.is_err() {
            return;
        }
    }
}

/// Tells a session of the older revisions when its caller's tools change, until `ended`.
pub(super) async fn tell_session(
    shared: Arc<Shared>,
    known: Arc<KnownCaller>,
    seen: u64,
    peer: Peer<RoleServer>,
    ended: CancellationToken,
) {
    let work = on_change(&shared, &known, seen, || async { peer.notify_tool_list_changed().await.is_ok() });
    tokio::select! {
        () = ended.cancelled() => {}
        () = shared.stopping.cancelled() => {}
        () = work => {}
    }
}

/// Tells a subscription of the newer revision when its caller's tools change, until either side ends it.
pub(super) async fn tell_subscription(
    shared: &Shared,
    known: &KnownCaller,
    seen: u64,
    subscription: &SubscriptionContext,
) {
    let sink = subscription.sink();
    let work = on_change(shared, known, seen, || async { sink.notify_tool_list_changed().await.is_ok() });
    tokio::select! {
        () = subscription.cancelled() => {}
        () = shared.stopping.cancelled() => {}
        () = work => {}
    }
}

/// Calls `tell` whenever what `known` sees has changed, from version `seen` on, as long as it succeeds.
/// A change that this caller does not see is none of its business.
async fn on_change<F: Future<Output = bool>>(shared: &Shared, known: &KnownCaller, seen: u64, tell: impl Fn() -> F) {
    let mut changes = shared.changes.clone();
    let mut told = lists::tools_of(shared, known);
    // Between `seen` and here the list may have changed, and `told` is the list after it.
    if *changes.borrow_and_update() != seen && !tell().await {
        return;
    }
    while changes.changed().await.is_ok() {
        let now = lists::tools_of(shared, known);
        if now == told {
            continue;
        }
        told = now;
        if !tell().await {
            return;
        }
    }
}
