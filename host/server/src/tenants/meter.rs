use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use stockade_runtime::CallUsage;

use super::Tenant;

/// A call, whose tenant is charged when it ends, also when it is dropped half-way.
///
/// CPU time is the time that the call's future was being polled: a guest runs on the thread that polls
/// it, and what it waits for does not poll. On a machine with more threads than cores it counts the
/// time in which the thread was ready and did not run, too.
pub(crate) struct Metered<F> {
    call: F,
    cpu: Duration,
    usage: Arc<CallUsage>,
    tenant: Arc<Tenant>,
}

impl<F> Metered<F> {
    pub(crate) fn new(call: F, usage: Arc<CallUsage>, tenant: Arc<Tenant>) -> Self {
        Self { call, cpu: Duration::ZERO, usage, tenant }
    }
}

impl<F: Future + Unpin> Future for Metered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let begun = Instant::now();
        let output = Pin::new(&mut self.call).poll(cx);
        self.cpu += begun.elapsed();
        output
    }
}

impl<F> Drop for Metered<F> {
    fn drop(&mut self) {
        self.tenant.charge(self.cpu, self.usage.rows());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TenantConfig;

    #[tokio::test]
    async fn a_call_that_is_dropped_is_charged_for_what_it_used() {
        let config = TenantConfig { cpu_s_per_day_max: Some(1), ..TenantConfig::default() };
        let limits = config.over(&TenantConfig::default(), "a").expect("limits");
        let tenant = Arc::new(Tenant::new("a", limits));
        let busy = Box::pin(async {
            std::thread::sleep(Duration::from_millis(1_000));
            std::future::pending::<()>().await;
        });
        let mut call = Metered::new(busy, Arc::default(), Arc::clone(&tenant));
        assert!(futures::poll!(&mut call).is_pending());
        assert_eq!(tenant.take_call(), Ok(()), "nothing is charged before the end");
        drop(call);
        assert_eq!(tenant.take_call().expect_err("used up").limit, "cpu_s_per_day_max");
    }
}
