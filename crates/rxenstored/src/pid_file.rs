//! The pid file: says which process is the daemon, and by its lock that it lives.
//!
//! C xenstored lets go of its lock as soon as it has written the file, so two of it
//! can run. Here the lock is held for the life of the daemon; since the kernel drops
//! it at death, a file left behind by a crash is no obstacle.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use thiserror::Error;

/// Why the pid file could not be had.
#[derive(Debug, Error)]
pub enum PidFileError {
    /// Another daemon holds it.
    #[error("pid file {}: held by a running daemon, process {pid}", path.display())]
    Held {
        /// The file.
        path: PathBuf,
        /// What is written in it.
        pid: String,
    },
    /// It cannot be opened, locked or written.
    #[error("pid file {}: expected a file that can be locked and written", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A pid file, locked; removed when dropped.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    file: File,
}

impl PidFile {
    /// Locks the file at `path`, new or old, and writes this process's id to it.
    ///
    /// # Errors
    ///
    /// Another daemon holds it, or it cannot be written.
    pub fn create(path: &Path) -> Result<Self, PidFileError> {
        let unusable = |source| PidFileError::Unusable { path: path.to_owned(), source };
        loop {
            let mut file = open(path).map_err(unusable)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => return Err(held(path, &mut file)),
                Err(error) => return Err(unusable(error.into())),
            }
            // A daemon on its way out removes its file before it lets go of the lock.
            // Whoever waited for that lock then holds a file without a name.
            if is_at(&file, path) {
                write_pid(&mut file).map_err(unusable)?;
                let path = path.to_owned();
                return Ok(Self { path, file });
            }
        }
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // launch-xenstore removes the file before it starts a daemon: what is there
        // now may belong to another one.
        if is_at(&self.file, &self.path) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o644).open(path)
}

fn held(path: &Path, file: &mut File) -> PidFileError {
    let mut pid = String::new();
    // Best effort: it is only for the message.
    let _ = file.take(32).read_to_string(&mut pid);
    PidFileError::Held { path: path.to_owned(), pid: pid.trim().to_owned() }
}

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_daemon_is_refused_and_told_who_is_first() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pid");
        std::fs::write(&path, "12345678901234567890\n").unwrap();
        let first = PidFile::create(&path).unwrap();
        let pid = std::process::id();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{pid}\n"));
        let error = PidFile::create(&path).unwrap_err().to_string();
        assert!(error.ends_with(&format!("process {pid}")), "{error}");
        drop(first);
        assert!(!path.exists());
    }

    #[test]
    fn the_file_of_another_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pid");
        let first = PidFile::create(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let second = PidFile::create(&path).unwrap();
        drop(first);
        assert!(path.exists());
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn a_directory_that_is_not_there() {
        let error = PidFile::create(Path::new("/nonexistent/pid")).unwrap_err();
        assert!(std::error::Error::source(&error).is_some());
    }
}
