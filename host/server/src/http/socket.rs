use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::fd::{AsFd as _, BorrowedFd},
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// What connections come in by.
pub(crate) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, OwnFile),
}

/// A connection that was accepted.
pub(crate) enum Accepted {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Accepted {
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

/// Where something listens. The port is the real one, also where the configuration says 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// Address and port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The socket's file, removed at the end.
pub(crate) struct OwnFile(PathBuf);

impl Drop for OwnFile {
    fn drop(&mut self) {
        // Somebody may have removed it before.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Socket {
    pub(crate) async fn bind(address: &ListenAddress) -> io::Result<Self> {
        Ok(match address {
            ListenAddress::Tcp(address) => Self::Tcp(TcpListener::bind(address).await?),
            ListenAddress::Unix(path) => {
                remove_stale(path).await?;
                let listener = UnixListener::bind(path)?;
                let file = OwnFile(path.clone());
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
                Self::Unix(listener, file)
            }
        })
    }

    pub(crate) fn local_addr(&self) -> io::Result<ListenAddress> {
        Ok(match self {
            Self::Tcp(listener) => ListenAddress::Tcp(listener.local_addr()?),
            Self::Unix(_, OwnFile(path)) => ListenAddress::Unix(path.clone()),
        })
    }

    /// The next connection, and the address that it counts for.
    pub(crate) async fn accept(&self) -> io::Result<(Accepted, IpAddr)> {
        Ok(match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                (Accepted::Tcp(stream), peer.ip())
            }
            Self::Unix(listener, _) => (Accepted::Unix(listener.accept().await?.0), Ipv4Addr::LOCALHOST.into()),
        })
    }
}

/// A host that was killed leaves its socket behind. One that answers is another host's.
async fn remove_stale(path: &Path) -> io::Result<()> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if is_socket && UnixStream::connect(path).await.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    {
        std::fs::remove_file(path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_unix_socket_is_its_owners_alone_and_a_dead_one_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("admin.sock");
        let address = ListenAddress::Unix(path.clone());
        // What a killed process leaves: the file without a listener.
        drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket"));
        let socket = Socket::bind(&address).await.expect("a socket");
        assert_eq!(std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
        assert_eq!(socket.local_addr().expect("an address"), address);
        assert!(Socket::bind(&address).await.is_err(), "a living one is not replaced");
        drop(socket);
        assert!(!path.exists());
        std::fs::write(&path, "a file").expect("written");
        assert!(Socket::bind(&address).await.is_err(), "nor is a file that is no socket");
        assert_eq!(std::fs::read(&path).expect("a file"), b"a file");
    }
}
