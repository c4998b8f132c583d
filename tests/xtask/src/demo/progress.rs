//! Progress of the load: a bar a stage on a terminal, a line a stage in a log.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use zava_retail::{Progress, Stage};

/// The bars, made as stages begin.
pub(super) struct Bars {
    all: MultiProgress,
    by_stage: Mutex<HashMap<Stage, ProgressBar>>,
}

impl Bars {
    pub(super) fn new() -> Self {
        Self { all: MultiProgress::new(), by_stage: Mutex::new(HashMap::new()) }
    }

    /// Shows how far a stage has come; called from several tasks.
    pub(super) fn show(&self, progress: Progress) {
        let mut bars = self.by_stage.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = bars.entry(progress.stage).or_insert_with(|| self.begin(progress));
        bar.set_position(progress.done);
        if progress.done >= progress.total && !bar.is_finished() {
            bar.finish();
            if self.all.is_hidden() {
                eprintln!("    {}: {}", name(progress.stage), progress.total);
            }
        }
    }

    fn begin(&self, progress: Progress) -> ProgressBar {
        let style = ProgressStyle::with_template("    {prefix:<10} {wide_bar} {human_pos:>9} of {human_len:>9}");
        let bar = ProgressBar::new(progress.total).with_prefix(name(progress.stage));
        self.all.add(match style {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        })
    }

    /// Leaves no bar half drawn.
    pub(super) fn finish(&self) {
        for bar in self.by_stage.lock().unwrap_or_else(PoisonError::into_inner).values() {
            bar.abandon();
        }
    }
}

fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::Customers => "customers",
        Stage::Orders => "orders",
        Stage::Inventory => "inventory",
        Stage::Embeddings => "embeddings",
        Stage::Indexes => "indexes",
        Stage::Statistics => "statistics",
    }
}
