//! Snapshots in files.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use thiserror::Error;

use super::Snapshot;
use super::json::{self, JsonError};
use super::text::{self, TextError};

/// How a snapshot is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Format {
    /// Exact, one node per line.
    Json,
    /// As `xenstore-ls -f` prints it.
    Text,
}

/// Why there is no snapshot.
#[derive(Debug, Error)]
pub(crate) enum FileError {
    #[error("{name}: cannot be read")]
    Io {
        name: String,
        #[source]
        source: io::Error,
    },
    #[error("{name}: no dump in JSON")]
    Json {
        name: String,
        #[source]
        source: JsonError,
    },
    #[error("{name}: no dump as text")]
    Text {
        name: String,
        #[source]
        source: TextError,
    },
    #[error("{name}: expected a dump, found no node")]
    Empty { name: String },
}

/// Reads a snapshot from a file, or from standard input if it is called `-`. Unless
/// told the format it is JSON if it begins with a brace: no path does.
///
/// What holds no node is no snapshot. To take it for that of an empty store would let
/// a command that failed before the pipe empty the store behind it.
pub(crate) fn read(path: &Path, format: Option<Format>) -> Result<Snapshot, FileError> {
    let name = if path.as_os_str() == "-" {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    };
    let bytes = bytes_of(path).map_err(|source| FileError::Io { name: name.clone(), source })?;
    if bytes.trim_ascii().is_empty() {
        return Err(FileError::Empty { name });
    }
    let braced = bytes.trim_ascii_start().starts_with(b"{");
    let read = match format.unwrap_or(if braced { Format::Json } else { Format::Text }) {
        Format::Json => {
            json::read(&bytes).map_err(|source| FileError::Json { name: name.clone(), source })?
        }
        Format::Text => text::read(&String::from_utf8_lossy(&bytes))
            .map_err(|source| FileError::Text { name: name.clone(), source })?,
    };
    if read.nodes.is_empty() { Err(FileError::Empty { name }) } else { Ok(read) }
}

fn bytes_of(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if path.as_os_str() == "-" {
        io::stdin().lock().read_to_end(&mut bytes)?;
    } else {
        File::open(path)?.read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}
