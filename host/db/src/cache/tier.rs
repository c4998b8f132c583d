//! Entries in Redis or Valkey, where other hosts find them and a restart leaves them.
//!
//! Nothing waits for it longer than `timeout_ms`, and nothing fails with it. The first command that is not
//! answered in time drops the connection; from then on nobody waits at all, until a task of its own has a
//! connection that answers again. What comes back is believed only where its seal opens.
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, FromRedisValue, RedisError};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use super::config::RedisConfig;
use super::seal::{OVERHEAD_BYTES, Seal};
use super::stats::Counters;
use super::{Entry, Key};
use crate::context::ContextKey;
use crate::error::DbError;

/// How often a connection is asked whether it answers, and the first wait between two attempts at a new one.
const PING_EVERY: Duration = Duration::from_millis(500);
/// The longest wait between two attempts.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(8);
/// To connect, greet and authenticate. Nobody waits for it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Entries on their way there; further ones are not sent.
const WRITES_MAX: usize = 64;

pub(super) struct Tier {
    shared: Arc<Shared>,
    tending: AbortHandle,
}

struct Shared {
    client: Client,
    config: RedisConfig,
    seal: Seal,
    /// None while it does not answer.
    connection: RwLock<Option<MultiplexedConnection>>,
    writes: Arc<Semaphore>,
    counters: Arc<Counters>,
}

impl Tier {
    /// Connects in the background.
    pub(super) fn open(config: &RedisConfig, key: &ContextKey, counters: &Arc<Counters>) -> Result<Self, DbError> {
        let refused = |reason: String| DbError::rejected("CONFIG_CACHE", format!("[cache.redis] url_file: {reason}"));
        let url = std::fs::read_to_string(&config.url_file)
            .map_err(|error| refused(format!("{}: {error}", config.url_file.display())))?;
        // Two libraries here each bring a cryptography of their own; without a choice rustls makes none.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        // The library's own message could show the password.
        let client = Client::open(url.trim())
            .map_err(|_| refused("expected redis:// or rediss://host:port/number".to_owned()))?;
        let shared = Arc::new(Shared {
            client,
            config: config.clone(),
            seal: Seal::new(key)?,
            connection: RwLock::default(),
            writes: Arc::new(Semaphore::new(WRITES_MAX)),
            counters: Arc::clone(counters),
        });
        let tending = tokio::spawn(tend(Arc::clone(&shared))).abort_handle();
        Ok(Self { shared, tending })
    }

    /// The entry, and how long it may still be given out.
    pub(super) async fn get(&self, key: &Key) -> Option<(Entry, Duration)> {
        let shared = &self.shared;
        let mut command = redis::cmd("GET");
        let value: Option<Vec<u8>> = shared.ask(command.arg(shared.name(key))).await?;
        let Some(value) = value else {
            shared.counters.tier_misses.up();
            return None;
        };
        let largest = shared.config.value_bytes_max as usize + OVERHEAD_BYTES;
        let opened = if value.len() > largest { None } else { shared.seal.open(key, value) };
        match &opened {
            Some(_) => shared.counters.tier_hits.up(),
            None => shared.counters.tier_refusals.up(),
        }
        opened
    }

    /// Sends the entry there, behind the caller's back.
    pub(super) fn put(&self, key: Key, entry: &Arc<Entry>, ttl: Duration) {
        let Ok(permit) = Arc::clone(&self.shared.writes).try_acquire_owned() else { return };
        if !self.connected() {
            return;
        }
        let (shared, entry) = (Arc::clone(&self.shared), Arc::clone(entry));
        tokio::spawn(async move {
            let _permit = permit;
            let Some(value) = shared.seal.seal(&key, &entry, ttl) else { return };
            if value.len() <= shared.config.value_bytes_max as usize {
                let mut command = redis::cmd("SET");
                command
                    .arg(shared.name(&key))
                    .arg(value)
                    .arg("PX")
                    .arg(u64::try_from(ttl.as_millis()).unwrap_or(1).max(1));
                if shared.ask::<String>(&command).await.is_some() {
                    shared.counters.tier_stores.up();
                }
            }
        });
    }

    pub(super) fn connected(&self) -> bool {
        self.shared.connection().is_some()
    }
}

impl Drop for Tier {
    fn drop(&mut self) {
        self.tending.abort();
    }
}

impl Shared {
    fn name(&self, key: &Key) -> String {
        format!("{}:query:{}", self.config.prefix, hex::encode(key.0))
    }

    fn connection(&self) -> Option<MultiplexedConnection> {
        self.connection.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, connection: Option<MultiplexedConnection>) {
        *self.connection.write().unwrap_or_else(PoisonError::into_inner) = connection;
    }

    /// The answer, where there is one in time.
    async fn ask<T: FromRedisValue>(&self, command: &redis::Cmd) -> Option<T> {
        let mut connection = self.connection()?;
        let asked = Instant::now();
        let answer = tokio::time::timeout(self.timeout(), command.query_async::<T>(&mut connection)).await;
        self.counters.tier_commands.up();
        self.counters.tier_us.add(u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX));
        match answer {
            Ok(Ok(answer)) => return Some(answer),
            // It answered, and refuses: it is full, or loading.
            Ok(Err(error)) if is_refusal(&error) => tracing::debug!(kind = ?error.kind(), "Redis refused a command"),
            Ok(Err(error)) => self.lose(&format!("{:?}", error.kind())),
            Err(_) => self.lose("it did not answer in time"),
        }
        self.counters.tier_errors.up();
        None
    }

    fn lose(&self, reason: &str) {
        if self.connection().is_some() {
            self.set(None);
            tracing::warn!(reason, "Redis is not asked until it answers again");
        }
    }

    fn timeout(&self) -> Duration {
        Duration::from_millis(self.config.timeout_ms)
    }

    /// A connection that has answered a command.
    async fn connect(&self) -> Result<MultiplexedConnection, &'static str> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(CONNECT_TIMEOUT));
        let greet = async {
            let mut connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
            let pong: String = redis::cmd("PING").query_async(&mut connection).await?;
            Ok::<_, RedisError>((connection, pong))
        };
        match tokio::time::timeout(CONNECT_TIMEOUT, greet).await {
            Ok(Ok((connection, pong))) if pong == "PONG" => Ok(connection),
            Ok(Ok(_)) => Err("what answers is no Redis"),
            Ok(Err(_)) => Err("it refuses the connection or the login, or what answers is no Redis"),
            Err(_) => Err("it did not answer in time"),
        }
    }
}

/// Keeps a connection while it answers, and looks for one while there is none.
async fn tend(shared: Arc<Shared>) {
    let mut wait = PING_EVERY;
    loop {
        if shared.connection().is_some() {
            let pong: Option<String> = shared.ask(&redis::cmd("PING")).await;
            if pong.is_some_and(|pong| pong != "PONG") {
                shared.lose("what answers is no Redis");
            }
        } else {
            match shared.connect().await {
                Ok(connection) => {
                    shared.set(Some(connection));
                    tracing::info!("Redis answers");
                    wait = PING_EVERY;
                }
                Err(reason) => {
                    // Once, and again where it stays away for long.
                    if wait == PING_EVERY {
                        tracing::warn!(reason, "Redis cannot be reached: the cache goes on in memory");
                    }
                    wait = (wait * 2).min(RETRY_AFTER_MAX);
                }
            }
        }
        let pause = if shared.connection().is_some() { PING_EVERY } else { wait };
        tokio::time::sleep(pause).await;
    }
}

/// Whether the server itself said no, over a connection that is sound.
fn is_refusal(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension)
}
