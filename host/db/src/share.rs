//! Who may take how many of the pool's connections: one tenant's calls never hold them all, and
//! cursors, which sit on a connection for as long as a plugin likes, leave one to queries.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::DatabaseConfig;
use crate::error::DbError;
use crate::identity::TenantId;

/// Tenants whose shares are kept although nobody uses them.
const IDLE_TENANTS_MAX: usize = 1_024;

/// What a connection is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Statements that run to their end.
    Statements,
    /// A cursor, which ends when the plugin drops it.
    Cursor,
}

/// One tenant's share.
#[derive(Clone)]
struct Share {
    connections: Arc<Semaphore>,
    cursors: Arc<Semaphore>,
}

/// All tenants' shares.
pub(crate) struct Shares {
    tenant_max: usize,
    cursors: Arc<Semaphore>,
    tenants: Mutex<HashMap<TenantId, Share>>,
    wait: Duration,
}

/// A place among a tenant's connections, held until it is dropped.
pub(crate) struct Seat {
    _permits: Vec<OwnedSemaphorePermit>,
}

impl Shares {
    pub(crate) fn new(config: &DatabaseConfig) -> Self {
        let all = config.connections_max;
        let tenant_max = config.connections_per_tenant_max.unwrap_or_else(|| (all / 4 * 3).max(2).min(all));
        Self {
            tenant_max: tenant_max as usize,
            cursors: Arc::new(Semaphore::new(all_but_one(all as usize))),
            tenants: Mutex::default(),
            wait: Duration::from_millis(config.acquire_timeout_ms),
        }
    }

    /// Waits for a place; `TENANT_BUSY` when none came free in time.
    pub(crate) async fn take(&self, tenant: &TenantId, purpose: Purpose) -> Result<Seat, DbError> {
        let share = self.share(tenant);
        // A cursor waits for its own kind first, where it keeps no query from a connection.
        let wanted = match purpose {
            Purpose::Statements => vec![share.connections],
            Purpose::Cursor => vec![share.cursors, Arc::clone(&self.cursors), share.connections],
        };
        let taking = async {
            let mut permits = Vec::with_capacity(wanted.len());
            for semaphore in wanted {
                let permit = semaphore.acquire_owned().await;
                permits.push(permit.map_err(|error| DbError::internal(format!("a share of connections: {error}")))?);
            }
            Ok(Seat { _permits: permits })
        };
        tokio::time::timeout(self.wait, taking).await.unwrap_or(Err(DbError::Timeout { code: "TENANT_BUSY" }))
    }

    fn share(&self, tenant: &TenantId) -> Share {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = tenants.get(tenant) {
            return share.clone();
        }
        if tenants.len() >= IDLE_TENANTS_MAX {
            // Whoever holds a place, or waits for one, holds the semaphore.
            tenants.retain(|_, share| Arc::strong_count(&share.connections) + Arc::strong_count(&share.cursors) > 2);
        }
        let share = Share {
            connections: Arc::new(Semaphore::new(self.tenant_max)),
            cursors: Arc::new(Semaphore::new(all_but_one(self.tenant_max))),
        };
        tenants.insert(tenant.clone(), share.clone());
        share
    }
}

fn all_but_one(all: usize) -> usize {
    all.saturating_sub(1).max(1)
}
