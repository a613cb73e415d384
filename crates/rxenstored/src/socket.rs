//! The socket toolstacks connect to.

use std::fs::DirBuilder;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, fchmod};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use thiserror::Error;

/// Connections that may wait to be accepted. C xenstored has 1, with which clients
/// that connect at once wait for each other.
const BACKLOG: i32 = 128;

/// Why there is no socket.
#[derive(Debug, Error)]
pub enum SocketError {
    /// The directory for it cannot be made.
    #[error("{}: expected a directory that exists or can be made", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another daemon answers there.
    #[error("socket {}: another daemon is listening on it", .0.display())]
    InUse(PathBuf),
    /// Something else has its name.
    #[error("socket {}: expected a socket or nothing, found another kind of file", .0.display())]
    NotASocket(PathBuf),
    /// The name is not one a socket can have.
    #[error("socket {}: expected a name of up to 107 bytes, found {} bytes",
            .0.display(), .0.as_os_str().len())]
    Name(PathBuf),
    /// The system refused it.
    #[error("socket {}: expected to listen there", path.display())]
    System {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: Errno,
    },
}

/// The listening socket: non-blocking, removed when dropped.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
    path: PathBuf,
    /// Device and inode of the name, to remove only what is ours.
    identity: Option<(u64, u64)>,
}

impl Listener {
    /// Listens at `path`, in the place of a socket that nobody listens on any more.
    ///
    /// # Errors
    ///
    /// Another daemon listens there, or the system refuses.
    pub fn create(path: &Path) -> Result<Self, SocketError> {
        let system = |source| SocketError::System { path: path.to_owned(), source };
        let address = SocketAddrUnix::new(path).map_err(|_| SocketError::Name(path.to_owned()))?;
        make_room(path, &address)?;
        let socket = new_socket().map_err(system)?;
        // Linux gives the name in the file system the mode of the socket at the time
        // it is bound. So nobody else can connect even for an instant, and no umask,
        // which is the whole process's, has to be changed.
        fchmod(&socket, Mode::RUSR | Mode::WUSR).map_err(system)?;
        rustix::net::bind(&socket, &address).map_err(system)?;
        let listener = Self { socket, path: path.to_owned(), identity: identity(path) };
        rustix::net::listen(&listener.socket, BACKLOG).map_err(system)?;
        Ok(listener)
    }

    /// The next connection that waits, non-blocking and closed on exec; `None` if
    /// there is none.
    ///
    /// # Errors
    ///
    /// It cannot be taken now: too many files are open, say.
    pub fn accept(&self) -> io::Result<Option<OwnedFd>> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        loop {
            match rustix::net::accept_with(&self.socket, flags) {
                Ok(connection) => return Ok(Some(connection)),
                Err(Errno::AGAIN) => return Ok(None),
                // The client is gone already, or a signal came in between.
                Err(Errno::CONNABORTED | Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Makes the directory for run-time files, and those above it.
///
/// # Errors
///
/// It cannot be made.
pub fn make_directory(path: &Path) -> Result<(), SocketError> {
    let made = DirBuilder::new().recursive(true).mode(0o755).create(path);
    made.map_err(|source| SocketError::Directory { path: path.to_owned(), source })
}

/// Lets this process have as many files open as it can be allowed: dom0 needs three
/// to five connections per guest. Returns how many that is, `None` for no limit.
pub fn raise_open_files() -> Option<u64> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let raised = Rlimit { current: maximum, maximum };
    // Up to its hard limit a process may always go; should it not, it goes on.
    let _ = setrlimit(Resource::Nofile, raised);
    getrlimit(Resource::Nofile).current
}

fn new_socket() -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

/// Removes a socket that nobody listens on.
fn make_room(path: &Path, address: &SocketAddrUnix) -> Result<(), SocketError> {
    let system = |source| SocketError::System { path: path.to_owned(), source };
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {}
        Ok(_) => return Err(SocketError::NotASocket(path.to_owned())),
        Err(_) => return Ok(()),
    }
    let probe = new_socket().map_err(system)?;
    match rustix::net::connect(&probe, address) {
        Err(Errno::CONNREFUSED) => {}
        Err(Errno::NOENT) => return Ok(()),
        // AGAIN: somebody listens, and has its backlog full.
        Ok(()) | Err(Errno::AGAIN) => return Err(SocketError::InUse(path.to_owned())),
        Err(error) => return Err(system(error)),
    }
    rustix::fs::unlink(path).map_err(system)
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let found = std::fs::symlink_metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::{UnixListener, UnixStream};

    #[test]
    fn only_its_owner_can_connect_and_the_name_goes_with_the_listener() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = Listener::create(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        assert!(listener.accept().unwrap().is_none());
        let _client = UnixStream::connect(&path).unwrap();
        assert!(listener.accept().unwrap().is_some());
        drop(listener);
        assert!(!path.exists());
    }

    #[test]
    fn a_dead_socket_is_replaced_and_a_live_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let other = UnixListener::bind(&path).unwrap();
        let error = Listener::create(&path).unwrap_err();
        assert!(matches!(error, SocketError::InUse(_)), "{error}");
        drop(other);
        assert!(path.exists());
        Listener::create(&path).unwrap();
    }

    #[test]
    fn the_socket_of_another_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let first = Listener::create(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let second = Listener::create(&path).unwrap();
        drop(first);
        assert!(path.exists());
        drop(second);
    }

    #[test]
    fn what_is_not_a_socket_is_not_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        std::fs::write(&path, "precious").unwrap();
        let error = Listener::create(&path).unwrap_err();
        assert!(matches!(error, SocketError::NotASocket(_)), "{error}");
        let long = directory.path().join("x".repeat(108));
        let error = Listener::create(&long).unwrap_err();
        assert!(matches!(error, SocketError::Name(_)), "{error}");
    }
}
