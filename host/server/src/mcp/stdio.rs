use std::sync::Arc;

use rmcp::transport::{async_rw::AsyncRwTransport, io::stdio_pipes};
use tokio_util::sync::CancellationToken;

use super::{McpHandler, Shared};
use crate::{auth::KnownCaller, config::ServerConfig};

/// Serves one client on standard input and output, as `known`, until the client closes its end or
/// `stop` is cancelled.
pub(crate) async fn serve(config: &ServerConfig, shared: Arc<Shared>, known: Arc<KnownCaller>, stop: CancellationToken) {
    let (input, output) = stdio_pipes();
    let transport = AsyncRwTransport::new_server(input, output).with_max_line_length(config.body_bytes_max);
    let handler = McpHandler::new(Arc::clone(&shared), known);
    match rmcp::service::serve_server_with_ct(handler, transport, stop).await {
        Ok(service) => {
            let _ = service.waiting().await;
        }
        Err(_) => tracing::info!("the client left before it had said anything"),
    }
    shared.stopping.cancel();
}
