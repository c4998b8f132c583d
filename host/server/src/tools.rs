//! What the server serves: anything that lists tools and runs them.

#[cfg(test)]
pub(crate) mod one_tool;

use std::sync::Arc;

use futures::future::BoxFuture;
use stockade_runtime::{CallError, Caller, Invocation, PluginState, Runtime, ToolInfo, ToolOutput};
use tokio::sync::watch;

/// A set of tools. [`Runtime`] is the one that matters; tests and benchmarks bring their own, to run
/// through the very same HTTP stack.
pub trait Tools: Send + Sync + 'static {
    /// The tools that `caller` may see, in the order in which clients get them.
    fn tools(&self, caller: &Caller) -> Vec<Arc<ToolInfo>>;

    /// The tool named `name`, if `caller` may see it.
    fn tool(&self, caller: &Caller, name: &str) -> Option<Arc<ToolInfo>>;

    /// A version that grows when [`tools`](Self::tools) has changed: first the list, then the number.
    fn changes(&self) -> watch::Receiver<u64>;

    /// The plugins behind the tools, as they are now.
    fn plugins(&self) -> Vec<PluginState> {
        Vec::new()
    }

    /// Runs one call. Dropping the future cancels the call.
    ///
    /// # Errors
    /// Whose fault a failure is, and what the caller may read of it.
    fn call(&self, invocation: Invocation) -> BoxFuture<'_, Result<ToolOutput, CallError>>;
}

impl Tools for Runtime {
    fn tools(&self, caller: &Caller) -> Vec<Arc<ToolInfo>> {
        Runtime::tools(self, caller)
    }

    fn tool(&self, caller: &Caller, name: &str) -> Option<Arc<ToolInfo>> {
        Runtime::tool(self, caller, name)
    }

    fn changes(&self) -> watch::Receiver<u64> {
        Runtime::changes(self)
    }

    fn plugins(&self) -> Vec<PluginState> {
        Runtime::plugins(self)
    }

    fn call(&self, invocation: Invocation) -> BoxFuture<'_, Result<ToolOutput, CallError>> {
        Box::pin(Runtime::call(self, invocation))
    }
}
