//! A log file that rotates by its number of lines.
//!
//! oxenstored's rules: a file is full after so many lines; it then becomes `.1`,
//! what was `.1` becomes `.2`, and the oldest is overwritten. A log must not stop the
//! daemon, so a failure costs the lines it hits and nothing else: it is returned to
//! be reported, and the lines are forgotten.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::config::LogFileSettings;

/// Bytes kept back at most before they are written without being asked to.
const BUFFER: usize = 64 * 1024;

/// A log file that rotates.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    files: u32,
    max_lines: Option<u64>,
    /// It is a regular file.
    rotates: bool,
    file: Option<File>,
    lines: u64,
    buffer: Vec<u8>,
}

impl LogFile {
    /// A log at `path`, its file not opened yet: see [`LogFile::reopen`].
    pub fn new(path: &Path, settings: &LogFileSettings) -> Self {
        Self {
            path: path.to_owned(),
            files: settings.files,
            max_lines: settings.lines,
            rotates: false,
            file: None,
            lines: 0,
            buffer: Vec::new(),
        }
    }

    /// The file's name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file anew by its name, as is due after somebody else moved it.
    ///
    /// # Errors
    ///
    /// The file cannot be opened; lines are dropped until it can.
    pub fn reopen(&mut self) -> io::Result<()> {
        let flushed = self.flush();
        self.file = None;
        let file = open(&self.path)?;
        // Devices are not rotated: that would rename /dev/null, for one.
        self.rotates = file.metadata()?.is_file();
        self.file = Some(file);
        self.lines = match self.max_lines {
            Some(enough) if self.rotates => count_lines(&self.path, enough)?,
            _ => 0,
        };
        flushed
    }

    /// Appends a line, its newline included, to what the next flush writes.
    ///
    /// # Errors
    ///
    /// As [`LogFile::flush`], when the buffer or the file was full.
    pub fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            return Ok(());
        }
        self.buffer.extend_from_slice(line);
        self.lines = self.lines.saturating_add(1);
        if self.rotates && self.max_lines.is_some_and(|max| self.lines > max) {
            self.flush()?;
            return self.rotate();
        }
        if self.buffer.len() >= BUFFER {
            return self.flush();
        }
        Ok(())
    }

    /// Writes what was kept back.
    ///
    /// # Errors
    ///
    /// It could not be written, and is dropped: the disk is full, say.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let written = match &mut self.file {
            Some(file) => file.write_all(&self.buffer),
            None => Ok(()),
        };
        self.buffer.clear();
        written
    }

    fn rotate(&mut self) -> io::Result<()> {
        // The next attempt is a full file away, however this one ends: the files would
        // otherwise move on with every line.
        self.lines = 0;
        // Whatever fails on the way, the current file has to get out of the way or
        // be begun again, for it must not grow without bound.
        let mut outcome = Ok(());
        for number in (1..self.files).rev() {
            let renamed = std::fs::rename(self.numbered(number - 1), self.numbered(number));
            match renamed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => outcome = Err(error),
                _ => {}
            }
        }
        let file = open(&self.path)?;
        if self.files <= 1 || outcome.is_err() {
            file.set_len(0)?;
        }
        self.file = Some(file);
        outcome
    }

    fn numbered(&self, number: u32) -> PathBuf {
        if number == 0 {
            return self.path.clone();
        }
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    }
}

impl Drop for LogFile {
    fn drop(&mut self) {
        // The last lines before an end are those that are looked for afterwards.
        let _ = self.flush();
    }
}

/// Opens a file to append to it.
///
/// # Errors
///
/// As the system says.
pub fn open(path: &Path) -> io::Result<File> {
    // Nobody has to read a pipe that is called like a log: it must not stop the daemon.
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    // What guests write to the store is not for everyone on the host to read.
    let mode = 0o640;
    OpenOptions::new().append(true).create(true).mode(mode).custom_flags(nonblocking).open(path)
}

/// Lines already in the file, no further than `enough`: a restart must not give it
/// another full length.
fn count_lines(path: &Path, enough: u64) -> io::Result<u64> {
    let mut reader = BufReader::new(File::open(path)?);
    let mut lines = 0;
    loop {
        let chunk = reader.fill_buf()?;
        if chunk.is_empty() || lines > enough {
            return Ok(lines);
        }
        lines += chunk.split(|byte| *byte == b'\n').skip(1).count() as u64;
        let length = chunk.len();
        reader.consume(length);
    }
}

/// Cuts `line`, which has no newline yet, to `max` bytes with its newline to come,
/// and marks the cut by two dots, as oxenstored does.
pub fn cut(line: &mut Vec<u8>, max: Option<usize>) {
    const MARK: &[u8] = b"..";
    if let Some(max) = max.filter(|max| line.len() >= *max) {
        line.truncate(max.saturating_sub(MARK.len() + 1));
        line.extend_from_slice(MARK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AccessLogSettings;

    fn log(path: &Path, files: u32, lines: u64) -> LogFile {
        let mut settings = AccessLogSettings::default().log;
        (settings.files, settings.lines) = (files, Some(lines));
        let mut log = LogFile::new(path, &settings);
        log.reopen().unwrap();
        log
    }

    fn read(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn rotation_keeps_as_many_files_as_configured() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut log = log(&path, 3, 2);
        for n in 0..11 {
            log.write_line(format!("{n}\n").as_bytes()).unwrap();
        }
        log.flush().unwrap();
        assert_eq!(read(&path), "9\n10\n");
        assert_eq!(read(&log.numbered(1)), "6\n7\n8\n");
        assert_eq!(read(&log.numbered(2)), "3\n4\n5\n");
        assert!(!log.numbered(3).exists());
    }

    #[test]
    fn a_single_file_is_begun_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut log = log(&path, 1, 2);
        for n in 0..4 {
            log.write_line(format!("{n}\n").as_bytes()).unwrap();
        }
        log.flush().unwrap();
        assert_eq!(read(&path), "3\n");
    }

    #[test]
    fn reopening_follows_the_name_and_counts_what_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut log = log(&path, 2, 2);
        log.write_line(b"1\n").unwrap();
        std::fs::rename(&path, directory.path().join("moved")).unwrap();
        std::fs::write(&path, "a\nb\n").unwrap();
        log.reopen().unwrap();
        assert_eq!(read(&directory.path().join("moved")), "1\n");
        log.write_line(b"2\n").unwrap();
        assert_eq!(read(&log.numbered(1)), "a\nb\n2\n");
    }

    /// The new file could not be opened, and each line then moved all files on by one,
    /// until what was logged before was gone.
    #[test]
    fn a_rotation_that_fails_is_not_tried_again_with_every_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut log = log(&path, 3, 2);
        log.write_line(b"0\n1\n").unwrap();
        log.write_line(b"2\n").unwrap();
        log.path = directory.path().join("removed/log");
        assert!(log.write_line(b"3\n").is_err());
        for _ in 0..2 {
            log.write_line(b"4\n").unwrap();
        }
        log.flush().unwrap();
        assert_eq!(read(&path), "0\n1\n2\n3\n4\n4\n");
    }

    #[test]
    fn a_pipe_that_nobody_reads_is_an_error_and_not_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert!(open(&path).is_err());
    }

    #[test]
    fn failures_are_told_and_survived() {
        let directory = tempfile::tempdir().unwrap();
        let mut missing =
            LogFile::new(&directory.path().join("no/log"), &AccessLogSettings::default().log);
        assert!(missing.reopen().is_err());
        missing.write_line(b"lost\n").unwrap();
        // A device is full for ever, and is not moved out of the way when it should
        // rotate.
        let mut full = log(Path::new("/dev/full"), 3, 0);
        full.write_line(b"lost\n").unwrap();
        assert!(full.flush().is_err());
        assert!(!full.numbered(1).exists());
        assert!(full.flush().is_ok());
    }

    #[test]
    fn cutting_counts_the_newline() {
        let cut_to = |length, max| {
            let mut line = vec![b'x'; length];
            cut(&mut line, max);
            String::from_utf8(line).unwrap()
        };
        assert_eq!(cut_to(9, Some(10)), "xxxxxxxxx");
        assert_eq!(cut_to(10, Some(10)), "xxxxxxx..");
        assert_eq!(cut_to(99, None).len(), 99);
        assert_eq!(cut_to(5, Some(1)), "..");
    }
}
