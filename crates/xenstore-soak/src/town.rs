//! What all villages share: the host, the daemon's socket, what is counted.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use xenstore_guests::Host;
use xenstore_wire::Domid;

use crate::failure::Failure;
use crate::house::Part;
use crate::line::Line;
use crate::tally::Tally;

/// What all villages share.
#[derive(Debug)]
pub struct Town {
    /// The hypervisor.
    pub host: Host,
    /// What was counted.
    pub tally: Tally,
    /// The longest that a good client may wait for one request.
    longest_wait: Duration,
    socket: PathBuf,
    epoll: OwnedFd,
}

/// What there is to look at.
#[derive(Debug, Default)]
pub struct Ready {
    /// Toolstacks, by village and house.
    pub sockets: Vec<(usize, Part)>,
    /// Whether the herald's socket has something.
    pub herald: bool,
    /// Domains whose event channel fired.
    pub rings: Vec<Domid>,
}

/// Stands for the event channels of all guests.
const RINGS: u64 = 0;

/// Stands for the herald.
const HERALD: u64 = 1;

/// The first of the numbers that stand for toolstacks.
const TOOLSTACKS: u64 = 2;

impl Town {
    /// Around a daemon with this socket, on this host. Good clients may wait for so long.
    pub fn new(host: Host, socket: &Path, longest_wait: Duration) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let rings = host.board().guests();
        epoll::add(&epoll, rings, EventData::new_u64(RINGS), EventFlags::IN)?;
        let tally = Tally::default();
        Ok(Self { host, tally, longest_wait, socket: socket.to_owned(), epoll })
    }

    /// Fails if somebody waited for longer than may be.
    pub fn check_wait(&self, waited: Duration) -> Result<(), Failure> {
        let what = || format!("waited for {waited:?}");
        (waited <= self.longest_wait).then_some(()).ok_or_else(|| Failure::Stalled(what()))
    }

    /// Connects a toolstack.
    pub fn connect(&self, village: usize, part: Part) -> io::Result<Line> {
        self.connect_as(TOOLSTACKS + ((village as u64) << 8 | part.house as u64))
    }

    /// Connects the herald.
    pub fn connect_herald(&self) -> io::Result<Line> {
        self.connect_as(HERALD)
    }

    fn connect_as(&self, data: u64) -> io::Result<Line> {
        let line = Line::connect(&self.socket)?;
        if let Some(file) = line.file() {
            epoll::add(&self.epoll, file, EventData::new_u64(data), EventFlags::IN)?;
        }
        Ok(line)
    }

    /// Waits until there is something to look at, at most for so long.
    pub fn wait(&mut self, timeout: Duration, ready: &mut Ready) -> io::Result<()> {
        ready.sockets.clear();
        ready.herald = false;
        ready.rings.clear();
        let mut events = Vec::with_capacity(256);
        let timeout = Timespec::try_from(timeout).unwrap_or_default();
        let room = rustix::buffer::spare_capacity(&mut events);
        match epoll::wait(&self.epoll, room, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            let data = event.data.u64();
            let Some(place) = data.checked_sub(TOOLSTACKS) else {
                ready.herald |= data == HERALD;
                if data == RINGS {
                    ready.rings.extend_from_slice(self.host.wait(Some(Duration::ZERO))?);
                }
                continue;
            };
            let (village, house) = (place >> 8, place & 0xff);
            let part = Part { house: usize::try_from(house).unwrap_or_default(), is_guest: false };
            ready.sockets.push((usize::try_from(village).unwrap_or_default(), part));
        }
        Ok(())
    }
}
