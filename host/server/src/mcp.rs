//! The Model Context Protocol over the tools: revisions 2026-07-28 and 2025-11-25, and 2025-06-18
//! for clients that have not moved on.

mod exchange;
mod handler;
mod ids;
mod lists;
mod notify;
mod sessions;
mod shared;
pub(crate) mod stdio;

pub(crate) use exchange::{Exchange, HttpSide, Share, Trouble};
pub(crate) use handler::McpHandler;
pub(crate) use lists::Listed;
pub(crate) use sessions::OwnedSessions;
pub(crate) use shared::Shared;
