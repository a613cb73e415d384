//! The daemon's side of a simulated host.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use xenstore_wire::Domid;

use crate::hypervisor::DomainState;
use crate::machine::{Machine, Port};
use crate::ring::RingPage;
use crate::sim::board::{Board, DomainWord, FIRST_PORT, NEWS_PORT, State, Tally};

/// A host that is simulated in files; see [`Board`].
#[derive(Debug)]
pub struct Simulated {
    board: Arc<Board>,
    ports: Vec<u32>,
    /// The highest domid that was ever asked about.
    highest: Domid,
}

/// How many changed domains are told at a time, so few that tests reach it.
const CHANGES_AT_A_TIME: usize = 16;

/// Domain 0's end of its event channel.
const OWN_PORT: u32 = 1;

impl Simulated {
    /// The host in a directory, made if it is not there. Domain 0 exists from then on.
    ///
    /// # Errors
    ///
    /// The directory cannot be written, or holds something else.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let board = Arc::new(Board::open(directory)?);
        std::fs::write(directory.join("xsd_port"), OWN_PORT.to_string())?;
        if let (Some(state), Some(changed)) = (
            board.domain(Domid::DOM0, DomainWord::State),
            board.domain(Domid::DOM0, DomainWord::Changed),
        ) {
            state.fetch_or(State::EXISTS, SeqCst);
            changed.store(1, SeqCst);
        }
        board.tally(Tally::News).store(0, SeqCst);
        Ok(Self { board, ports: Vec::new(), highest: Domid::DOM0 })
    }

    fn word(&self, domid: Domid, word: DomainWord) -> u32 {
        self.board.domain(domid, word).map_or(0, |word| word.load(SeqCst))
    }

    fn set(&self, domid: Domid, word: DomainWord, value: u32) {
        if let Some(word) = self.board.domain(domid, word) {
            word.store(value, SeqCst);
        }
    }

    fn exists(&self, domid: Domid) -> io::Result<()> {
        match self.word(domid, DomainWord::State) & State::EXISTS {
            0 => Err(io::Error::from_raw_os_error(rustix::io::Errno::SRCH.raw_os_error())),
            _ => Ok(()),
        }
    }
}

impl Machine for Simulated {
    fn events(&self) -> BorrowedFd<'_> {
        self.board.events()
    }

    fn fired(&mut self, ports: &mut Vec<Port>) -> io::Result<()> {
        self.board.tally(Tally::Asked).fetch_add(1, Relaxed);
        self.board.take_events(&mut self.ports)?;
        ports.extend(self.ports.drain(..).map(Port));
        Ok(())
    }

    fn unmask(&mut self, ports: &[Port]) -> io::Result<()> {
        for port in ports {
            self.board.tally(Tally::Unmasked).fetch_add(1, Relaxed);
            self.board.unmask(port.0)?;
        }
        Ok(())
    }

    fn notify(&mut self, port: Port) -> io::Result<()> {
        self.board.tally(Tally::Notified).fetch_add(1, Relaxed);
        self.board.notify_guest(super::board::domid_of(port.0)?)
    }

    fn bind(&mut self, domid: Domid, remote: u32) -> io::Result<Port> {
        self.exists(domid)?;
        self.set(domid, DomainWord::RemotePort, remote);
        self.set(domid, DomainWord::EventIn, 0);
        self.set(domid, DomainWord::Bound, 1);
        Ok(Port(FIRST_PORT + u32::from(domid.get())))
    }

    fn unbind(&mut self, port: Port) {
        if let Ok(domid) = super::board::domid_of(port.0) {
            self.set(domid, DomainWord::Bound, 0);
        }
    }

    fn news(&self) -> Port {
        Port(NEWS_PORT)
    }

    fn map(&mut self, domid: Domid) -> io::Result<RingPage> {
        self.exists(domid)?;
        let board = Arc::clone(&self.board);
        let page = self.board.ring(domid)?.then(move || {
            if let Some(maps) = board.domain(domid, DomainWord::Maps) {
                maps.fetch_sub(1, SeqCst);
            }
        });
        if let Some(maps) = self.board.domain(domid, DomainWord::Maps) {
            maps.fetch_add(1, SeqCst);
        }
        Ok(page)
    }

    fn own_ring(&mut self) -> io::Result<(RingPage, u32)> {
        Ok((self.map(Domid::DOM0)?, OWN_PORT))
    }

    fn domain(&mut self, domid: Domid) -> Option<DomainState> {
        self.highest = self.highest.max(domid);
        let state = self.word(domid, DomainWord::State);
        let unique_id = self.word(domid, DomainWord::UniqueId).max(1);
        (state & State::EXISTS != 0).then_some(DomainState {
            unique_id: unique_id.into(),
            shutdown: state & State::SHUTDOWN != 0,
            dead: state & State::DEAD != 0,
        })
    }

    fn domains(&mut self) -> Vec<Domid> {
        let board = Arc::clone(&self.board);
        let exists = |domid: &Domid| self.domain(*domid).is_some();
        board.domains().map(|(domid, _)| domid).filter(exists).collect()
    }

    fn changed(&mut self) -> Option<Vec<Domid>> {
        let asked = self.board.domains().take(usize::from(self.highest.get()) + 1);
        let changed = asked.filter(|(_, words)| {
            let changed = words.get(DomainWord::Changed as usize);
            // Most did not, and to look is cheaper than to take.
            changed.is_some_and(|word| word.load(Relaxed) != 0 && word.swap(0, SeqCst) != 0)
        });
        Some(changed.map(|(domid, _)| domid).take(CHANGES_AT_A_TIME).collect())
    }
}
