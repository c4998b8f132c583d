//! What was embedded is remembered, and what is being embedded is not asked for again.
//!
//! A model is a function: the same text gives the same vector, whoever asks. So this is shared by all
//! callers; how fast an answer comes says whether somebody asked for the text before, and nothing more. What is being
//! embedded is shared by a tenant's callers alone: it waits for the tenant's turns.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared, try_join_all};
use sha2::{Digest as _, Sha256};

use super::Embedder;
use crate::background;
use crate::config::EmbedderConfig;
use crate::error::DbError;
use crate::identity::TenantId;
use crate::share::{Purpose, Shares};

/// What an entry takes besides its vector, in bytes: the digest and the cache's own.
const ENTRY_BYTES: usize = 200;
/// Texts that a local model embeds in one tenant's turn.
const TURN_TEXTS: usize = 4;

/// SHA-256 of a text.
type Digest = [u8; 32];
type Vector = Arc<[f32]>;
/// One text's vector, in the making; several may wait for it. The work goes on as long as one of them does.
type Flight = Shared<Making>;
type Making = BoxFuture<'static, Result<Vector, DbError>>;
/// Several texts' vectors, in the making.
type Batch = Shared<BoxFuture<'static, Result<Arc<[Vector]>, DbError>>>;

/// An embedder with a memory.
pub(super) struct Remembered {
    name: String,
    embedder: Arc<dyn Embedder>,
    /// None where no collection says.
    dimension: Option<u32>,
    /// Tenants' turns at a local model. An endpoint has its own limits.
    turns: Option<Arc<Shares>>,
    known: moka::sync::Cache<Digest, Vector>,
    flights: Mutex<HashMap<(TenantId, Digest), WeakShared<Making>>>,
}

impl Remembered {
    pub(super) fn new(
        name: &str,
        embedder: Arc<dyn Embedder>,
        dimension: Option<u32>,
        config: &EmbedderConfig,
    ) -> Self {
        let turns = match config {
            EmbedderConfig::Candle { concurrency_max, .. } => {
                Some(Shares::of_a_model((*concurrency_max).clamp(1, background::threads())))
            }
            EmbedderConfig::OpenAi(_) => None,
        };
        let weigher = |_: &Digest, vector: &Vector| {
            u32::try_from(vector.len() * size_of::<f32>() + ENTRY_BYTES).unwrap_or(u32::MAX)
        };
        let known = moka::sync::Cache::builder().max_capacity(config.cache_bytes_max()).weigher(weigher).build();
        Self { name: name.to_owned(), embedder, dimension, turns, known, flights: Mutex::default() }
    }

    /// One vector a text, in order, of the collections' dimension.
    pub(super) async fn embed(&self, tenant: &TenantId, texts: &[String]) -> Result<Vec<Vec<f32>>, DbError> {
        let vectors = try_join_all(self.flights(tenant, texts)).await?;
        Ok(vectors.iter().map(|vector| vector.to_vec()).collect())
    }

    /// Has the model embed a word, remembered or not.
    pub(super) async fn probe(&self) -> Result<(), DbError> {
        let vectors = self.embedder.embed(&["ready".to_owned()]).await?;
        check(&self.name, self.dimension, 1, &vectors)
    }

    /// A flight for each text; those that nobody is after yet are one batch.
    fn flights(&self, tenant: &TenantId, texts: &[String]) -> Vec<Flight> {
        let digests: Vec<Digest> = texts.iter().map(|text| Sha256::digest(text.as_bytes()).into()).collect();
        let mut by_digest: HashMap<Digest, Flight> = HashMap::new();
        let mut missing: Vec<(Digest, String)> = Vec::new();
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        for (digest, text) in digests.iter().zip(texts) {
            let known = self.known.get(digest).map(|vector| async move { Ok(vector) }.boxed().shared());
            let under_way = || flights.get(&(tenant.clone(), *digest)).and_then(WeakShared::upgrade);
            if let Some(flight) = known.or_else(under_way) {
                by_digest.insert(*digest, flight);
            } else if !missing.iter().any(|(other, _)| other == digest) {
                missing.push((*digest, text.clone()));
            }
        }
        if !missing.is_empty() {
            // Those that nobody waits for any more.
            flights.retain(|_, flight| flight.upgrade().is_some());
            let wanted: Vec<Digest> = missing.iter().map(|(digest, _)| *digest).collect();
            let batch = self.batch(tenant.clone(), missing);
            for (place, digest) in wanted.into_iter().enumerate() {
                let flight = one_of(batch.clone(), place);
                flights.extend(flight.downgrade().map(|weak| ((tenant.clone(), digest), weak)));
                by_digest.insert(digest, flight);
            }
        }
        digests.iter().filter_map(|digest| by_digest.get(digest).cloned()).collect()
    }

    fn batch(&self, tenant: TenantId, missing: Vec<(Digest, String)>) -> Batch {
        let (digests, texts): (Vec<Digest>, Vec<String>) = missing.into_iter().unzip();
        let (embedder, known) = (Arc::clone(&self.embedder), self.known.clone());
        let (name, dimension, turns) = (self.name.clone(), self.dimension, self.turns.clone());
        async move {
            let vectors = match turns {
                Some(turns) => by_turns(&turns, &tenant, &embedder, &texts).await?,
                None => embedder.embed(&texts).await?,
            };
            check(&name, dimension, texts.len(), &vectors)?;
            let vectors: Arc<[Vector]> = vectors.into_iter().map(Vector::from).collect();
            for (digest, vector) in digests.into_iter().zip(vectors.iter()) {
                known.insert(digest, Arc::clone(vector));
            }
            Ok(vectors)
        }
        .boxed()
        .shared()
    }
}

async fn by_turns(
    turns: &Arc<Shares>,
    tenant: &TenantId,
    embedder: &Arc<dyn Embedder>,
    texts: &[String],
) -> Result<Vec<Vec<f32>>, DbError> {
    let turn = |texts: &[String]| {
        let (turns, tenant) = (Arc::clone(turns), tenant.clone());
        let (embedder, texts) = (Arc::clone(embedder), texts.to_vec());
        let turn = async move {
            let seat = turns.take(&tenant, Purpose::Embedding).await?;
            // What has begun goes on when nobody waits any more. So does its turn, or the next began beside it.
            let begun = tokio::spawn(async move {
                let vectors = embedder.embed(&texts).await;
                drop(seat);
                vectors
            });
            begun.await.map_err(|error| DbError::internal(format!("embedding: {error}")))?
        };
        // A task of its own: a call that is late to hear of its turn keeps nobody from the next.
        let (turn, done) = turn.remote_handle();
        tokio::spawn(turn);
        done
    };
    Ok(try_join_all(texts.chunks(TURN_TEXTS).map(turn)).await?.concat())
}

fn one_of(batch: Batch, place: usize) -> Flight {
    let one = async move {
        let vectors = batch.await?;
        vectors.get(place).cloned().ok_or_else(|| DbError::internal("a batch without one of its vectors"))
    };
    one.boxed().shared()
}

/// Nothing unfit is remembered.
fn check(name: &str, dimension: Option<u32>, texts: usize, vectors: &[Vec<f32>]) -> Result<(), DbError> {
    let fits = |vector: &Vec<f32>| {
        dimension.is_none_or(|dimension| vector.len() == dimension as usize) && vector.iter().all(|e| e.is_finite())
    };
    if vectors.len() == texts && vectors.iter().all(fits) {
        return Ok(());
    }
    let expected = dimension.map_or_else(String::new, |dimension| format!(" of {dimension} finite elements"));
    Err(DbError::internal(format!(
        "the embedder {name} gave {} vectors, the first of {} elements; expected {texts}{expected}: check `model` in \
         [embedders.{name}] and `dimension` of its collections",
        vectors.len(),
        vectors.first().map_or(0, Vec::len),
    )))
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::poll;
    use tokio::sync::Semaphore;

    use super::*;

    /// Counts what it began, and ends it when it is let to.
    struct Held {
        begun: AtomicUsize,
        ends: Semaphore,
    }

    #[async_trait::async_trait]
    impl Embedder for Held {
        async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, DbError> {
            self.begun.fetch_add(1, Ordering::Relaxed);
            self.ends.acquire().await.expect("open").forget();
            Ok(vec![vec![1.0]; texts.len()])
        }
    }

    /// Until all other tasks wait.
    async fn others_run() {
        for _ in 0..16 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn who_gives_up_has_its_turn_until_what_it_began_is_over() {
        let held = Arc::new(Held { begun: AtomicUsize::new(0), ends: Semaphore::new(0) });
        let embedder: Arc<dyn Embedder> = Arc::clone(&held) as _;
        let config = EmbedderConfig::Candle {
            model: "held".into(),
            directory: "nowhere".into(),
            concurrency_max: 1,
            cache_bytes_max: 0,
        };
        let remembered = Remembered::new("held", embedder, None, &config);
        let [a, b] = ["a", "b"].map(|tenant| tenant.parse::<TenantId>().expect("a tenant"));
        let [one, two] = ["one", "two"].map(|text| [text.to_owned()]);
        {
            let mut gives_up = pin!(remembered.embed(&a, &one));
            assert!(poll!(&mut gives_up).is_pending());
            others_run().await;
            assert_eq!(held.begun.load(Ordering::Relaxed), 1);
        }
        let mut next = pin!(remembered.embed(&b, &two));
        assert!(poll!(&mut next).is_pending());
        others_run().await;
        assert_eq!(held.begun.load(Ordering::Relaxed), 1, "the first is not over");
        held.ends.add_permits(2);
        next.await.expect("its turn");
        assert_eq!(held.begun.load(Ordering::Relaxed), 2);
    }
}
