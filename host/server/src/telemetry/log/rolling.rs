//! One file after the other: a new one each day (UTC) and each time that one is full, a bounded number kept.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use jiff::{Timestamp, civil::Date, tz::Offset};

use crate::line_file::LineFile;

/// `NAME.YYYY-MM-DD`, then `NAME.YYYY-MM-DD.1` and so on.
pub(super) struct Rolling {
    folder: PathBuf,
    name: String,
    file_bytes_max: u64,
    files_max: usize,
    part: Part,
    file: LineFile,
}

/// A day's file, the how-many-th of it: in the order in which they were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Part {
    day: Date,
    number: u32,
}

impl Rolling {
    /// Goes on with the last file of today, where there is one.
    pub(super) fn open(folder: &Path, name: &str, file_bytes_max: u64, files_max: usize) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let today = today();
        let last = parts(folder, name)?.into_iter().filter(|part| part.day == today).max();
        let part = last.unwrap_or(Part { day: today, number: 0 });
        let file = part.open(folder, name)?;
        let (folder, name) = (folder.to_owned(), name.to_owned());
        let this = Self { folder, name, file_bytes_max, files_max, part, file };
        this.prune();
        Ok(this)
    }

    /// The file for a line of so many bytes after those that are `held`, where it is another one.
    fn next(&self, held: u64, bytes: u64, today: Date) -> Option<Part> {
        let Part { day, number } = self.part;
        let full = held > 0 && held.saturating_add(bytes) > self.file_bytes_max;
        // A clock that was put back begins no day anew.
        if today > day {
            Some(Part { day: today, number: 0 })
        } else if full {
            Some(Part { day, number: number.saturating_add(1) })
        } else {
            None
        }
    }

    /// Removes the oldest files. One that cannot be removed is tried again with the next new file.
    fn prune(&self) {
        let mut others = parts(&self.folder, &self.name).unwrap_or_default();
        others.retain(|part| *part != self.part);
        others.sort_unstable();
        let kept = self.files_max.saturating_sub(1);
        for part in others.iter().take(others.len().saturating_sub(kept)) {
            let _ = fs::remove_file(self.folder.join(part.name(&self.name)));
        }
    }
}

impl Write for Rolling {
    /// Writes all of a line, or nothing of it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // What the file holds and not what was tried: on a disk that is full, lost lines must not push out kept ones.
        if let Some(part) = self.next(self.file.bytes()?, line.len() as u64, today()) {
            self.file = part.open(&self.folder, &self.name)?;
            self.part = part;
            self.prune();
        }
        self.file.append(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Part {
    fn name(self, name: &str) -> String {
        match self {
            Self { day, number: 0 } => format!("{name}.{day}"),
            Self { day, number } => format!("{name}.{day}.{number}"),
        }
    }

    /// The part whose file has this name; none for files of others, however alike.
    fn of(file: &str, name: &str) -> Option<Self> {
        let part = file.strip_prefix(name)?.strip_prefix('.')?;
        let (day, number) = part.split_once('.').unwrap_or((part, "0"));
        let part = Self { day: day.parse().ok()?, number: number.parse().ok()? };
        (part.name(name) == file).then_some(part)
    }

    fn open(self, folder: &Path, name: &str) -> io::Result<LineFile> {
        LineFile::open(&folder.join(self.name(name)))
    }
}

fn parts(folder: &Path, name: &str) -> io::Result<Vec<Part>> {
    let files = fs::read_dir(folder)?.filter_map(Result::ok);
    Ok(files.filter_map(|file| Part::of(file.file_name().to_str()?, name)).collect())
}

fn today() -> Date {
    Offset::UTC.to_datetime(Timestamp::now()).date()
}

#[cfg(test)]
mod tests;
