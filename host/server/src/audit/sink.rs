use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use futures::future::BoxFuture;
use stockade_db::{AuditLine, Database};

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
pub(super) struct FileSink {
    path: PathBuf,
    /// The last write failed, perhaps within a line.
    torn: bool,
}

impl FileSink {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        open(path)?;
        Ok(Self { path: path.to_owned(), torn: false })
    }
}

impl Sink for FileSink {
    fn name(&self) -> &'static str {
        "file"
    }

    fn write<'a>(&'a mut self, lines: &'a [AuditLine]) -> BoxFuture<'a, Result<(), String>> {
        let mut text = String::from(if self.torn { "\n" } else { "" });
        for line in lines {
            text.push_str(line.as_str());
            text.push('\n');
        }
        let path = self.path.clone();
        Box::pin(async move {
            let write = move || {
                let mut file = open(&path)?;
                file.write_all(text.as_bytes())?;
                file.sync_data()
            };
            let written = tokio::task::spawn_blocking(write).await.map_err(io::Error::other).flatten();
            self.torn = written.is_err();
            written.map_err(|reason| reason.to_string())
        })
    }
}

/// Readable by the server alone: it says who asked what.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}
