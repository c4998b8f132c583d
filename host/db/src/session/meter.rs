//! What a session has taken, and what it may still take.
use std::sync::atomic::{AtomicU64, Ordering};

/// What a session has taken so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Statements run, failed ones included.
    pub statements: u64,
    /// Rows given out.
    pub rows: u64,
    /// Bytes of values given out.
    pub bytes: u64,
}

/// Counters that the session and its cursors share.
#[derive(Debug)]
pub(crate) struct Meter {
    bytes_max: u64,
    statements: AtomicU64,
    rows: AtomicU64,
    bytes: AtomicU64,
}

impl Meter {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self { bytes_max, statements: AtomicU64::new(0), rows: AtomicU64::new(0), bytes: AtomicU64::new(0) }
    }

    pub(crate) fn statement(&self) {
        self.statements.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes a row of `bytes` from the budget; false, and nothing taken, when it does not fit.
    pub(crate) fn row(&self, bytes: u64) -> bool {
        self.take(1, bytes)
    }

    /// Takes a whole answer that was kept from the budget; false, and nothing taken, when it does not fit.
    pub(crate) fn answer(&self, statements: usize, rows: u64, bytes: u64) -> bool {
        let fits = self.take(rows, bytes);
        if fits {
            self.statements.fetch_add(statements as u64, Ordering::Relaxed);
        }
        fits
    }

    fn take(&self, rows: u64, bytes: u64) -> bool {
        let fits = self
            .bytes
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
                taken.checked_add(bytes).filter(|sum| *sum <= self.bytes_max)
            })
            .is_ok();
        if fits {
            self.rows.fetch_add(rows, Ordering::Relaxed);
        }
        fits
    }

    /// What was taken and will be read again.
    pub(super) fn give_back(&self, rows: u64, bytes: u64) {
        self.rows.fetch_sub(rows, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage {
            statements: self.statements.load(Ordering::Relaxed),
            rows: self.rows.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }
}
