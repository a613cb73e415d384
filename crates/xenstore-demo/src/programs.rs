//! Where the programs are that take part.

use std::io;
use std::path::PathBuf;

use xenstore_conformance::daemon_process;

/// The programs that take part.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The daemon.
    pub daemon: PathBuf,
    /// The tool.
    pub tool: PathBuf,
}

impl Programs {
    /// Those of the same build as the program that asks.
    pub fn find() -> io::Result<Self> {
        Ok(Self {
            daemon: daemon_process::program()?,
            tool: daemon_process::built("xenstore", "XENSTORE")?,
        })
    }
}
