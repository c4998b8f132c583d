//! The log in files, which are written behind the callers' backs.
//!
//! A thread writes it. Callers never wait for the disk: lines go into a bounded queue, and what finds no
//! room there, or no room on the disk, is lost and counted.

use std::{
    io::{self, Write},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

use super::rolling::Rolling;
use crate::{config::ConfigError, telemetry::Seldom};

/// Lines that wait for the disk; further ones are lost.
const QUEUE_MAX: usize = 16_384;

/// The file. Dropped, it writes what waits.
pub struct LogFile {
    writer: NonBlocking,
    unwritten: Arc<AtomicU64>,
    _thread: WorkerGuard,
}

impl LogFile {
    /// Opens `PATH.YYYY-MM-DD`: a new one each day, and each time that one is as long as `file_bytes_max`. At most
    /// `files_max` are kept.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn open(path: &Path, file_bytes_max: u64, files_max: usize) -> Result<Self, ConfigError> {
        let name = path.file_name().and_then(|name| name.to_str()).filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| ConfigError::value("log.file", "must name a file"))?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = Rolling::open(folder, name, file_bytes_max, files_max)
            .map_err(|error| ConfigError::value("log.file", format!("cannot be written: {error}")))?;
        Ok(Self::over(file))
    }

    fn over(file: impl Write + Send + 'static) -> Self {
        let unwritten = Arc::new(AtomicU64::new(0));
        let counting = Counting { file, unwritten: Arc::clone(&unwritten), told: Seldom::default() };
        let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(QUEUE_MAX).thread_name("log");
        let (writer, thread) = builder.finish(counting);
        Self { writer, unwritten, _thread: thread }
    }

    pub(super) fn writer(&self) -> NonBlocking {
        self.writer.clone()
    }

    /// What says how many lines were lost.
    pub(super) fn losses(&self) -> Losses {
        Losses { queue: self.writer.error_counter(), unwritten: Arc::clone(&self.unwritten) }
    }
}

/// How many lines were lost, because they found no room in the queue or on the disk.
#[derive(Clone)]
pub(super) struct Losses {
    queue: ErrorCounter,
    unwritten: Arc<AtomicU64>,
}

impl Losses {
    pub(super) fn lines(&self) -> u64 {
        self.unwritten.load(Ordering::Relaxed).saturating_add(self.queue.dropped_lines() as u64)
    }
}

/// Counts what cannot be written.
struct Counting<W> {
    file: W,
    unwritten: Arc<AtomicU64>,
    told: Seldom,
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // All of a line: a part of one would join the next one's.
        match self.file.write_all(line) {
            Ok(()) => Ok(line.len()),
            Err(error) => {
                self.unwritten.fetch_add(1, Ordering::Relaxed);
                if self.told.happened().is_some() {
                    let _ = writeln!(io::stderr(), "stockade: the log file cannot be written, lines are lost: {error}");
                }
                Err(error)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A disk that is full until it is not.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<(bool, Vec<u8>)>>);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut disk = self.0.lock().expect("no panic");
            if disk.0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            disk.1.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_costs_lines_that_are_counted_and_nothing_else() {
        let disk = Disk::default();
        disk.0.lock().expect("no panic").0 = true;
        let file = LogFile::over(disk.clone());
        let (mut writer, losses) = (file.writer(), file.losses());
        for n in 0..100 {
            writer.write_all(format!("lost {n}\n").as_bytes()).expect("never an error for who logs");
        }
        while losses.lines() < 100 {
            std::thread::yield_now();
        }
        disk.0.lock().expect("no panic").0 = false;
        writer.write_all(b"written\n").expect("never an error for who logs");
        drop((writer, file));
        assert_eq!(String::from_utf8(disk.0.lock().expect("no panic").1.clone()).expect("text"), "written\n");
        assert_eq!(losses.lines(), 100);
    }
}
