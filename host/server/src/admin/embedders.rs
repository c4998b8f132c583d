use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};
use stockade_db::Database;
use tokio_util::sync::CancellationToken;

/// A model that does not answer for this long does not answer.
const PROBE_MAX: Duration = Duration::from_secs(30);

/// How the embedding models were when they were last looked at. A model that fails takes nothing down but
/// the tools that search by meaning: it is watched, and the server stays ready.
#[derive(Default)]
pub(super) struct EmbedderWatch(Mutex<BTreeMap<String, Seen>>);

struct Seen {
    at: jiff::Timestamp,
    outcome: Result<Duration, String>,
}

impl EmbedderWatch {
    /// Looks at each model now and every `period`, until `stop`.
    pub(super) fn follow(self: &Arc<Self>, database: Database, period: Duration, stop: CancellationToken) {
        let this = Arc::clone(self);
        let names = database.embedders();
        if names.is_empty() {
            return;
        }
        let watching = async move {
            let mut ticks = tokio::time::interval(period);
            loop {
                ticks.tick().await;
                for name in &names {
                    let probe = tokio::time::timeout(PROBE_MAX, database.probe_embedder(name)).await;
                    let outcome = match probe {
                        Ok(outcome) => outcome.map_err(|error| error.for_log()),
                        Err(_) => Err(format!("no answer within {} s", PROBE_MAX.as_secs())),
                    };
                    this.note(name, outcome);
                }
            }
        };
        tokio::spawn(async move { stop.run_until_cancelled(watching).await });
    }

    /// Only a change is worth a line of the log.
    fn note(&self, name: &str, outcome: Result<Duration, String>) {
        let now = Seen { at: jiff::Timestamp::now(), outcome: outcome.clone() };
        let before = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), now);
        let was_well = before.is_none_or(|before| before.outcome.is_ok());
        match outcome {
            Err(inner) if was_well => {
                tracing::warn!(fault = "host", embedder = name, inner, "an embedding model fails")
            }
            Ok(_) if !was_well => tracing::info!(embedder = name, "an embedding model is well again"),
            _ => {}
        }
    }

    /// For an operator.
    pub(super) fn seen(&self) -> Value {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let one = |seen: &Seen| match &seen.outcome {
            Ok(took) => json!({ "ok": true, "at": seen.at.to_string(), "took_ms": super::health::ms(*took) }),
            Err(reason) => json!({ "ok": false, "at": seen.at.to_string(), "reason": reason }),
        };
        seen.iter().map(|(name, of)| (name.clone(), one(of))).collect::<serde_json::Map<_, _>>().into()
    }
}
