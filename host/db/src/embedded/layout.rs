//! Where an embedded cluster keeps what, and as whom it runs.
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::error::DbError;

/// `sockaddr_un` holds 108 bytes on Linux, 104 on macOS, a final NUL among them.
const SOCKET_PATH_BYTES_MAX: usize = 103;
/// The file that the server makes in the socket directory.
const SOCKET_NAME: &str = ".s.PGSQL.5432";
/// How much of the server's log an error shows, in bytes.
const LOG_TAIL_BYTES: u64 = 4_096;

/// The folders and files of one cluster.
#[derive(Debug)]
pub(super) struct Layout {
    /// The folder that holds all of it
    pub(super) data_dir: PathBuf,
    /// PGDATA
    pub(super) cluster: PathBuf,
    /// The server's standard output and error since its last start
    pub(super) log: PathBuf,
    socket: PathBuf,
    user: Option<User>,
}

#[derive(Debug, Clone, Copy)]
struct User {
    uid: u32,
    gid: u32,
}

impl Layout {
    pub(super) fn prepare(data_dir: &Path) -> Result<Self, DbError> {
        let user = user_to_run_as()?;
        let data_dir = std::path::absolute(data_dir).map_err(|error| at(data_dir, &error))?;
        private_dir(&data_dir, user)?;
        let inside = data_dir.join("socket");
        let socket = if inside.join(SOCKET_NAME).as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
            inside
        } else {
            PathBuf::from(format!("/tmp/stockade-{}", uuid::Uuid::new_v4().simple()))
        };
        private_dir(&socket, user)?;
        Ok(Self { cluster: data_dir.join("cluster"), log: data_dir.join("postgres.log"), data_dir, socket, user })
    }

    /// Keeps a second host away for as long as the file is open; the system lets go of it however
    /// this host ends.
    pub(super) fn lock(&self) -> Result<File, DbError> {
        let path = self.data_dir.join("host.lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| at(&path, &error))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(DbError::unavailable(format!(
                "the data directory {} is in use by another host: stop that one, or choose another data_dir",
                self.data_dir.display()
            ))),
            Err(TryLockError::Error(error)) => Err(at(&path, &error)),
        }
    }

    /// An empty folder's path for `initdb`; what an interrupted run left there is removed.
    pub(super) fn fresh_cluster(&self) -> Result<PathBuf, DbError> {
        let fresh = self.data_dir.join("cluster.new");
        if fresh.exists() {
            fs::remove_dir_all(&fresh).map_err(|error| at(&fresh, &error))?;
        }
        Ok(fresh)
    }

    pub(super) fn open_log(&self) -> Result<File, DbError> {
        OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(&self.log)
            .map_err(|error| at(&self.log, &error))
    }

    pub(super) fn log_tail(&self) -> String {
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = File::open(&self.log)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
            let mut tail = Vec::new();
            file.read_to_end(&mut tail)?;
            Ok(tail)
        };
        read().map_or_else(|error| error.to_string(), |tail| String::from_utf8_lossy(&tail).into_owned())
    }

    /// The process that postmaster.pid names, if the file is there.
    pub(super) fn postmaster_pid(&self) -> Option<u32> {
        let text = fs::read_to_string(self.cluster.join("postmaster.pid")).ok()?;
        text.lines().next()?.trim().parse().ok()
    }

    pub(super) fn socket_text(&self) -> String {
        self.socket.to_string_lossy().into_owned()
    }

    /// The socket directory, when it had to be made outside the data directory.
    pub(super) fn socket_outside(&self) -> Option<&Path> {
        (!self.socket.starts_with(&self.data_dir)).then_some(self.socket.as_path())
    }

    pub(super) fn run_as(&self, command: &mut Command) {
        if let Some(user) = self.user {
            command.uid(user.uid).gid(user.gid);
        }
    }
}

/// PostgreSQL refuses to run as root, and as a user without an entry in passwd.
fn user_to_run_as() -> Result<Option<User>, DbError> {
    // The effective user is whoever owns what we make; /proc is not everywhere, this is.
    let probe = tempfile_owner()?;
    if probe != 0 {
        return Ok(None);
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let entry = |name: &str| {
        let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some(User { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
    };
    entry("postgres").or_else(|| entry("nobody")).map(Some).ok_or_else(|| {
        DbError::unavailable(
            "PostgreSQL does not run as root, and there is neither a user postgres nor nobody to run it as",
        )
    })
}

fn tempfile_owner() -> Result<u32, DbError> {
    let path = std::env::temp_dir().join(format!("stockade-uid-{}", uuid::Uuid::new_v4().simple()));
    let uid = DirBuilder::new().mode(0o700).create(&path).and_then(|()| fs::metadata(&path)).map(|m| m.uid());
    // An empty folder that stays behind harms nobody.
    let _ = fs::remove_dir(&path);
    uid.map_err(|error| at(&path, &error))
}

/// Creates the folder, or checks that it is one of ours, and closes it to others.
fn private_dir(path: &Path, user: Option<User>) -> Result<(), DbError> {
    if !path.exists() {
        DirBuilder::new().recursive(true).create(path).map_err(|error| at(path, &error))?;
    }
    let metadata = fs::symlink_metadata(path).map_err(|error| at(path, &error))?;
    if !metadata.is_dir() {
        return Err(DbError::unavailable(format!("{}: expected a folder, found something else", path.display())));
    }
    if let Some(user) = user {
        chown(path, Some(user.uid), Some(user.gid)).map_err(|error| at(path, &error))?;
    }
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).map_err(|error| at(path, &error))
}

fn at(path: &Path, error: &std::io::Error) -> DbError {
    DbError::unavailable(format!("{}: {error}", path.display()))
}
