use std::{
    borrow::Cow,
    future::ready,
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
};

use futures::{FutureExt, future::BoxFuture};
use opentelemetry::Context;
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, CompleteRequestMethod, CompleteRequestParams,
        CompleteResult, ContentBlock, CustomRequest, CustomResult, DiscoverResult, ErrorCode, GetPromptRequestMethod,
        GetPromptRequestParams, GetPromptResponse, InitializeRequestParams, InitializeResult, ListPromptsRequestMethod,
        ListPromptsResult, ListResourceTemplatesRequestMethod, ListResourceTemplatesResult, ListResourcesRequestMethod,
        ListResourcesResult, ListToolsResult, PaginatedRequestParams, ProtocolVersion, ReadResourceRequestMethod,
        ReadResourceRequestParams, ReadResourceResponse, ServerConfig as ServerInfo, SetLevelRequestMethod,
        SubscribeRequestMethod, SubscribeRequestParams, SubscriptionFilter, Tool, UnsubscribeRequestMethod,
        UnsubscribeRequestParams,
    },
    service::{NotificationContext, RequestContext, SubscriptionContext},
};
use serde_json::Value;
use stockade_runtime::{CallError, CallReport, Invocation, ToolInfo, ToolOutput};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{Instrument, Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use uuid::Uuid;

use super::{HttpSide, Shared, lists, notify};
use crate::{
    auth::KnownCaller,
    errors::{self, Failure},
    telemetry::{Ended, Operation, TRACE, parent_of, trace_id},
    tenants::Place,
};

/// Revisions that clients may speak.
const VERSIONS: &[ProtocolVersion] =
    &[ProtocolVersion::V_2025_06_18, ProtocolVersion::V_2025_11_25, ProtocolVersion::V_2026_07_28];
/// Methods that are implemented. A request with one of these names reaches `on_custom_request` only
/// when its parameters do not have the method's form.
const METHODS: &[&str] = &["initialize", "ping", "server/discover", "subscriptions/listen", "tools/call", "tools/list"];
/// What metrics call all methods that this server does not have, as OpenTelemetry's conventions do.
const OTHER: &str = "_OTHER";
/// Characters of what a client made up, a tool's name or an id, that are logged and traced.
const CLIENTS_WORDS_MAX: usize = 64;

/// Answers one request of the newer revision, or one session of the older ones, or all of stdio:
/// always as one caller.
pub(crate) struct McpHandler {
    shared: Arc<Shared>,
    known: Arc<KnownCaller>,
    /// The version of the tool list when this handler was made.
    seen: u64,
    /// Ends the task that tells the session of changes, with the handler.
    session_watch: OnceLock<DropGuard>,
}

impl McpHandler {
    pub(crate) fn new(shared: Arc<Shared>, known: Arc<KnownCaller>) -> Self {
        let seen = shared.version();
        Self { shared, known, seen, session_watch: OnceLock::new() }
    }

    /// Runs a call and says what the client gets. Everything in here carries the request id.
    async fn answer_call(
        &self,
        request: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
        tool: Option<Arc<ToolInfo>>,
        request_id: String,
        operation: &mut Operation,
    ) -> Result<CallToolResult, ErrorData> {
        let _busy = self.shared.busy.token();
        // Dropping the work is the cancellation: with it go the store, the transaction and the query.
        let report = CallReport::metered(self.shared.metrics.meter(&self.known.tenant, tool.as_deref()));
        let record = match self.shared.audit.begin(&self.known, &request_id, &request, report.clone()) {
            Ok(record) => record,
            Err(failure) => return errors::answer(failure, &request_id, operation),
        };
        let outcome = tokio::select! {
            biased;
            () = context.ct.cancelled() => None,
            // Without an answer the library would leave the client waiting for ever.
            outcome = AssertUnwindSafe(self.run(request, context, tool, request_id.clone(), report)).catch_unwind() => {
                Some(outcome.unwrap_or(Err(Failure::Panicked)))
            }
        };
        let outcome = record.end(outcome).await;
        let duration_ms = u64::try_from(operation.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::Span::current().record("duration_ms", duration_ms);
        match outcome {
            Some(Ok(output)) => {
                tracing::info!("call done");
                operation.end(Ended::Done);
                Ok(success(output))
            }
            Some(Err(failure)) => errors::answer(failure, &request_id, operation),
            None => {
                tracing::info!("call cancelled");
                // The library sends nothing for a cancelled request; this only ends the handler.
                Err(ErrorData::internal_error("cancelled", None))
            }
        }
    }

    async fn run(
        &self,
        request: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
        tool: Option<Arc<ToolInfo>>,
        request_id: String,
        report: CallReport,
    ) -> Result<ToolOutput, Failure> {
        if self.shared.stopping.is_cancelled() {
            return Err(Failure::Stopping);
        }
        let tool = self.admit(&request.name, tool, context)?;
        let _turn = self.turn().await?;
        let invocation = Invocation {
            caller: Arc::clone(&self.known.caller),
            tool: request.name.into_owned(),
            plugin: Some(tool.plugin.clone()),
            arguments: request.arguments.unwrap_or_default(),
            request_id,
            progress: None,
            report,
        };
        let call: BoxFuture<'_, _> = match context.meta.get_progress_token() {
            None => self.shared.tools.call(invocation),
            Some(token) => notify::call_with_progress(&self.shared, invocation, &context.peer, token).boxed(),
        };
        call.await.map_err(Failure::Call)
    }

    /// Begins to count and time a request.
    fn begin(
        &self,
        method: &'static str,
        tool: Option<Arc<ToolInfo>>,
        context: &RequestContext<RoleServer>,
    ) -> Operation {
        let transport = if HttpSide::of(context).is_some() { "tcp" } else { "pipe" };
        // A session's client may have said anything; what is not one of ours was not agreed on.
        let version = context.protocol_version();
        let version = version.and_then(|version| VERSIONS.iter().find(|known| **known == version));
        self.shared.metrics.begin(method, tool, transport, version.map(ProtocolVersion::as_str))
    }

    /// Counts and times a request that is no call.
    async fn counted<T>(
        &self,
        method: &'static str,
        context: &RequestContext<RoleServer>,
        answer: impl Future<Output = Result<T, ErrorData>>,
    ) -> Result<T, ErrorData> {
        let mut operation = self.begin(method, None, context);
        let answer = answer.await;
        operation.end(match &answer {
            Ok(_) => Ended::Done,
            Err(error) => Ended::Refused { error: error_type(error.code) },
        });
        answer
    }

    /// Whether the tenant may make a call now, and the caller may make this one, of `tool` if it is there.
    fn admit(
        &self,
        name: &str,
        tool: Option<Arc<ToolInfo>>,
        context: &RequestContext<RoleServer>,
    ) -> Result<Arc<ToolInfo>, Failure> {
        let http = HttpSide::of(context);
        if let Err(exhausted) = self.known.tenant.take_call() {
            // The first to come, of one.
            let _ = http.map(|http| http.retry_after.set(exhausted.retry_after));
            return Err(Failure::Exhausted(exhausted));
        }
        let tool = tool.ok_or(Failure::Call(CallError::UnknownTool))?;
        // The endpoint has looked at the same, to answer in HTTP's words; this is the one that counts,
        // because it looks at the message as it was understood.
        match http.and_then(|http| http.lacking(Some(name))) {
            Some(needed) => Err(Failure::Scope(needed.join(" "))),
            None => Ok(tool),
        }
    }

    /// Waits for a place among the caller's calls, then among all calls, by turns with other tenants.
    async fn turn(&self) -> Result<(SemaphorePermit<'_>, Place), Failure> {
        let deadline = tokio::time::Instant::now() + self.shared.queue_timeout();
        let own = place(&self.known.calls, deadline).await.ok_or(Failure::Busy { own: true })?;
        let place = self.shared.queue.enter(&self.known.tenant, deadline).await;
        Ok((own, place.ok_or(Failure::Busy { own: false })?))
    }
}

async fn place(places: &Semaphore, deadline: tokio::time::Instant) -> Option<SemaphorePermit<'_>> {
    // Most of the time there is a place, and no timer is needed.
    match places.try_acquire() {
        Ok(permit) => Some(permit),
        Err(_) => tokio::time::timeout_at(deadline, places.acquire()).await.ok()?.ok(),
    }
}

fn success(ToolOutput { structured, text }: ToolOutput) -> CallToolResult {
    let structured = Value::Object(structured);
    let text = text.unwrap_or_else(|| structured.to_string());
    let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
    result.structured_content = Some(structured);
    result
}

/// The span of a call for traces, beneath the client's own where it has sent one. A name that a client made
/// up is no name of a span.
fn traced(
    tool: Option<&ToolInfo>,
    request_id: &str,
    operation: &Operation,
    parent: &Context,
    context: &RequestContext<RoleServer>,
) -> Span {
    let span = tracing::trace_span!(
        target: TRACE,
        "tools/call",
        otel.name = tool.map_or_else(|| "tools/call".to_owned(), |tool| format!("tools/call {}", tool.name)),
        otel.kind = "server",
        otel.status_code = Empty,
        mcp.method.name = "tools/call",
        mcp.protocol.version = operation.version(),
        // Without a session the header is whatever the client has made up.
        mcp.session.id = HttpSide::session_of(context).filter(|_| !is_modern(context)),
        jsonrpc.request.id = start_of(&context.id.to_string()),
        network.transport = operation.transport(),
        gen_ai.operation.name = "execute_tool",
        gen_ai.tool.name = tool.map(|tool| tool.name.as_str()),
        stockade.request.id = request_id,
        stockade.error.code = Empty,
        error.type = Empty,
    );
    if !span.is_disabled() {
        // Nothing has entered it yet.
        let _ = span.set_parent(parent.clone());
    }
    span
}

/// A protocol error's code, as a label.
fn error_type(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::INVALID_REQUEST => "-32600",
        ErrorCode::METHOD_NOT_FOUND => "-32601",
        ErrorCode::INVALID_PARAMS => "-32602",
        ErrorCode::INTERNAL_ERROR => "-32603",
        _ => OTHER,
    }
}

fn is_modern(context: &RequestContext<RoleServer>) -> bool {
    context.protocol_version().is_some_and(|version| version >= ProtocolVersion::V_2026_07_28)
}

/// As much as is logged and traced of what a client made up.
fn start_of(text: &str) -> &str {
    text.char_indices().nth(CLIENTS_WORDS_MAX).map_or(text, |(end, _)| text.get(..end).unwrap_or_default())
}

/// Methods of the protocol that this server does not have: answered as the library would, and counted.
macro_rules! not_here {
    ($($(#[$attribute:meta])? $name:ident($params:ty) -> $result:ty, $method:ty;)+) => {$(
        $(#[$attribute])?
        async fn $name(&self, _: $params, context: RequestContext<RoleServer>) -> Result<$result, ErrorData> {
            self.counted(OTHER, &context, ready(Err(ErrorData::method_not_found::<$method>()))).await
        }
    )+};
}

impl ServerHandler for McpHandler {
    not_here! {
        complete(CompleteRequestParams) -> CompleteResult, CompleteRequestMethod;
        #[expect(deprecated, reason = "clients of the older revisions may ask")]
        set_level(rmcp::model::SetLevelRequestParams) -> (), SetLevelRequestMethod;
        get_prompt(GetPromptRequestParams) -> GetPromptResponse, GetPromptRequestMethod;
        list_prompts(Option<PaginatedRequestParams>) -> ListPromptsResult, ListPromptsRequestMethod;
        list_resources(Option<PaginatedRequestParams>) -> ListResourcesResult, ListResourcesRequestMethod;
        list_resource_templates(Option<PaginatedRequestParams>) -> ListResourceTemplatesResult, ListResourceTemplatesRequestMethod;
        read_resource(ReadResourceRequestParams) -> ReadResourceResponse, ReadResourceRequestMethod;
        subscribe(SubscribeRequestParams) -> (), SubscribeRequestMethod;
        unsubscribe(UnsubscribeRequestParams) -> (), UnsubscribeRequestMethod;
    }

    fn get_info(&self) -> ServerInfo {
        self.shared.info()
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        Cow::Borrowed(VERSIONS)
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        context.peer.set_peer_info(request.clone());
        self.counted("initialize", &context, ready(self.negotiate_initialize(&request))).await
    }

    async fn ping(&self, context: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        self.counted("ping", &context, ready(Ok(()))).await
    }

    async fn discover(&self, context: RequestContext<RoleServer>) -> Result<DiscoverResult, ErrorData> {
        let result = DiscoverResult::from_server_info(VERSIONS.to_vec(), self.get_info());
        self.counted("server/discover", &context, ready(Ok(result))).await
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let answer = async {
            if request.is_some_and(|params| params.cursor.is_some()) {
                return Err(ErrorData::invalid_params("Unknown cursor: the list of tools has one page", None));
            }
            let tools = lists::tools_of(&self.shared, &self.known);
            let mut result = ListToolsResult::with_all_items(Vec::clone(&tools));
            if is_modern(&context) {
                result.meta = Some(self.shared.result_meta.clone());
            }
            Ok(result)
        };
        self.counted("tools/list", &context, answer).await
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        // Ours alone: an id that a client chose could be another call's.
        let request_id = Uuid::now_v7().to_string();
        let tool = self.shared.tool(&self.known, &request.name);
        let mut operation = self.begin("tools/call", tool.clone(), &context);
        let parent = parent_of(&context);
        let traced = traced(tool.as_deref(), &request_id, &operation, &parent, &context);
        // At the level of errors, so that the ids stand in every line of whatever level is logged.
        let span = tracing::error_span!(
            "call",
            request_id,
            trace_id = trace_id(&traced, &parent),
            caller = &*self.known.name,
            tool = start_of(&request.name),
            duration_ms = Empty,
        );
        let answered = self.answer_call(request, &context, tool, request_id, &mut operation);
        let answered = answered.instrument(span).instrument(traced.clone()).await;
        if let Some((error, code)) = operation.error() {
            traced.record("error.type", error).record("stockade.error.code", code).record("otel.status_code", "ERROR");
        }
        let mut result = answered?;
        if is_modern(&context) {
            result.meta = Some(self.shared.result_meta.clone());
        }
        Ok(result.into())
    }

    /// Only the schema is looked at: the library checks `Mcp-Param-*` headers against it, at each call.
    fn get_tool(&self, name: &str) -> Option<Tool> {
        let info = self.shared.tool(&self.known, name)?;
        Some(Tool::new_with_raw("", None, Arc::clone(&info.input_schema)))
    }

    fn accepted_subscription_filter(&self, _requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(SubscriptionFilter::builder().tools_list_changed().build())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let told = notify::tell_subscription(&self.shared, &self.known, self.seen, &context).map(Ok);
        self.counted("subscriptions/listen", context.request_context(), told).await
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        let ended = CancellationToken::new();
        // A client that says `initialized` again does not get a second task.
        if self.session_watch.set(ended.clone().drop_guard()).is_err() {
            return;
        }
        let (shared, known) = (Arc::clone(&self.shared), Arc::clone(&self.known));
        tokio::spawn(notify::tell_session(shared, known, self.seen, context.peer, ended));
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let method = METHODS.iter().copied().find(|method| *method == request.method);
        let error = match method {
            Some(method) => {
                let message = format!("Invalid params: they do not have the form that `{method}` takes");
                ErrorData::new(ErrorCode::INVALID_PARAMS, message, None)
            }
            None => ErrorData::new(ErrorCode::METHOD_NOT_FOUND, "Method not found", None),
        };
        self.counted(method.unwrap_or(OTHER), &context, ready(Err(error))).await
    }
}
