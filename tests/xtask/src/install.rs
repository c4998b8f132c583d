//! A folder that is made once, whole or not at all, however many runs want it at the same time.

use std::fs::{self, File, Permissions, TryLockError};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};

/// Written last into a finished folder; holds what is in it, for whoever looks.
const MARKER: &str = ".stockade-complete";

/// Makes `dir` by running `fill` on an empty folder beside it, unless it is there already.
///
/// `fill` returns what the marker file records (versions, digests). A run that is stopped half way
/// leaves `dir` absent; concurrent runs wait for the first and then use what it made. The folder can
/// be read by every user, because PostgreSQL may run as another one.
///
/// # Errors
/// What `fill` returned, or the file system's error with the path it was about.
pub(crate) fn once(dir: &Path, what: &str, fill: impl FnOnce(&Path) -> Result<String>) -> Result<()> {
    if dir.join(MARKER).exists() {
        return Ok(());
    }
    let parent = dir.parent().with_context(|| format!("{} has no parent folder", dir.display()))?;
    fs::create_dir_all(parent).with_context(|| format!("creating {}", parent.display()))?;
    let mut lock_file = dir.as_os_str().to_owned();
    lock_file.push(".lock");
    let _held = lock(Path::new(&lock_file), what)?;
    if dir.join(MARKER).exists() {
        return Ok(());
    }
    let staging = tempfile::Builder::new()
        .prefix(".partial-")
        .permissions(Permissions::from_mode(0o755))
        .tempdir_in(parent)
        .with_context(|| format!("creating a folder in {}", parent.display()))?;
    let contents = fill(staging.path())?;
    fs::write(staging.path().join(MARKER), contents)?;
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("removing the unfinished {}", dir.display()))?;
    }
    fs::rename(staging.path(), dir).with_context(|| format!("renaming into {}", dir.display()))
}

/// Takes an exclusive lock that ends with the returned file, or with the process; waits for it.
fn lock(path: &Path, what: &str) -> Result<File> {
    if let Some(file) = try_lock(path)? {
        return Ok(file);
    }
    eprintln!("    waiting: another run is at work on {what}");
    let file = File::create(path)?;
    file.lock().with_context(|| format!("locking {}", path.display()))?;
    Ok(file)
}

/// The same at once, or None where another process has it.
pub(crate) fn try_lock(path: &Path) -> Result<Option<File>> {
    let file = File::create(path).with_context(|| format!("creating {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("locking {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn concurrent_runs_fill_once() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("thing-1.0");
        let fills = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    once(&dir, "a thing", |staging| {
                        fills.fetch_add(1, Ordering::SeqCst);
                        fs::write(staging.join("file"), "contents")?;
                        Ok("1.0".to_owned())
                    })
                    .unwrap();
                    assert_eq!(fs::read_to_string(dir.join("file")).unwrap(), "contents");
                });
            }
        });
        assert_eq!(fills.load(Ordering::SeqCst), 1);
        assert_eq!(fs::read_to_string(dir.join(MARKER)).unwrap(), "1.0");
    }

    #[test]
    fn a_failed_fill_leaves_nothing_and_the_next_one_runs() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("thing-1.0");
        let failed = once(&dir, "a thing", |staging| {
            fs::write(staging.join("half"), "")?;
            anyhow::bail!("the network went away")
        });
        assert_eq!(failed.unwrap_err().to_string(), "the network went away");
        assert!(!dir.exists());
        once(&dir, "a thing", |_| Ok(String::new())).unwrap();
        assert!(!dir.join("half").exists());
        let names: Vec<_> = fs::read_dir(parent.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "only the folder and its lock may stay: {names:?}");
    }
}
