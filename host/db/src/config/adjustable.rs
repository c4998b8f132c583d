use super::DatabaseConfig;

/// What of `[database]` may change while the host runs: it holds from the next transaction on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Adjustable {
    pub(crate) statement_timeout_ms: u64,
    pub(crate) lock_timeout_ms: u64,
    pub(crate) idle_in_transaction_timeout_ms: u64,
    pub(crate) work_mem_kib: u32,
    pub(crate) jit: bool,
    pub(crate) slow_statement_ms: u64,
    pub(crate) slow_statement_plan: bool,
}

impl From<&DatabaseConfig> for Adjustable {
    fn from(config: &DatabaseConfig) -> Self {
        Self {
            statement_timeout_ms: config.statement_timeout_ms,
            lock_timeout_ms: config.lock_timeout_ms,
            idle_in_transaction_timeout_ms: config.idle_in_transaction_timeout_ms,
            work_mem_kib: config.work_mem_kib,
            jit: config.jit,
            slow_statement_ms: config.slow_statement_ms,
            slow_statement_plan: config.slow_statement_plan,
        }
    }
}
