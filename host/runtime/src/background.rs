//! Where calls go that compute for long.
//!
//! A call begins on a worker of the server: most are over in microseconds. One whose guest computes from one tick of
//! the engine's clock to the next without calling the host, or for which the host has computed for some milliseconds,
//! moves to a thread of the lowest priority, which the system runs when nobody else has work. So however many calls
//! spin, the server's workers answer the others. Tenants take turns on these threads, call by call and tick by
//! tick: many long calls of one tenant do not starve another's.

use std::{
    collections::VecDeque,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::Poll,
    thread,
    time::Duration,
};

use async_task::Runnable;
use stockade_db::background::{step_back, threads};
use tokio::runtime::Handle;
use tracing::{Instrument as _, instrument::WithSubscriber as _};

use crate::{
    cpu::{Clock, Cpu},
    error::RuntimeError,
};

/// What the host may compute for a call on a worker of the server, the guest's part included: rows that are read
/// and handed over, above all. A guest alone has less, see [`crate::state`].
pub(crate) const HERE_MAX: Duration = Duration::from_millis(5);

/// The background threads. They end with it.
pub(crate) struct Background(Arc<Queue>);

#[derive(Default)]
struct Queue {
    turns: Mutex<Turns>,
    changed: Condvar,
}

/// Who waits: for each tenant its calls, the tenant whose turn is next in front.
#[derive(Default)]
struct Turns {
    tenants: VecDeque<(Arc<str>, VecDeque<Runnable>)>,
    closed: bool,
}

impl Background {
    /// Start the threads. What runs on them uses the clock and the network of the runtime that this
    /// is called in.
    pub(crate) fn start() -> Result<Arc<Self>, RuntimeError> {
        let queue = Arc::new(Queue::default());
        for _ in 0..threads() {
            let (queue, tokio) = (Arc::clone(&queue), Handle::current());
            thread::Builder::new()
                .name("background".into())
                .spawn(move || run(&queue, &tokio))
                .map_err(|e| RuntimeError::Engine(format!("cannot start a background thread: {e}")))?;
        }
        Ok(Arc::new(Self(queue)))
    }

    /// Run `future` here, and in the background from when `cpu` says that it takes long. Dropping
    /// what this gives drops `future`, at its next tick at the latest.
    pub(crate) async fn carry<T: Send + 'static>(
        &self,
        tenant: &str,
        cpu: Arc<Cpu>,
        future: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let mut future = Box::pin(future);
        if cpu.is_long() {
            return self.spawn(tenant, cpu, future).await;
        }
        let here = poll_fn(|context| match cpu.run(Clock::Wall, || future.as_mut().poll(context)) {
            Poll::Ready(out) => Poll::Ready(Some(out)),
            Poll::Pending if cpu.is_long() || cpu.used() >= HERE_MAX => {
                cpu.set_long();
                Poll::Ready(None)
            }
            Poll::Pending => Poll::Pending,
        });
        match here.await {
            Some(out) => out,
            None => self.spawn(tenant, cpu, future).await,
        }
    }

    /// Run `future` in the background.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        tenant: &str,
        cpu: Arc<Cpu>,
        mut future: Pin<Box<impl Future<Output = T> + Send + 'static>>,
    ) -> async_task::Task<T> {
        let metered = poll_fn(move |context| cpu.run(Clock::Thread, || future.as_mut().poll(context)));
        let (queue, tenant) = (Arc::clone(&self.0), Arc::from(tenant));
        let schedule = move |runnable| queue.push(&tenant, runnable);
        let (runnable, task) = async_task::Builder::new()
            .propagate_panic(true)
            .spawn(|()| metered.in_current_span().with_current_subscriber(), schedule);
        runnable.schedule();
        task
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let mut turns = self.0.turns();
        turns.closed = true;
        let left = std::mem::take(&mut turns.tenants);
        drop(turns);
        self.0.changed.notify_all();
        drop(left);
    }
}

impl Queue {
    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, tenant: &Arc<str>, runnable: Runnable) {
        let mut turns = self.turns();
        if turns.closed {
            drop(turns);
            // Dropping it cancels its task, which may schedule another.
            return drop(runnable);
        }
        turns.push(tenant, runnable);
        drop(turns);
        self.changed.notify_one();
    }

    /// The next to run; none when all is over.
    fn next(&self) -> Option<Runnable> {
        let mut turns = self.turns();
        loop {
            if turns.closed {
                return None;
            }
            if let Some(runnable) = turns.pop() {
                return Some(runnable);
            }
            turns = self.changed.wait(turns).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Turns {
    fn push(&mut self, tenant: &Arc<str>, runnable: Runnable) {
        match self.tenants.iter_mut().find(|(of, _)| of == tenant) {
            Some((_, waiting)) => waiting.push_back(runnable),
            None => self.tenants.push_back((Arc::clone(tenant), VecDeque::from([runnable]))),
        }
    }

    fn pop(&mut self) -> Option<Runnable> {
        let (tenant, mut waiting) = self.tenants.pop_front()?;
        let runnable = waiting.pop_front();
        if !waiting.is_empty() {
            self.tenants.push_back((tenant, waiting));
        }
        runnable
    }
}

fn run(queue: &Queue, tokio: &Handle) {
    step_back();
    let _entered = tokio.enter();
    while let Some(runnable) = queue.next() {
        // A panic goes to whoever waits for the task; the thread is needed further.
        let _ = catch_unwind(AssertUnwindSafe(|| runnable.run()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A task that does nothing, and when it has its turn says whose it is.
    fn task(tenant: &'static str, turns: &Arc<Mutex<Vec<&'static str>>>) -> Runnable {
        let turns = Arc::clone(turns);
        let (runnable, task) = async_task::spawn(async move { turns.lock().unwrap().push(tenant) }, drop);
        task.detach();
        runnable
    }

    #[test]
    fn tenants_take_turns_however_many_calls_each_has() {
        let (mut turns, ran) = (Turns::default(), Arc::default());
        for tenant in ["many", "many", "many", "many", "few", "few", "one"] {
            turns.push(&Arc::from(tenant), task(tenant, &ran));
        }
        while let Some(runnable) = turns.pop() {
            runnable.run();
        }
        assert_eq!(*ran.lock().unwrap(), ["many", "few", "one", "many", "few", "many", "many"]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_takes_long_moves_and_what_panics_there_says_so_here() {
        let background = Background::start().unwrap();
        let thread = || std::thread::current().name().map(str::to_owned);
        let cpu = Arc::new(Cpu::default());
        let here = background.carry("a", Arc::clone(&cpu), async move { thread() }).await;
        assert_ne!(here.as_deref(), Some("background"));
        let long = Arc::clone(&cpu);
        let moved = async move {
            long.set_long();
            tokio::task::yield_now().await;
            // The server's clock ticks there too.
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            thread()
        };
        assert_eq!(background.carry("a", Arc::clone(&cpu), moved).await.as_deref(), Some("background"));
        let moved = async move {
            let since = std::time::Instant::now();
            while since.elapsed() < HERE_MAX {}
            tokio::task::yield_now().await;
            thread()
        };
        assert_eq!(background.carry("a", Arc::default(), moved).await.as_deref(), Some("background"));
        let panics = async { panic!("there") };
        let waited = tokio::spawn(background.spawn("a", cpu, Box::pin(panics)));
        assert!(waited.await.unwrap_err().is_panic());
        assert!(background.carry("a", Arc::default(), async { true }).await, "the threads live on");
    }
}
