//! Tells the service manager that the daemon is ready (`sd_notify`, systemd's
//! `Type=notify`).
//!
//! It is one datagram, for which a dependency on the C library is not worth it. C
//! xenstored removes `NOTIFY_SOCKET` from its environment afterwards. Here it stays:
//! changing the environment is unsafe in a process that might have threads, and this
//! daemon starts no other program that could inherit it.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Sends `READY=1` to `socket`, the value of `NOTIFY_SOCKET`: a path, or `@` and an
/// abstract name.
///
/// # Errors
///
/// Nobody listens there.
pub fn ready(socket: &OsStr) -> io::Result<()> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(b"READY=1", &address)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(server: &UnixDatagram) -> Vec<u8> {
        let mut buffer = [0; 64];
        let length = server.recv(&mut buffer).unwrap();
        buffer[..length].to_vec()
    }

    #[test]
    fn to_a_path() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let server = UnixDatagram::bind(&path).unwrap();
        ready(path.as_os_str()).unwrap();
        assert_eq!(received(&server), b"READY=1");
    }

    #[test]
    fn to_an_abstract_name() {
        let name = format!("rxenstored-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let server = UnixDatagram::bind_addr(&address).unwrap();
        ready(OsStr::new(&format!("@{name}"))).unwrap();
        assert_eq!(received(&server), b"READY=1");
    }

    #[test]
    fn to_nobody() {
        assert!(ready(OsStr::new("/nonexistent/notify")).is_err());
    }
}
