//! The ring of this domain's own kernel, which xenfs gives.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::ring::{PAGE_SIZE, RingPage};
use crate::shared_memory::SharedMemory;
use crate::xen::open_error::Obstacle;

/// Where the ring of this domain's own kernel is found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnRingFiles {
    /// Maps the ring (`xsd_kva`).
    pub ring: PathBuf,
    /// Holds the kernel's event channel as decimal text (`xsd_port`).
    pub port: PathBuf,
}

impl Default for OwnRingFiles {
    fn default() -> Self {
        Self { ring: "/proc/xen/xsd_kva".into(), port: "/proc/xen/xsd_port".into() }
    }
}

/// The kernel's end of it.
#[derive(Debug)]
pub struct OwnRing {
    ring: File,
    /// Its event channel.
    pub port: u32,
}

/// What provides both files.
const PROVIDER: &str = "xenfs on /proc/xen";

impl OwnRing {
    /// Opens the ring, if everything else can be had too: appends what cannot.
    pub fn open(files: &OwnRingFiles, obstacles: &mut Vec<Obstacle>) -> Option<Self> {
        let ring = File::options().read(true).write(true).open(&files.ring);
        let ring = Obstacle::keep(obstacles, &files.ring, PROVIDER, ring);
        let port = fs::read(&files.port);
        let port = Obstacle::keep(obstacles, &files.port, PROVIDER, port)
            .and_then(|text| parse(&files.port, &text).map_err(|bad| obstacles.push(bad)).ok());
        Some(Self { ring: ring?, port: port? })
    }

    /// Maps the ring.
    pub fn map(&self) -> io::Result<RingPage> {
        SharedMemory::map(&self.ring, 0, PAGE_SIZE).map(RingPage::new)
    }
}

fn parse(path: &Path, text: &[u8]) -> Result<u32, Obstacle> {
    let port = str::from_utf8(text).ok().and_then(|text| text.trim_ascii().parse().ok());
    port.ok_or_else(|| Obstacle::NoPort {
        path: path.into(),
        found: String::from_utf8_lossy(text).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;
    use crate::ring::Field;

    #[test]
    fn the_ring_and_the_port_are_read_from_files() {
        let directory = tempfile::tempdir().unwrap();
        let files = OwnRingFiles {
            ring: directory.path().join("kva"),
            port: directory.path().join("port"),
        };
        fs::write(&files.ring, [0; PAGE_SIZE]).unwrap();
        fs::write(&files.port, "1").unwrap();
        let mut obstacles = Vec::new();
        let own = OwnRing::open(&files, &mut obstacles).unwrap();
        assert_eq!(own.port, 1);
        own.map().unwrap().set_field(Field::Features, 7);
        let file = File::options().read(true).write(true).open(&files.ring).unwrap();
        let memory = SharedMemory::map(file, 0, PAGE_SIZE).unwrap();
        assert_eq!(memory.words()[516].load(Relaxed), 7);

        fs::write(&files.port, "-1\n").unwrap();
        assert!(OwnRing::open(&files, &mut obstacles).is_none());
        fs::remove_file(&files.port).unwrap();
        fs::remove_file(&files.ring).unwrap();
        assert!(OwnRing::open(&files, &mut obstacles).is_none());
        let told: Vec<_> = obstacles.iter().map(ToString::to_string).collect();
        assert!(told[0].contains(r#"port, found "-1\n""#), "{told:?}");
        assert!(told[1].contains("kva") && told[2].contains("port"), "{told:?}");
    }

    #[test]
    fn a_port_is_decimal_text_with_or_without_an_end_of_line() {
        let parse = |text: &str| parse(Path::new("port"), text.as_bytes()).ok();
        assert_eq!(parse("17"), Some(17));
        assert_eq!(parse("17\n"), Some(17));
        assert_eq!(parse(""), None);
        assert_eq!(parse("0x11"), None);
        assert_eq!(parse("4294967296"), None);
    }
}
