//! `stockade embed`: (re)builds a collection, showing how far it has come.

use std::{
    io::IsTerminal as _,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use stockade_db::{RebuildOptions, RebuildProgress};
use stockade_server::environment::Environment;

use super::{load, read_admin_url};
use crate::cli::EmbedArgs;

/// Where nobody watches, a line so often.
const LINE_EVERY: Duration = Duration::from_secs(10);

pub(crate) async fn embed(args: EmbedArgs, environment: &Environment) -> anyhow::Result<()> {
    let (config, _telemetry) = load(args.config, environment)?;
    let name = args.collection;
    let database = &config.database;
    let collection = database
        .collections
        .get(&name)
        .with_context(|| format!("there is no [collections.{name}] in the configuration"))?;
    let model = database
        .embedders
        .get(&collection.embedder)
        .with_context(|| format!("there is no [embedders.{}] in the configuration", collection.embedder))?;
    let admin_url = read_admin_url(args.admin_url)?;
    let options = RebuildOptions { batch_rows: args.batch_rows };
    let shown = Shown::new();
    let began = Instant::now();
    let outcome =
        stockade_db::rebuild(&admin_url, &name, collection, model, options, &|progress| shown.show(progress)).await;
    shown.bar.finish_and_clear();
    let done = outcome.map_err(|error| {
        anyhow::anyhow!("cannot embed the collection {name}: {}; rows that are done stay done", error.for_log())
    })?;
    println!(
        "embedded {} rows of {name} with {} in {:.1} s; {} rows are current",
        done.embedded,
        model.model(),
        began.elapsed().as_secs_f64(),
        done.current
    );
    Ok(())
}

/// A bar on a terminal, lines elsewhere.
struct Shown {
    bar: ProgressBar,
    /// When the last line was written.
    line: Option<Mutex<Option<Instant>>>,
}

impl Shown {
    fn new() -> Self {
        let on_terminal = std::io::stderr().is_terminal();
        let target = if on_terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) =
            ProgressStyle::with_template("{wide_bar} {human_pos}/{human_len} rows, {per_sec}, {eta} left")
        {
            bar.set_style(style);
        }
        Self { bar, line: (!on_terminal).then(Mutex::default) }
    }

    fn show(&self, RebuildProgress { done, total }: RebuildProgress) {
        self.bar.set_length(total);
        self.bar.set_position(done);
        let Some(line) = &self.line else { return };
        let mut last = line.lock().unwrap_or_else(PoisonError::into_inner);
        if done == 0 || done >= total || last.is_none_or(|last| last.elapsed() >= LINE_EVERY) {
            *last = Some(Instant::now());
            eprintln!("embedded {done} of {total} rows");
        }
    }
}
