//! WASI for guests whose tool chain imports it: there, and empty. No files, no network, no
//! environment, no arguments; the clocks stand still at the time when the call began; standard output
//! and error go to the log, up to a limit.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    HostMonotonicClock, HostWallClock, WasiCtx,
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

const OUTPUT_BYTES_MAX: usize = 16 << 10;
/// Random bytes of one call: making them is work of the host's that no tick interrupts.
const RANDOM_BYTES_MAX: u64 = 64 << 10;

/// Made when the guest first asks: guests without WASI do not pay for it.
#[derive(Default)]
pub(crate) struct EmptyWasi {
    context: Option<WasiCtx>,
    output: Output,
    now: StoppedClock,
}

impl EmptyWasi {
    pub(crate) fn context(&mut self) -> &mut WasiCtx {
        let Self { context, output, now } = self;
        context.get_or_insert_with(|| {
            WasiCtx::builder()
                .stdout(output.clone())
                .stderr(output.clone())
                .wall_clock(now.clone())
                .monotonic_clock(now.clone())
                .max_random_size(RANDOM_BYTES_MAX)
                .allow_tcp(false)
                .allow_udp(false)
                .allow_ip_name_lookup(false)
                .build()
        })
    }

    /// The time that the clocks show from now on: that of the call, in microseconds since 1970.
    pub(crate) fn set_now(&self, began_us: i64) {
        self.now.0.store(began_us.unsigned_abs(), Ordering::Relaxed);
    }

    /// What the guest has written, as text.
    pub(crate) fn take_output(&self) -> String {
        let bytes = std::mem::take(&mut *self.output.0.lock().unwrap_or_else(PoisonError::into_inner));
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// In microseconds since 1970; 1970 itself before the call.
#[derive(Clone, Default)]
struct StoppedClock(Arc<AtomicU64>);

impl StoppedClock {
    fn now(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }
}

impl HostWallClock for StoppedClock {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        self.now()
    }
}

impl HostMonotonicClock for StoppedClock {
    fn resolution(&self) -> u64 {
        1_000_000_000
    }

    fn now(&self) -> u64 {
        u64::try_from(self.now().as_nanos()).unwrap_or(u64::MAX)
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
        // Of WASI 0.3, which is not linked.
        Box::new(tokio::io::sink())
    }

    /// The library's own starts a task for each stream.
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

#[async_trait::async_trait]
impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = OUTPUT_BYTES_MAX.saturating_sub(kept.len()).min(bytes.len());
        kept.extend_from_slice(bytes.get(..room).unwrap_or_default());
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(OUTPUT_BYTES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_is_written_the_beginning_is_kept() {
        let wasi = EmptyWasi::default();
        for _ in 0..5 {
            wasi.output.clone().write(Bytes::from(vec![b'a'; OUTPUT_BYTES_MAX / 2])).expect("it takes everything");
        }
        assert_eq!(wasi.take_output(), "a".repeat(OUTPUT_BYTES_MAX));
    }
}
