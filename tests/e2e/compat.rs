//! A guest of each released version of the contract loads and runs for ever (`tests/compat`).

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use serde_json::{Map, Value, json};
use stockade_runtime::{CallError, CallMeter, CallReport, Invocation, Measurement, Progress, Used};
use stockade_tests::{Log, TestApp};
use wasmtime::{
    Engine,
    component::{Component, types::ComponentItem},
};
use wit_parser::{Resolve, WorldItem, WorldKey};

/// What the guests ask for.
const GRANTS: &str = "[kept]\nsql = { schemas = ['public'] }\nvector = { collections = ['products'] }\ncache = {}\n\
    metrics = { names = ['kept'] }\nlog = { level = 'trace' }";

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// The guests of one version, by the version's folder.
fn guests(version: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let texts = entries(version).into_iter().filter(|path| path.extension().is_some_and(|end| end == "wat"));
    texts.map(|path| (path.clone(), wat::parse_file(&path).unwrap_or_else(|e| panic!("{e}")))).collect()
}

fn versions() -> Vec<PathBuf> {
    entries(&here("compat")).into_iter().filter(|path| path.is_dir()).collect()
}

/// `interface function` for each function that a component imports.
fn imported(component: &[u8]) -> BTreeSet<String> {
    let engine = Engine::default();
    let component = Component::new(&engine, component).unwrap();
    let mut functions = BTreeSet::new();
    for (interface, item) in component.component_type().imports(&engine) {
        let ComponentItem::ComponentInstance(instance) = item.ty else { panic!("{interface} is no interface") };
        let of_it = instance.exports(&engine).filter(|(_, item)| matches!(item.ty, ComponentItem::ComponentFunc(_)));
        functions.extend(of_it.map(|(function, _)| format!("{interface} {function}")));
    }
    functions
}

#[test]
fn a_kept_guest_calls_each_function_of_the_contract() {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(here("../wit")).unwrap();
    let version = resolve.packages[package].name.version.clone().expect("a version").to_string();
    let world = &resolve.worlds[resolve.packages[package].worlds["plugin"]];
    let mut offered = BTreeSet::new();
    for (key, item) in &world.imports {
        let (WorldKey::Interface(_), WorldItem::Interface { id, .. }) = (key, item) else { panic!("no interface") };
        let interface = resolve.id_of(*id).expect("a name");
        offered.extend(resolve.interfaces[*id].functions.keys().map(|function| format!("{interface} {function}")));
    }
    let kept = guests(&here("compat").join(&version));
    let called: BTreeSet<_> = kept.iter().flat_map(|(_, component)| imported(component)).collect();
    assert!(offered.len() > 15, "{offered:?}");
    let uncalled: Vec<_> = offered.difference(&called).collect();
    assert!(uncalled.is_empty(), "no guest in tests/compat/{version} calls {uncalled:?}: keep a further one there");
}

/// What a plugin measures.
#[derive(Clone, Default)]
struct Measured(Arc<Mutex<Vec<(String, Measurement)>>>);

impl CallMeter for Measured {
    fn used(&self, _: Used) {}

    fn measured(&self, name: &str, measurement: Measurement) {
        self.0.lock().unwrap().push((name.to_owned(), measurement));
    }
}

async fn check(file: &Path, component: Vec<u8>) {
    let log = Log::keep();
    let app = TestApp::builder().component("kept", component).grants(GRANTS).sections("[cache]").start().await;
    assert_eq!(app.app().runtime().refusals(), [], "{}", file.display());
    let (measured, (sender, mut reports)) = (Measured::default(), tokio::sync::mpsc::channel(10));
    let call = |tool: &str| Invocation {
        caller: app.caller("head-office"),
        tool: tool.into(),
        plugin: None,
        arguments: Map::new(),
        request_id: "the-kept-guest".into(),
        progress: Some(sender.clone()),
        report: CallReport::metered(measured.clone()),
    };
    let output =
        app.app().runtime().call(call("answers")).await.unwrap_or_else(|e| panic!("{}: {e:?}", file.display()));
    let Some(Value::String(checks)) = output.structured.get("checks") else { panic!("{:?}", output.structured) };
    let failed: Vec<_> = checks.match_indices('0').map(|(at, _)| at + 1).collect();
    assert!(failed.is_empty() && checks.len() > 50, "{}: of {} checks {failed:?} failed", file.display(), checks.len());
    assert_eq!(output.text.as_deref(), Some("checked"));
    let report = Progress { done: 0.5, total: Some(1.0), message: Some("half".into()) };
    assert_eq!(reports.recv().await, Some(report));
    let expected = [Measurement::Added(2.0), Measurement::Recorded(0.5)].map(|what| ("kept".to_owned(), what));
    assert_eq!(*measured.0.lock().unwrap(), expected);
    let levels: Vec<_> = log.containing("kept guest writes").iter().map(|line| line["level"].clone()).collect();
    assert_eq!(levels, [json!("INFO"), json!("WARN"), json!("ERROR")]);
    let refused = app.app().runtime().call(call("refuses")).await;
    let Err(CallError::Validation { code, message }) = refused else { panic!("{refused:?}") };
    assert_eq!((code.as_str(), message.as_str()), ("REFUSED", "as it was asked to"));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, the plugins and the model: cargo xtask test"]
async fn each_kept_guest_loads_and_is_answered_as_ever() {
    for version in versions() {
        for (file, component) in guests(&version) {
            check(&file, component).await;
        }
    }
}
