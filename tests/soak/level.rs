//! Whether something that is looked at again and again stays where it is.

use std::{fs, time::Duration};

/// The first part of a run, in which caches and pools fill, does not count.
const WARM: f64 = 0.34;

/// What a process held at a moment.
#[derive(Clone, Copy)]
pub(crate) struct Look {
    pub(crate) at: Duration,
    pub(crate) memory_mib: f64,
    pub(crate) descriptors: f64,
}

impl Look {
    pub(crate) fn at(pid: u32, at: Duration) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the host lives");
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        let kib: f64 = memory.trim().trim_end_matches(" kB").parse().expect("a number");
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).expect("the host lives").count();
        Self { at, memory_mib: kib / 1024.0, descriptors: descriptors as f64 }
    }
}

/// Fits a line through what was seen after the warm part. It is level where the line rises, over that part, by no
/// more than twice what single looks stand off it.
pub(crate) fn is_level(what: &str, looks: impl Iterator<Item = (Duration, f64)>) -> bool {
    let all: Vec<(f64, f64)> = looks.map(|(at, value)| (at.as_secs_f64(), value)).collect();
    let late = &all[(all.len() as f64 * WARM) as usize..];
    let count = late.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| late.iter().map(of).sum::<f64>() / count;
    let (mean_at, mean_value) = (mean(|look| look.0), mean(|look| look.1));
    let spread: f64 = late.iter().map(|look| (look.0 - mean_at).powi(2)).sum();
    let slope = late.iter().map(|look| (look.0 - mean_at) * (look.1 - mean_value)).sum::<f64>() / spread;
    let off = |look: &(f64, f64)| (look.1 - mean_value - slope * (look.0 - mean_at)).powi(2);
    let noise = (late.iter().map(off).sum::<f64>() / count).sqrt();
    let rise = slope * (late[late.len() - 1].0 - late[0].0);
    let level = rise <= 2.0 * noise;
    let verdict = if level { "level" } else { "RISES" };
    println!("| {what} | {mean_value:.1} on average, noise {noise:.1}, {rise:+.1} from first to last: {verdict} |");
    level
}
