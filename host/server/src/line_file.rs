//! A file that lines are appended to, whole or not at all: the log's and the audit log's.

use std::{
    fs::File,
    io::{self, Write as _},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
};

pub(crate) struct LineFile {
    file: File,
    /// It ends within a line, which a further one must not continue.
    torn: bool,
}

impl LineFile {
    /// Readable by the server alone: lines hold what no caller is told.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().create(true).read(true).append(true).mode(0o600).open(path)?;
        // Whoever wrote it last may have been killed within a line.
        let torn = ends_within_a_line(&file)?;
        Ok(Self { file, torn })
    }

    /// How long it is. Asked for each time: others may have cut it off.
    pub(crate) fn bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len() + u64::from(self.torn))
    }

    /// Appends a line, or several. On a disk that is full, half a line is taken back, and what was whole before it.
    pub(crate) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.torn {
            self.file.write_all(b"\n")?;
            self.torn = false;
        }
        let before = self.file.metadata()?.len();
        self.file.write_all(lines).inspect_err(|_| {
            // Where it ends with a line, nothing is torn, or somebody else has written since.
            self.torn = ends_within_a_line(&self.file).unwrap_or(true) && self.file.set_len(before).is_err();
        })
    }

    /// Waits until the disk has it.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

fn ends_within_a_line(file: &File) -> io::Result<bool> {
    let Some(last) = file.metadata()?.len().checked_sub(1) else { return Ok(false) };
    let mut byte = [0];
    file.read_exact_at(&mut byte, last)?;
    Ok(byte != *b"\n")
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn a_line_that_was_never_finished_is_not_continued() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        for (before, after) in [("", "next\n"), ("whole\n", "whole\nnext\n"), ("ha", "ha\nnext\n")] {
            fs::write(&path, before).expect("a file");
            let mut file = LineFile::open(&path).expect("a file");
            let room = file.bytes().expect("a length") + 5;
            file.append(b"next\n").expect("written");
            assert_eq!(fs::read_to_string(&path).expect("text"), after);
            assert_eq!(file.bytes().expect("a length"), room, "what it was to be");
        }
    }

    #[test]
    fn it_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        LineFile::open(&path).expect("a file");
        assert_eq!(fs::metadata(&path).expect("it").permissions().mode() & 0o777, 0o600);
    }
}
