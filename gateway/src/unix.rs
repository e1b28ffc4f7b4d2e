//! A Unix socket to listen on: takes the place of one that a dead process left, and leaves none behind itself.

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{UnixListener, UnixStream};

use crate::{config::Listen, limits::BACKLOG};

/// The socket. Dropping it removes its file.
#[derive(Debug)]
pub(crate) struct UnixSocket {
    listener: UnixListener,
    file: SocketFile,
    mode: u32,
}

impl UnixSocket {
    /// Binds a path. `mode` holds from the first moment on: nobody can connect before.
    ///
    /// # Errors
    /// Those of the system; and [`ErrorKind::AddrInUse`] if another process listens there, or there is a file of
    /// another kind, which is then left alone.
    pub(crate) fn bind(path: &Path, mode: u32) -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        let address = SockAddr::unix(path)?;
        let bound = match socket.bind(&address) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                remove_stale(path, &address)?;
                socket.bind(&address)
            }
            bound => bound,
        };
        bound.map_err(|error| match error.kind() {
            ErrorKind::NotFound => io::Error::new(ErrorKind::NotFound, "its folder does not exist: create it first"),
            _ => error,
        })?;
        let file = SocketFile::of(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        socket.listen(BACKLOG.into())?;
        socket.set_nonblocking(true)?;
        Ok(Self { listener: UnixListener::from_std(socket.into())?, file, mode })
    }

    pub(crate) fn address(&self) -> Listen {
        Listen::Unix { path: self.file.path.clone(), mode: self.mode }
    }

    pub(crate) async fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }
}

/// Removes the socket of a process that is gone. Whatever else is at the path is not ours to remove.
fn remove_stale(path: &Path, address: &SockAddr) -> io::Result<()> {
    let in_use = |why| Err(io::Error::new(ErrorKind::AddrInUse, why));
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return in_use("there is a file that is no socket: remove it, or choose another path");
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    probe.set_nonblocking(true)?;
    match probe.connect(address) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            in_use("there is the socket of another user: remove it, or choose another path")
        }
        _ => in_use("another process listens there"),
    }
}

/// The file, known by its inode: a successor may have put its own in its place.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), inode: inode(path)? })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if inode(&self.path).is_ok_and(|inode| inode == self.inode) {
            // What is left is a stale socket, and the next to come removes it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn inode(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use settings::scratch::Scratch;

    use super::*;

    #[tokio::test]
    async fn a_socket_has_its_rights_and_goes_with_its_owner() {
        let folder = Scratch::new();
        let path = folder.file("a.sock");
        let socket = UnixSocket::bind(&path, 0o640).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
        let (accepted, connected) = tokio::join!(socket.accept(), UnixStream::connect(&path));
        assert!(accepted.is_ok() && connected.is_ok());
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn only_a_dead_socket_gives_way() {
        let folder = Scratch::new();
        let path = folder.file("a.sock");
        let living = UnixSocket::bind(&path, 0o600).unwrap();
        let error = UnixSocket::bind(&path, 0o600).unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::AddrInUse, "another process listens there"));
        assert!(UnixStream::connect(&path).await.is_ok(), "the living one is as it was");

        // What a process leaves that was killed.
        let stale = folder.file("stale.sock");
        drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
        assert!(stale.exists());
        let heir = UnixSocket::bind(&stale, 0o600).unwrap();
        assert!(UnixStream::connect(&stale).await.is_ok());

        // A successor's file is not the predecessor's to remove.
        fs::remove_file(&path).unwrap();
        let successor = UnixSocket::bind(&path, 0o600).unwrap();
        drop(living);
        assert!(path.exists());
        drop((heir, successor));
    }

    #[tokio::test]
    async fn other_files_stay() {
        let folder = Scratch::new();
        let path = folder.file("precious.txt");
        fs::write(&path, "precious").unwrap();
        let error = UnixSocket::bind(&path, 0o600).unwrap_err();
        assert!(error.to_string().contains("no socket"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        let link = folder.file("link.sock");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(UnixSocket::bind(&link, 0o600).is_err());
        assert!(path.exists() && link.is_symlink());
        let error = UnixSocket::bind(&folder.file("none/a.sock"), 0o600).unwrap_err();
        assert!(error.to_string().contains("folder"), "{error}");
    }
}
