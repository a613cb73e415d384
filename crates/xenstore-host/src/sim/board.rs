//! The files of a simulated host.
//!
//! | file | what |
//! |---|---|
//! | `rings` | page N is the ring of domain N |
//! | `ctl` | 16 words for the host ([`Tally`]), then 8 for each domain ([`DomainWord`]) |
//! | `evtchn` | FIFO of words: local ports that fire, guests to daemon |
//! | `guests` | FIFO of words: domids whose event channel fired, daemon to guests |
//! | `xsd_port` | domain 0's end of its event channel, as text |
//!
//! Events go as on the real device: a port is delivered at most once until the daemon
//! unmasks it; an event in between is kept and delivered then.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicU32, fence};

use rustix::fs::{CWD, Mode, OFlags};
use xenstore_wire::Domid;

use crate::ring::{PAGE_SIZE, RingPage};
use crate::shared_memory::SharedMemory;

/// How many domains a simulated host can have: one for each domid there is.
pub const DOMAINS: u32 = Domid::FIRST_RESERVED.get() as u32;

/// The daemon's port that fires when a domain changed its state.
pub const NEWS_PORT: u32 = 1;

/// The daemon's port for domain 0; that of domain N is N further.
pub const FIRST_PORT: u32 = 16;

/// What the file `ctl` begins with.
const MAGIC: u32 = 0x4641_4b45;

const HOST_WORDS: usize = 16;
const DOMAIN_WORDS: usize = 8;
const CONTROL_SIZE: usize = (HOST_WORDS + DOMAINS as usize * DOMAIN_WORDS) * 4;

/// Bytes that are written to a FIFO whole or not at all.
const PIPE_BUF: usize = 4096;

/// Room for every domain to have fired at once, in bytes.
const PIPE_SIZE: usize = 256 * 1024;

/// The words of the host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum Tally {
    /// That this is such a file.
    Magic = 0,
    /// How many domains there can be.
    Domains = 1,
    /// The state of the daemon's [`NEWS_PORT`], as [`DomainWord::EventIn`].
    News = 2,
    /// Notifications the daemon made.
    Notified = 3,
    /// Times the daemon asked which ports fired.
    Asked = 4,
    /// Ports the daemon unmasked.
    Unmasked = 5,
}

/// The words of a domain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum DomainWord {
    /// Bits of [`State`].
    State = 0,
    /// Tells it from earlier holders of its domid; 0 counts as 1.
    UniqueId = 1,
    /// 1 if it changed and the daemon did not ask since.
    Changed = 2,
    /// Guest to daemon: 0 idle, 1 delivered and masked, 2 fired again since.
    EventIn = 3,
    /// Daemon to guest: 0 idle, 1 fired.
    EventOut = 4,
    /// 1 while the daemon has its port bound.
    Bound = 5,
    /// The guest's end that the daemon bound.
    RemotePort = 6,
    /// How often its ring is mapped.
    Maps = 7,
}

/// What a domain is, as bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct State;

impl State {
    /// The hypervisor has it.
    pub const EXISTS: u32 = 1;
    /// It stopped.
    pub const SHUTDOWN: u32 = 2;
    /// It is being torn down.
    pub const DYING: u32 = 4;
    /// Nothing of it will run again.
    pub const DEAD: u32 = 8;
}

/// A simulated host, as its files.
#[derive(Debug)]
pub struct Board {
    control: SharedMemory,
    rings: File,
    /// Ports that fire at the daemon.
    events: File,
    /// Domains whose event channel fired.
    guests: File,
}

impl Board {
    /// Opens the host in a directory, making what is not there yet.
    ///
    /// # Errors
    ///
    /// The directory cannot be written, or holds something else.
    pub fn open(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        check_magic(&directory.join("ctl"))?;
        let rings = shared_file(&directory.join("rings"), u64::from(DOMAINS) * PAGE_SIZE as u64)?;
        let control = shared_file(&directory.join("ctl"), CONTROL_SIZE as u64)?;
        let control = SharedMemory::map(&control, 0, CONTROL_SIZE)?;
        let events = fifo(&directory.join("evtchn"))?;
        let guests = fifo(&directory.join("guests"))?;
        let board = Self { control, rings, events, guests };
        board.tally(Tally::Domains).store(DOMAINS, Relaxed);
        board.tally(Tally::Magic).store(MAGIC, Relaxed);
        Ok(board)
    }

    /// A word of the host.
    #[expect(clippy::indexing_slicing, reason = "the mapping has all of them")]
    pub fn tally(&self, word: Tally) -> &AtomicU32 {
        &self.control.words()[word as usize]
    }

    /// A word of a domain; `None` for a domid that none can have.
    pub fn domain(&self, domid: Domid, word: DomainWord) -> Option<&AtomicU32> {
        let place = HOST_WORDS + usize::from(domid.get()) * DOMAIN_WORDS + word as usize;
        self.control.words().get(place).filter(|_| domid.is_real())
    }

    /// The words of all domains, domain after domain.
    pub(super) fn domains(&self) -> impl Iterator<Item = (Domid, &[AtomicU32])> {
        let words = self.control.words().get(HOST_WORDS..).unwrap_or_default();
        (0..).map(Domid::new).zip(words.chunks(DOMAIN_WORDS))
    }

    /// A domain's ring, whether the domain exists or not.
    ///
    /// # Errors
    ///
    /// It cannot be mapped, or there is no such domid.
    pub fn ring(&self, domid: Domid) -> io::Result<RingPage> {
        if !domid.is_real() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let offset = u64::from(domid.get()) * PAGE_SIZE as u64;
        SharedMemory::map(&self.rings, offset, PAGE_SIZE).map(RingPage::new)
    }

    /// What the daemon waits on.
    pub fn events(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }

    /// What the guests wait on.
    pub fn guests(&self) -> BorrowedFd<'_> {
        self.guests.as_fd()
    }

    /// Fires a port at the daemon, whose state is `event`.
    ///
    /// # Errors
    ///
    /// The FIFO takes no more.
    pub fn fire(&self, event: &AtomicU32, port: u32) -> io::Result<()> {
        // What the event tells of is there before its state is looked at: a port found fired
        // already is fired again only after that.
        fence(SeqCst);
        if deliver(event) { (&self.events).write_all(&port.to_ne_bytes()) } else { Ok(()) }
    }

    /// Fires a domain's event channel at the daemon.
    ///
    /// # Errors
    ///
    /// The FIFO takes no more.
    pub fn fire_from(&self, domid: Domid) -> io::Result<()> {
        match self.domain(domid, DomainWord::EventIn) {
            Some(event) => self.fire(event, FIRST_PORT + u32::from(domid.get())),
            None => Ok(()),
        }
    }

    /// Fires the event channels of several domains at the daemon, in one system call for a
    /// thousand of them.
    ///
    /// # Errors
    ///
    /// The FIFO takes no more.
    pub fn fire_from_all(&self, domids: &[Domid]) -> io::Result<()> {
        fence(SeqCst);
        let mut words = [0; PIPE_BUF];
        for some in domids.chunks(PIPE_BUF / size_of::<u32>()) {
            let fired = some
                .iter()
                .filter(|&&domid| self.domain(domid, DomainWord::EventIn).is_some_and(deliver));
            let mut length = 0;
            for (domid, place) in fired.zip(words.as_chunks_mut().0) {
                *place = (FIRST_PORT + u32::from(domid.get())).to_ne_bytes();
                length += place.len();
            }
            (&self.events).write_all(words.get(..length).unwrap_or_default())?;
        }
        Ok(())
    }

    /// Tells the daemon that some domain changed its state.
    ///
    /// # Errors
    ///
    /// The FIFO takes no more.
    pub fn fire_news(&self) -> io::Result<()> {
        self.fire(self.tally(Tally::News), NEWS_PORT)
    }

    /// Appends the ports that fired at the daemon, or nothing if there are none.
    pub(super) fn take_events(&self, ports: &mut Vec<u32>) -> io::Result<()> {
        take_words(&self.events, ports)
    }

    /// Appends the domids whose event channel fired, or nothing if there are none. Each is
    /// told again only after its [`DomainWord::EventOut`] was set to 0, which has to happen
    /// before its ring is looked at.
    ///
    /// # Errors
    ///
    /// The FIFO cannot be read.
    pub fn take_notified(&self, domids: &mut Vec<u32>) -> io::Result<()> {
        take_words(&self.guests, domids)
    }

    /// Fires a guest's event channel.
    pub(super) fn notify_guest(&self, domid: Domid) -> io::Result<()> {
        let Some(event) = self.domain(domid, DomainWord::EventOut) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        if event.swap(1, SeqCst) == 0 {
            let word = u32::from(domid.get()).to_ne_bytes();
            (&self.guests).write_all(&word).inspect_err(|_| event.store(0, SeqCst))?;
        }
        Ok(())
    }

    /// Has a port delivered again, at once if it fired since it was masked.
    pub(super) fn unmask(&self, port: u32) -> io::Result<()> {
        let event = match port {
            NEWS_PORT => Some(self.tally(Tally::News)),
            _ => self.domain(domid_of(port)?, DomainWord::EventIn),
        };
        let Some(event) = event else { return Ok(()) };
        let step = |now| match now {
            1 => Some(0),
            2 => Some(1),
            _ => None,
        };
        match event.fetch_update(SeqCst, SeqCst, step) {
            Ok(2) => (&self.events).write_all(&port.to_ne_bytes()),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// Has an event channel fire; whether its port is to be delivered. If it was delivered
/// already, that is done when the daemon unmasks it.
fn deliver(event: &AtomicU32) -> bool {
    let step = |now| match now {
        0 => Some(1),
        1 => Some(2),
        _ => None,
    };
    event.fetch_update(SeqCst, SeqCst, step) == Ok(0)
}

/// The domain whose event channel has that local port.
pub(super) fn domid_of(port: u32) -> io::Result<Domid> {
    let number = port.checked_sub(FIRST_PORT).and_then(|number| u16::try_from(number).ok());
    number.map(Domid::new).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// Refuses a file that is somebody else's: it would be overwritten.
fn check_magic(path: &Path) -> io::Result<()> {
    let mut found = [0; size_of::<u32>()];
    match File::open(path).and_then(|mut file| file.read(&mut found)) {
        // Whoever made it may not have written that yet.
        Ok(_) if [0, MAGIC].contains(&u32::from_ne_bytes(found)) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(_) => {
            let what = format!("{} is not of a simulated host", path.display());
            Err(io::Error::new(io::ErrorKind::InvalidData, what))
        }
        Err(error) => Err(error),
    }
}

fn shared_file(path: &Path, size: u64) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file =
        options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    if file.metadata()?.len() < size {
        file.set_len(size)?;
    }
    Ok(file)
}

/// A FIFO, opened for both ends so that it is never at its end.
fn fifo(path: &Path) -> io::Result<File> {
    match rustix::fs::mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    // More than a user may have is refused, and then some hundred guests fewer fit.
    let _ = rustix::pipe::fcntl_setpipe_size(&file, PIPE_SIZE);
    Ok(file)
}

fn take_words(mut fifo: &File, words: &mut Vec<u32>) -> io::Result<()> {
    let mut buffer = [0; 1024];
    let count = match fifo.read(&mut buffer) {
        Ok(count) => count,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        Err(error) => return Err(error),
    };
    let (whole, _) = buffer.get(..count).unwrap_or_default().as_chunks::<4>();
    words.extend(whole.iter().map(|word| u32::from_ne_bytes(*word)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::Field;

    /// A directory that was named by mistake lost what its file of that name began with.
    #[test]
    fn what_is_no_simulated_host_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ctl");
        fs::write(&file, "somebody's text").unwrap();
        let refused = Board::open(directory.path()).unwrap_err();
        assert!(refused.to_string().contains("ctl"), "{refused}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "somebody's text");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        fs::remove_file(&file).unwrap();
        Board::open(directory.path()).unwrap();
        Board::open(directory.path()).unwrap();
    }

    /// Beyond the last ring there is no file: whoever touched a page of it was ended.
    #[test]
    fn no_ring_is_behind_the_last() {
        let directory = tempfile::tempdir().unwrap();
        let board = Board::open(directory.path()).unwrap();
        let last = Domid::new(Domid::FIRST_RESERVED.get() - 1);
        assert_eq!(board.ring(last).unwrap().field(Field::Features), 0);
        assert!(board.ring(Domid::SELF).is_err());
    }
}
