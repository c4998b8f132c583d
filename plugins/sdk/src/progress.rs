//! Word of how far a call has come, for callers that asked to be told.

/// `done` of `total`, in a unit of the tool's choice; `done` must grow from report to report. Reports
/// that come faster than ten a second may be dropped.
pub fn report(done: f64, total: Option<f64>, message: Option<&str>) {
    crate::host::progress::report(done, total, message);
}
