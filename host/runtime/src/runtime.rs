//! The parts, put together: engine, directory, registry, database.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use notify::{
    EventKind, Watcher as _,
    event::{AccessKind, AccessMode},
};
use stockade_db::{Database, background::pool};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::{
    acts::Acts,
    background::Background,
    cache::PluginCache,
    call::{Caller, Invocation, ToolInfo, ToolOutput},
    config::RuntimeConfig,
    directory::Directory,
    engine::Engines,
    error::{CallError, RuntimeError},
    grants::OperatorGrants,
    invoke,
    plugin::Loader,
    ready::ReadySlots,
    recycle::Recycler,
    registry::{Refusal, Registry, ServingPlugin, Snapshot},
};

/// A change to the directory is often several events; it is read when they have stopped for this long.
const QUIET: Duration = Duration::from_millis(50);
/// It is read after this time although they have not stopped.
const UNQUIET_MAX: Duration = Duration::from_secs(1);
/// File systems that report no events (network mounts) are read this often.
const RESCAN: Duration = Duration::from_secs(5);

/// A plugin that serves, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginState {
    /// Its name.
    pub name: String,
    /// Instances that serve a call.
    pub running: usize,
    /// Instances that wait for one.
    pub ready: usize,
    /// Time that compiling it took, or reading it out of the cache of compiled components.
    pub compiled_in: Duration,
}

/// Loads plugins and runs their tools.
pub struct Runtime {
    pub(crate) database: Database,
    pub(crate) cache: PluginCache,
    /// Places of the pool for instances that serve.
    pub(crate) instances: Arc<Semaphore>,
    pub(crate) background: Arc<Background>,
    pub(crate) recycler: Arc<Recycler>,
    registry: Registry,
    directory_problem: Mutex<Option<String>>,
    grants_file: PathBuf,
    orders: mpsc::UnboundedSender<Order>,
    acts: Acts,
    stop: CancellationToken,
}

/// Another configuration, and who waits until plugins have been judged by it.
type Order = (RuntimeConfig, oneshot::Sender<()>);

impl Runtime {
    /// Load what is in the plugin directory, then watch it until [`Runtime::shutdown`].
    ///
    /// A plugin that cannot be loaded is refused and logged; the others serve. `acts` is told what
    /// begins and ceases to serve, what does not, and which grants change.
    ///
    /// # Errors
    /// When the engine cannot be built, or the directory or the grants file cannot be read.
    pub async fn start(config: &RuntimeConfig, database: Database, acts: Acts) -> Result<Arc<Self>, RuntimeError> {
        config.check()?;
        let loader = Loader {
            engines: Engines::start(config)?,
            caps: config.limits,
            slots: ReadySlots::new(config.instances_ready, config.instances_max),
            start: Duration::from_millis(config.start_ms.into()),
            log_lines_per_s_max: config.log_lines_per_s_max,
        };
        let directory = Directory::open(config.clone(), loader)?;
        let changed = Arc::new(Notify::new());
        let watcher = watch_files(config, Arc::clone(&changed))?;
        let (directory, first) = scan(directory, None).await;
        let registry = Registry::new(Snapshot::default());
        registry.replace(first?).into_iter().for_each(&*acts);
        let background = Background::start()?;
        let (orders, ordered) = mpsc::unbounded_channel();
        let runtime = Arc::new(Self {
            database,
            cache: PluginCache::new(config.cache_bytes_max),
            instances: Arc::new(Semaphore::new(config.instances_max as usize)),
            recycler: Arc::new(Recycler::start(Arc::clone(&background))?),
            background,
            registry,
            directory_problem: Mutex::default(),
            grants_file: config.grants_file.clone(),
            orders,
            acts,
            stop: CancellationToken::new(),
        });
        let task = Arc::clone(&runtime);
        tokio::spawn(async move {
            let watching = task.follow(directory, &changed, ordered);
            tokio::select! {
                () = task.stop.cancelled() => {}
                () = watching => {}
            }
            drop(watcher);
        });
        Ok(runtime)
    }

    /// The tools that serve, by name. They are the same for every caller: which plugins are a tenant's is decided by
    /// whoever answers it.
    pub fn tools(&self, _caller: &Caller) -> Vec<Arc<ToolInfo>> {
        self.registry.current().infos.clone()
    }

    /// One tool, if it serves, for whichever caller.
    pub fn tool(&self, _caller: &Caller, name: &str) -> Option<Arc<ToolInfo>> {
        self.registry.current().find(name).map(|(_, tool)| Arc::clone(&tool.info))
    }

    /// A number that grows whenever the list of tools changes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.registry.changes()
    }

    /// The plugins that serve, by name, as they are now.
    pub fn plugins(&self) -> Vec<PluginState> {
        self.registry.current().states()
    }

    /// The plugin files that do not serve.
    pub fn refusals(&self) -> Vec<Refusal> {
        self.registry.current().refusals.clone()
    }

    /// The plugins that serve, by name.
    pub fn serving(&self) -> Vec<ServingPlugin> {
        self.registry.current().serving()
    }

    /// Why the plugin directory could not be read when it was last looked at. What was loaded before serves on.
    pub fn directory_problem(&self) -> Option<String> {
        self.directory_problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a configuration, and the grants file as it is now, could be taken.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn check_config(&self, config: &RuntimeConfig) -> Result<(), String> {
        config.check().map_err(|error| error.to_string())?;
        OperatorGrants::read_file(&self.grants_file).map(drop)
    }

    /// Take what of another configuration may change while the host runs (`limits`, `start_ms`,
    /// `log_lines_per_s_max`), read the directory and the grants again, and judge every plugin by them. Calls
    /// under way keep what they began with. What is given ends when all of that is done; nobody need wait.
    pub fn adjust(&self, config: &RuntimeConfig) -> impl Future<Output = ()> + Send + use<> {
        let (done, judged) = oneshot::channel();
        // After a shutdown nobody listens, and nothing is left to judge.
        let _ = self.orders.send((config.clone(), done));
        async move { judged.await.unwrap_or_default() }
    }

    /// Whether calls can be served: not while there are plugin files and none of them serves.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn check(&self) -> Result<(), String> {
        let current = self.registry.current();
        match current.refusals.first() {
            Some(first) if current.infos.is_empty() => Err(format!(
                "no plugin serves: {} are refused, the first, {}, because {}",
                current.refusals.len(),
                first.file.display(),
                first.reason
            )),
            _ => Ok(()),
        }
    }

    /// Run a tool. Dropping the future ends the call: the guest, its transaction and the query on
    /// the database server.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call(&self, invocation: Invocation) -> Result<ToolOutput, CallError> {
        let snapshot = self.registry.current();
        let (plugin, tool) = snapshot.find(&invocation.tool).ok_or(CallError::UnknownTool)?;
        let identity = &plugin.identity;
        // Since the caller was let to it, the tool may have moved.
        if invocation.plugin.as_ref().is_some_and(|expected| *expected != identity.name) {
            return Err(CallError::UnknownTool);
        }
        let span = tracing::trace_span!(
            target: "stockade::trace",
            "plugin",
            otel.name = format!("plugin {}", identity.name),
            stockade.plugin = identity.name,
            stockade.plugin.version = identity.version,
        );
        invoke::invoke(self, plugin, tool, invocation).instrument(span).await
    }

    /// Stop watching the directory and refuse new calls.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.instances.close();
    }

    async fn follow(&self, mut directory: Directory, changed: &Notify, mut ordered: mpsc::UnboundedReceiver<Order>) {
        // Compiling a large plugin takes seconds; calls go first.
        let aside = pool("compile").map(Arc::new).ok();
        loop {
            let order = tokio::select! {
                order = ordered.recv() => order,
                () = until_quiet(changed) => None,
            };
            if let Some((config, _)) = &order {
                directory.adjust(config);
            }
            let (scanned, snapshot) = scan(directory, aside.clone()).await;
            directory = scanned;
            let problem = snapshot.as_ref().err().map(ToString::to_string);
            *self.directory_problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
            match snapshot {
                Ok(snapshot) => self.registry.replace(snapshot).into_iter().for_each(&*self.acts),
                Err(error) => tracing::error!(reason = %error, "plugins stay as they were"),
            }
            if let Some((_, done)) = order {
                // Whoever ordered it need not wait.
                let _ = done.send(());
            }
        }
    }
}

/// Until the directory has changed and is quiet again, or it is time to look anyway.
async fn until_quiet(changed: &Notify) {
    if tokio::time::timeout(RESCAN, changed.notified()).await.is_ok() {
        let quiet = async { while tokio::time::timeout(QUIET, changed.notified()).await.is_ok() {} };
        // Time over: it is read all the same.
        let _ = tokio::time::timeout(UNQUIET_MAX, quiet).await;
    }
}

/// Scan where blocking is allowed, and compile on the threads of `aside`.
async fn scan(
    mut directory: Directory,
    aside: Option<Arc<rayon::ThreadPool>>,
) -> (Directory, Result<Snapshot, RuntimeError>) {
    let scanned = tokio::task::spawn_blocking(move || {
        let snapshot = match aside {
            Some(aside) => aside.install(|| directory.scan()),
            None => directory.scan(),
        };
        (directory, snapshot)
    });
    match scanned.await {
        Ok(scanned) => scanned,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}

fn watch_files(config: &RuntimeConfig, changed: Arc<Notify>) -> Result<impl Send + use<>, RuntimeError> {
    let failed = |path: &Path, e: notify::Error| RuntimeError::Directory { path: path.into(), reason: e.to_string() };
    let grants_name = config.grants_file.file_name().map(ToOwned::to_owned);
    let heard = move |event: notify::Result<notify::Event>| {
        // Events that were lost may have been any.
        if event.map_or(true, |event| may_matter(&event, grants_name.as_deref())) {
            changed.notify_one();
        }
    };
    let mut watcher = notify::recommended_watcher(heard).map_err(|e| failed(&config.directory, e))?;
    let grants_dir = config.grants_file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    for path in [config.directory.as_path(), grants_dir] {
        watcher.watch(path, notify::RecursiveMode::NonRecursive).map_err(|e| failed(path, e))?;
    }
    Ok(watcher)
}

/// Whether an event can be that of a plugin or of the grants. That a file was read cannot: the next look would
/// bring the one after it. Nor can what happens to the files beside it: a log may be written there all the time.
fn may_matter(event: &notify::Event, grants_name: Option<&OsStr>) -> bool {
    let written = EventKind::Access(AccessKind::Close(AccessMode::Write));
    let read = event.kind.is_access() && event.kind != written;
    let of_ours = |path: &PathBuf| path.extension().is_some_and(|e| e == "wasm") || path.file_name() == grants_name;
    event.need_rescan() || (!read && event.paths.iter().any(of_ours))
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, DataChange, ModifyKind, RenameMode};

    use super::*;

    #[test]
    fn files_that_are_read_and_files_beside_do_not_matter() {
        let (opened, written) = (AccessKind::Open(AccessMode::Any), AccessKind::Close(AccessMode::Write));
        let modified = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        let renamed = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        for (kind, path, expected) in [
            (EventKind::Access(opened), "plugins/a.wasm", false),
            (EventKind::Access(opened), "grants.toml", false),
            (EventKind::Access(written), "plugins/a.wasm", true),
            (EventKind::Create(CreateKind::File), "plugins/a.wasm", true),
            (EventKind::Create(CreateKind::File), "plugins/a.wasm.partial", false),
            (renamed, "plugins/a.wasm", true),
            (modified, "grants.toml", true),
            (modified, "server.log", false),
        ] {
            let event = notify::Event::new(kind).add_path(path.into());
            assert_eq!(may_matter(&event, Some(OsStr::new("grants.toml"))), expected, "{event:?}");
        }
    }

    #[tokio::test]
    async fn a_directory_that_is_never_quiet_is_read_all_the_same() {
        let changed = Arc::new(Notify::new());
        let storm = Arc::clone(&changed);
        tokio::spawn(async move {
            loop {
                storm.notify_one();
                tokio::time::sleep(QUIET / 2).await;
            }
        });
        let waited = tokio::time::timeout(Duration::from_secs(60), until_quiet(&changed)).await;
        assert!(waited.is_ok(), "it waits for ever");
    }
}
