use std::{io, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    addresses::{Addresses, OfAddress},
    descriptors,
    slow_client::SlowClient,
    socket::{Accepted, Socket},
};
use crate::{config::ServerConfig, telemetry::Seldom};

/// Pause after the system refuses to accept: out of file descriptors, it would refuse again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A connection's place, among all and among those of its address.
type Place = (OwnedSemaphorePermit, OfAddress);

/// Accepts connections and serves them. axum's own loop bounds neither their number nor the time that
/// a client may take for its headers. HTTP/1.1 alone: agents and proxies speak it, and then the number
/// of connections bounds the number of requests.
pub(crate) struct Listener {
    pub(crate) app: Router,
    pub(crate) connections: TaskTracker,
    /// Cancelled to accept no more, and to end each connection after the request that it serves.
    pub(crate) stopping: CancellationToken,
    /// Cancelled to drop the connections that are left.
    pub(crate) ending: CancellationToken,
    places: Arc<Semaphore>,
    addresses: Arc<Addresses>,
    header_bytes_max: usize,
    headers_max: usize,
    header_timeout: Duration,
    write_timeout: Duration,
    /// Whether its connections leave some descriptors to the host. Operators' come out of those.
    leaves_descriptors: bool,
    /// Connections that were closed at once, and times that none could be accepted.
    closed: Seldom,
    waiting: Seldom,
}

impl Listener {
    pub(crate) fn new(app: Router, config: &ServerConfig, stopping: CancellationToken) -> Self {
        Self {
            app,
            connections: TaskTracker::new(),
            stopping,
            ending: CancellationToken::new(),
            places: Arc::new(Semaphore::new(config.connections_max)),
            addresses: Addresses::new(config.connections_per_ip_max),
            header_bytes_max: config.header_bytes_max,
            headers_max: config.headers_max,
            header_timeout: Duration::from_secs(config.header_timeout_s),
            write_timeout: Duration::from_secs(config.write_timeout_s),
            leaves_descriptors: true,
            closed: Seldom::default(),
            waiting: Seldom::default(),
        }
    }

    /// The same, over the last descriptors too.
    pub(crate) fn for_operators(self) -> Self {
        Self { leaves_descriptors: false, ..self }
    }

    /// Until `stopping`.
    pub(crate) async fn run(self: Arc<Self>, socket: Socket) {
        while let Some((place, accepted)) = self.next(&socket).await {
            let this = Arc::clone(&self);
            self.connections.spawn(async move {
                let _place = place;
                match accepted {
                    Accepted::Tcp(stream) => {
                        // Without it, each event of a stream waits some 40 ms for the client's acknowledgement
                        // of the one before. A connection that is gone already cannot be set, and ends below.
                        let _ = stream.set_nodelay(true);
                        this.serve(stream).await;
                    }
                    Accepted::Unix(stream) => this.serve(stream).await,
                }
            });
        }
    }

    async fn next(&self, socket: &Socket) -> Option<(Place, Accepted)> {
        let accept = async {
            let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
            loop {
                match socket.accept().await {
                    Ok((stream, _)) if self.leaves_descriptors && !descriptors::is_clients(stream.descriptor()) => {
                        if let Some(times) = self.closed.happened() {
                            tracing::error!(
                                fault = "host",
                                times,
                                "connections are closed at once: three quarters of the file descriptors are in use; raise \
                                 their limit (`ulimit -n`, `LimitNOFILE`), or lower `connections_max` in [server]"
                            );
                        }
                    }
                    Ok((stream, peer)) => {
                        // One too many of its address is closed by being dropped.
                        if let Some(of_address) = self.addresses.enter(peer) {
                            return Some(((place, of_address), stream));
                        }
                    }
                    Err(error) if is_the_clients(&error) => {}
                    Err(error) => {
                        if let Some(times) = self.waiting.happened() {
                            tracing::error!(fault = "host", times, %error, "connections wait: none can be accepted");
                        }
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        };
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => None,
            accepted = accept => accepted,
        }
    }

    async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
        let io = TokioIo::new(SlowClient::new(stream, self.write_timeout));
        let mut connection = std::pin::pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(self.header_timeout)
                .max_buf_size(self.header_bytes_max)
                .max_headers(self.headers_max)
                .serve_connection(io, TowerToHyperService::new(self.app.clone()))
        );
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = self.stopping.cancelled() => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    result = connection => result,
                    () = self.ending.cancelled() => return,
                }
            }
        };
        if let Err(error) = result {
            tracing::debug!(%error, "connection ended");
        }
    }
}

/// Errors that say that one connection was gone before it was accepted.
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
