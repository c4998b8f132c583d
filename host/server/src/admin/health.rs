use std::time::Duration;

use serde_json::{Value, json};

use super::Operator;

/// Milliseconds, to the microsecond.
pub(super) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

impl Operator {
    /// Everything about how the host is, with reasons, and whether it is ready.
    pub(super) async fn health(&self) -> (bool, Value) {
        let stopping = self.front.health.is_retiring();
        let (checked, migrations) = tokio::join!(self.database.check(), self.database.migrations());
        let checked = checked.map_err(|error| error.for_log());
        let plugins = self.runtime.check();
        let reasons: Vec<&str> =
            [checked.as_ref().err(), plugins.as_ref().err()].into_iter().flatten().map(String::as_str).collect();
        let ready = reasons.is_empty() && !stopping;
        let status = match (stopping, ready) {
            (true, _) => "stopping",
            (_, true) => "ready",
            _ => "not ready",
        };
        let health = json!({
            "status": status,
            "reasons": reasons,
            "version": env!("CARGO_PKG_VERSION"),
            "uptime_s": self.started.elapsed().as_secs(),
            "database": {
                "ok": checked.is_ok(),
                "ping_ms": checked.as_ref().ok().copied().map(ms),
                "reason": checked.as_ref().err(),
                "pools": self.pools(),
            },
            "migrations": match migrations {
                Ok(migrations) => json!({ "expected": migrations.expected, "applied": migrations.applied }),
                Err(error) => json!({ "reason": error.for_log() }),
            },
            "plugins": self.plugins(),
            "embedders": self.embedders.seen(),
            "audit": self.audit.places(),
            "tenants": self.tenants(),
        });
        (ready, health)
    }

    fn pools(&self) -> Value {
        let stats = self.database.stats();
        let replicas = stats.replicas.iter().map(|replica| {
            json!({
                "used": replica.used,
                "lag_ms": replica.lag_ms,
                "connections": replica.connections,
                "breaker": format!("{:?}", replica.breaker).to_lowercase(),
            })
        });
        json!({
            "calls": {
                "connections_max": stats.connections_max,
                "connections": stats.connections,
                "idle": stats.idle,
                "in_use": stats.in_use,
                "waiting": stats.waiting,
            },
            "control": { "connections": stats.control_connections, "idle": stats.control_idle },
            "breaker": format!("{:?}", stats.breaker).to_lowercase(),
            "replicas": replicas.collect::<Vec<_>>(),
        })
    }

    fn plugins(&self) -> Value {
        let serving = self.runtime.serving().into_iter().map(|plugin| {
            json!({ "name": plugin.name, "version": plugin.version, "digest": plugin.digest, "tools": plugin.tools })
        });
        let refused = self.runtime.refusals().into_iter();
        let refused = refused.map(|refusal| json!({ "file": refusal.file, "reason": refusal.reason }));
        json!({
            "serving": serving.collect::<Vec<_>>(),
            "refused": refused.collect::<Vec<_>>(),
            "directory_problem": self.runtime.directory_problem(),
        })
    }

    /// How many there are, and those that have something under way.
    fn tenants(&self) -> Value {
        let tenants = self.front.endpoint.tenants();
        let lanes = self.front.shared.queue.lanes();
        let busy = tenants.iter().filter_map(|tenant| {
            let (running, waiting) = lanes.get(&tenant.name).copied().unwrap_or_default();
            let requests = tenant.requests_under_way();
            (requests + running + waiting > 0).then(
                || json!({ "tenant": &*tenant.name, "requests": requests, "calls": running, "calls_waiting": waiting }),
            )
        });
        let busy: Vec<Value> = busy.collect();
        json!({ "configured": tenants.len(), "busy": busy })
    }
}
