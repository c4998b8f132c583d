//! WASI for guests whose tool chain imports it: there, and empty. No files, no network, no
//! environment, no arguments; the wall clock stands still at the time when the context was made;
//! standard output and error go to the log, up to a limit.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    HostWallClock, WasiCtx,
    cli::{IsTerminal, StdoutStream},
};

const OUTPUT_BYTES_MAX: usize = 16 << 10;

/// Made when the guest first asks: guests without WASI do not pay for it.
#[derive(Default)]
pub(crate) struct EmptyWasi {
    context: Option<WasiCtx>,
    output: Output,
}

impl EmptyWasi {
    pub(crate) fn context(&mut self) -> &mut WasiCtx {
        let output = &self.output;
        self.context.get_or_insert_with(|| {
            let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            WasiCtx::builder()
                .stdout(output.clone())
                .stderr(output.clone())
                .wall_clock(StoppedClock(since_epoch))
                .allow_tcp(false)
                .allow_udp(false)
                .allow_ip_name_lookup(false)
                .build()
        })
    }

    /// What the guest has written, as text.
    pub(crate) fn take_output(&self) -> String {
        let bytes = std::mem::take(&mut *self.output.0.lock().unwrap_or_else(PoisonError::into_inner));
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

struct StoppedClock(Duration);

impl HostWallClock for StoppedClock {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        self.0
    }
}

/// Takes everything, keeps the beginning.
#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for Output {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = OUTPUT_BYTES_MAX.saturating_sub(kept.len()).min(bytes.len());
        kept.extend_from_slice(bytes.get(..room).unwrap_or_default());
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
