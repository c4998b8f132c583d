//! What follows a call: its instance goes, and a fresh one is made ahead for a later call.
//!
//! Behind the reply, and a little later than that: done at once it would take the processor from the
//! worker that has the reply to write, and several in one go cost less than as many alone, because
//! what they touch in the engine and in the system is then in the processor's cache. On a thread of its
//! own: a task would send the server's workers to sleep and wake them in other turns, at each call.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use futures::FutureExt as _;
use stockade_db::TenantId;
use tokio::{runtime::Handle, sync::OwnedSemaphorePermit};

use crate::{background::Background, cpu::Cpu, error::RuntimeError, plugin::Plugin, ready::Instance};

/// Calls that ended in this time are followed up together.
const TOGETHER: Duration = Duration::from_millis(1);
/// How many wait for that. What ends beyond it is dropped where it ended.
const SPENT_MAX: usize = 64;

/// Where calls leave what they have used up.
pub(crate) struct Recycler(SyncSender<Spent>);

/// What a call leaves.
pub(crate) struct Spent {
    pub(crate) plugin: Arc<Plugin>,
    /// Whose call it was. What follows takes turns with that tenant's calls, where it takes long.
    pub(crate) tenant: TenantId,
    pub(crate) instance: Option<Instance>,
    /// Places of the pool, which are free when the instance is gone.
    pub(crate) places: Option<OwnedSemaphorePermit>,
    /// Whether it computed for long: it may have written much, and resetting that takes its time.
    pub(crate) long: bool,
}

impl Recycler {
    /// Start the thread that follows calls up. It ends with the recycler.
    pub(crate) fn start(background: Arc<Background>) -> Result<Self, RuntimeError> {
        let (sender, spent) = sync_channel(SPENT_MAX);
        let tokio = Handle::current();
        thread::Builder::new()
            .name("recycler".into())
            .spawn(move || follow_up(&spent, &background, &tokio))
            .map_err(|e| RuntimeError::Engine(format!("cannot start the recycler's thread: {e}")))?;
        Ok(Self(sender))
    }

    pub(crate) fn take(&self, spent: Spent) {
        // Nobody can hold more of the pool than this by ending calls faster than they are followed up.
        drop(self.0.try_send(spent));
    }
}

fn follow_up(spent: &Receiver<Spent>, background: &Arc<Background>, tokio: &Handle) {
    let _entered = tokio.enter();
    while let Ok(first) = spent.recv() {
        thread::sleep(TOGETHER);
        for one in std::iter::once(first).chain(spent.try_iter().take(SPENT_MAX)) {
            begin(Box::pin(renew(one, Arc::clone(background))), tokio);
        }
    }
}

fn begin(mut work: Pin<Box<impl Future<Output = ()> + Send + 'static>>, tokio: &Handle) {
    // A panic, which the log has, is the end of this one; the thread is needed further.
    let done = catch_unwind(AssertUnwindSafe(|| (&mut work).now_or_never()));
    // A start function that computes or waits does not hold the others up.
    if let Ok(None) = done {
        tokio.spawn(work);
    }
}

async fn renew(Spent { plugin, tenant, instance, places, long }: Spent, background: Arc<Background>) {
    let cpu = Arc::new(Cpu::default());
    if long {
        cpu.set_long();
    }
    let behind = Arc::clone(&cpu);
    let work = async move {
        drop(instance);
        drop(places);
        plugin.instances.replace(&behind).await;
    };
    background.carry(tenant.as_str(), cpu, work).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_ends_what_panics_and_what_waits_goes_on() {
        let tokio = Handle::current();
        begin(Box::pin(async { panic!("in a start function") }), &tokio);
        let (done, ended) = tokio::sync::oneshot::channel();
        let waits = async move {
            tokio::task::yield_now().await;
            let _ = done.send(());
        };
        begin(Box::pin(waits), &tokio);
        assert_eq!(ended.await, Ok(()));
    }
}
