//! File descriptors: what clients leave to the host.

use std::os::fd::{AsRawFd as _, BorrowedFd};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// One in so many of the descriptors that this process may have open is no client's: connections to the database,
/// files, and operators need some, however many connect.
const KEPT_ONE_IN: u64 = 4;

/// Takes as many as the system lets this process have: the limit that shells and service managers begin with is
/// often a thousandth of that.
pub(crate) fn raise_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::warn!(%error, ?current, "the limit on file descriptors stays as it is");
    }
}

/// Whether a connection may stay that was given this descriptor. The system gives the lowest number that is free: a
/// high one says that all below it are taken, by whatever it is.
pub(super) fn is_clients(descriptor: BorrowedFd<'_>) -> bool {
    let limit = getrlimit(Resource::Nofile).current;
    limit.is_none_or(|limit| u64::from(descriptor.as_raw_fd().unsigned_abs()) < limit - limit / KEPT_ONE_IN)
}
