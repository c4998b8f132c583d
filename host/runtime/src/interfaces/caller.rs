//! `caller`: what a tool may know of its call.

use crate::{bindings::stockade::plugin::caller::Host, state::CallState};

impl Host for CallState {
    fn display_name(&mut self) -> wasmtime::Result<String> {
        Ok(self.enter()?.caller.display_name.clone())
    }

    fn time_zone(&mut self) -> wasmtime::Result<String> {
        Ok(self.enter()?.caller.time_zone.clone())
    }

    fn request_id(&mut self) -> wasmtime::Result<String> {
        Ok(self.enter()?.request_id.clone())
    }

    fn now(&mut self) -> wasmtime::Result<i64> {
        Ok(self.enter()?.began_us)
    }

    fn deadline_ms(&mut self) -> wasmtime::Result<u64> {
        let left = self.enter()?.deadline.saturating_duration_since(tokio::time::Instant::now());
        Ok(u64::try_from(left.as_millis()).unwrap_or(u64::MAX))
    }
}
