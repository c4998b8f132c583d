//! Traces: one for each call, from the client that called to every statement.
//!
//! All crates make their spans with `tracing`, under the one target [`TRACE`]; here they become OpenTelemetry's.
//! Nobody makes one where no traces are sent: `tracing` knows then that nobody listens to the target.

use std::time::Duration;

use opentelemetry::{
    Context,
    propagation::{Extractor, TextMapPropagator},
    trace::{TraceContextExt, TracerProvider},
};
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, SpanLimits},
};
use rmcp::{RoleServer, service::RequestContext};
use tracing::{Metadata, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};

use super::otlp;
use crate::config::{ConfigError, OtlpConfig};

/// The target of spans that are for traces alone.
pub(crate) const TRACE: &str = "stockade::trace";

/// Spans of one batch.
const BATCH_MAX: usize = 512;

/// Where the spans of this process go. Cloning is cheap.
#[derive(Clone)]
pub struct Traces {
    provider: SdkTracerProvider,
    timeout: Duration,
}

impl Traces {
    /// Sends spans to a collector. A collector that is slow or gone costs spans, and no call waits for it:
    /// `queue_max` of them wait, further ones are dropped.
    ///
    /// # Errors
    /// When the address or the file of headers is wrong.
    pub fn start(config: &OtlpConfig) -> Result<Self, ConfigError> {
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(config.queue_max)
            .with_max_export_batch_size(BATCH_MAX.min(config.queue_max))
            .with_scheduled_delay(Duration::from_secs(config.spans_every_s))
            .build();
        let spans = BatchSpanProcessor::builder(otlp::spans(config)?).with_batch_config(batches).build();
        let provider = SdkTracerProvider::builder()
            .with_resource(otlp::resource())
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.sampling_ratio))))
            .with_span_processor(spans)
            // The default would read the environment.
            .with_span_limits(SpanLimits::default())
            .build();
        Ok(Self { provider, timeout: Duration::from_millis(config.timeout_ms) })
    }

    /// What hears of spans. Of spans alone: a line of the log may hold what must not leave the log.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("stockade"))
            .with_location(false)
            .with_threads(false)
            .with_level(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(is_trace))
    }

    /// Sends the spans that wait, as long as sending one batch may take.
    pub async fn close(self) {
        let Self { provider, timeout } = self;
        // It waits for its thread.
        let closing = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(timeout));
        if !matches!(closing.await, Ok(Ok(()))) {
            tracing::warn!("spans that waited were not sent: the collector does not take them");
        }
    }
}

/// Whether this is a span for traces alone.
pub(super) fn is_trace(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target() == TRACE
}

/// The span of the client that called, as the message's `_meta` says it, or the HTTP request's headers.
pub(crate) fn parent_of(context: &RequestContext<RoleServer>) -> Context {
    struct Carrier<'a> {
        traceparent: &'a str,
        tracestate: Option<&'a str>,
    }
    impl Extractor for Carrier<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            match key {
                "traceparent" => Some(self.traceparent),
                "tracestate" => self.tracestate,
                _ => None,
            }
        }

        fn keys(&self) -> Vec<&str> {
            vec!["traceparent", "tracestate"]
        }
    }
    let headers = context.extensions.get::<http::request::Parts>().map(|parts| &parts.headers);
    let header = |name| headers.and_then(|headers| headers.get(name)?.to_str().ok());
    let carrier = match context.meta.get_traceparent() {
        Some(traceparent) => Carrier { traceparent, tracestate: context.meta.get_tracestate() },
        None => match header("traceparent") {
            Some(traceparent) => Carrier { traceparent, tracestate: header("tracestate") },
            None => return Context::new(),
        },
    };
    TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier)
}

/// Under which trace `span` is, or its `parent` where no traces are sent.
pub(crate) fn trace_id(span: &Span, parent: &Context) -> Option<String> {
    let own = span.context();
    let context = if own.span().span_context().is_valid() { own } else { parent.clone() };
    let context = context.span().span_context().clone();
    context.is_valid().then(|| context.trace_id().to_string())
}
