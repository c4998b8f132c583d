//! The operators' side: a listener of its own, with a credential of its own. Agents never administer: no
//! caller's token is known here, and the operators' token is no caller's.

mod embedders;
mod health;
mod operator;
mod routes;

pub(crate) use operator::{Front, Operator};

use std::{sync::Arc, time::Duration};

use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    config::AdminConfig,
    http::{ListenAddress, Listener, Socket},
    server::StartError,
};

/// Time that requests under way get when the host stops.
const LAST_REQUESTS: Duration = Duration::from_secs(1);

/// Takes the address, before anything is served.
///
/// # Errors
/// The address is taken, or the socket's folder cannot be written to.
pub(crate) async fn bind(address: &ListenAddress) -> Result<Bound, StartError> {
    let failed = |reason| StartError::ListenAdmin { address: address.clone(), reason };
    let socket = Socket::bind(address).await.map_err(failed)?;
    let local_addr = socket.local_addr().map_err(failed)?;
    Ok(Bound { socket, local_addr })
}

/// An address that is taken and not yet served.
pub(crate) struct Bound {
    socket: Socket,
    local_addr: ListenAddress,
}

/// Serves operators until it is shut down or dropped.
pub(crate) fn serve(config: &AdminConfig, bound: Bound, operator: Arc<Operator>) -> RunningAdmin {
    let Bound { socket, local_addr } = bound;
    let stopping = CancellationToken::new();
    operator.watch_embedders(Duration::from_secs(config.embedder_probe_s), stopping.clone());
    let router = routes::router(operator);
    let listener = Arc::new(Listener::new(router, &config.limits(), stopping.clone()).for_operators());
    let accepting = tokio::spawn(Arc::clone(&listener).run(socket));
    tracing::info!(address = %local_addr, "serving operators");
    let guards = [&stopping, &listener.ending].map(|token| token.clone().drop_guard());
    RunningAdmin { local_addr, listener, accepting, stopping, _guards: guards }
}

/// The operators' listener.
pub(crate) struct RunningAdmin {
    pub(crate) local_addr: ListenAddress,
    listener: Arc<Listener>,
    accepting: JoinHandle<()>,
    stopping: CancellationToken,
    _guards: [DropGuard; 2],
}

impl RunningAdmin {
    /// Ends it; the last to go, so that operators can watch the rest end.
    pub(crate) async fn shutdown(self) {
        self.stopping.cancel();
        // Ends by the token; an error would be a panic in it, which the runtime has reported.
        let _ = self.accepting.await;
        self.listener.connections.close();
        let _ = tokio::time::timeout(LAST_REQUESTS, self.listener.connections.wait()).await;
        self.listener.ending.cancel();
        self.listener.connections.wait().await;
    }
}
