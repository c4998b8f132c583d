//! What a line says of the call that it belongs to, where spans of traces lie between them.

use tracing::{
    Subscriber,
    span::{Attributes, Id},
};
use tracing_subscriber::{
    Layer,
    fmt::{
        FormattedFields,
        format::{DefaultFields, JsonFields},
    },
    layer::Context,
    registry::{Extensions, ExtensionsMut, LookupSpan},
};

use crate::telemetry::traces::is_trace;

/// Shows a span of a trace in the log as the call that it is part of: a line has the fields of the innermost
/// span alone, and on a thread that took a call over that is one of the trace. It comes before what writes.
pub(super) struct AsTheirCall;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for AsTheirCall {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if !is_trace(attributes.metadata()) {
            return;
        }
        let Some(span) = context.span(id) else { return };
        let parent = span.parent();
        let of_parent = parent.as_ref().map(|parent| parent.extensions());
        let json = fields::<JsonFields>(of_parent.as_ref());
        let text = fields::<DefaultFields>(of_parent.as_ref());
        let mut own = span.extensions_mut();
        keep::<JsonFields>(&mut own, json);
        keep::<DefaultFields>(&mut own, text);
    }
}

fn fields<F: 'static>(of_parent: Option<&Extensions<'_>>) -> String {
    let fields = of_parent.and_then(|extensions| extensions.get::<FormattedFields<F>>());
    fields.map(|fields| fields.fields.clone()).unwrap_or_default()
}

fn keep<F: 'static>(own: &mut ExtensionsMut<'_>, fields: String) {
    own.replace(FormattedFields::<F>::new(fields));
}
