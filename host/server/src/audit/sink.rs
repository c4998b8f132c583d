use std::{
    io,
    path::{Path, PathBuf},
};

use futures::future::BoxFuture;
use stockade_db::{AuditLine, Database};

use crate::line_file::LineFile;

/// A place where records are kept.
pub(super) trait Sink: Send + 'static {
    /// For the log.
    fn name(&self) -> &'static str;

    /// Writes all, or fails with a sentence for the operator and is asked again.
    fn write<'a>(&'a mut self, lines: &'a [AuditLine]) -> BoxFuture<'a, Result<(), String>>;
}

/// `stockade.audit_log`.
pub(super) struct TableSink(Database);

impl TableSink {
    pub(super) fn new(database: Database) -> Self {
        Self(database)
    }
}

impl Sink for TableSink {
    fn name(&self) -> &'static str {
        "table"
    }

    fn write<'a>(&'a mut self, lines: &'a [AuditLine]) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move { self.0.append_audit(lines).await.map_err(|error| error.for_log()) })
    }
}

/// Lines of JSON. The file is opened for each batch, so that it may be renamed away at any time.
pub(super) struct FileSink(PathBuf);

impl FileSink {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        LineFile::open(path)?;
        Ok(Self(path.to_owned()))
    }
}

impl Sink for FileSink {
    fn name(&self) -> &'static str {
        "file"
    }

    fn write<'a>(&'a mut self, lines: &'a [AuditLine]) -> BoxFuture<'a, Result<(), String>> {
        let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        let path = self.0.clone();
        Box::pin(async move {
            let write = move || {
                let mut file = LineFile::open(&path)?;
                file.append(text.as_bytes())?;
                file.sync()
            };
            let written = tokio::task::spawn_blocking(write).await.map_err(io::Error::other).flatten();
            written.map_err(|reason| reason.to_string())
        })
    }
}
