//! The hypervisor of a simulated host.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Release, SeqCst};
use std::sync::atomic::fence;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use xenstore_client::Client;
use xenstore_host::sim::{Board, DOMAINS, DomainWord, State};
use xenstore_wire::Domid;

use crate::guest::Guest;

/// A guest's end of its event channel, unless the test has a reason to name another.
pub const GUEST_PORT: u32 = 5;

/// A simulated host, seen from above: all but the daemon.
///
/// One at a time for each host: an event channel that fired is reported to whoever asks
/// first.
#[derive(Debug)]
pub struct Host {
    board: Arc<Board>,
    /// What the next domain is told apart by.
    next_id: u32,
    /// Domids read from the FIFO and not reported yet.
    fired: Vec<u32>,
    /// Those last reported.
    reported: Vec<Domid>,
}

impl Host {
    /// The host in a directory, made if there is none. The daemon may be started before or
    /// after.
    ///
    /// # Errors
    ///
    /// The directory cannot be written, or holds something else.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let board = Arc::new(Board::open(directory)?);
        let domids = (0..).map(Domid::new).take_while(|domid| domid.is_real());
        let ids = domids.filter_map(|domid| board.domain(domid, DomainWord::UniqueId));
        // The daemon reads 0 as 1.
        let highest = ids.map(|id| id.load(SeqCst)).fold(1, u32::max);
        Ok(Self { board, next_id: highest + 1, fired: Vec::new(), reported: Vec::new() })
    }

    /// The files beneath.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// Creates a domain, whether or not its number was used before: an empty ring, idle event
    /// channels, and what tells it from those before. The daemon is not told.
    pub fn create(&mut self, domid: Domid) -> io::Result<Guest> {
        let guest = self.guest(domid)?;
        guest.page().clear();
        for word in [DomainWord::EventIn, DomainWord::EventOut] {
            self.set(domid, word, 0)?;
        }
        self.renumber(domid)?;
        self.set_state(domid, State::EXISTS)?;
        Ok(guest)
    }

    /// Another domain has the number now, and all else is as the one before left it. The
    /// daemon is not told.
    pub fn renumber(&mut self, domid: Domid) -> io::Result<()> {
        self.set(domid, DomainWord::UniqueId, self.next_id)?;
        self.set(domid, DomainWord::Changed, 1)?;
        self.next_id += 1;
        Ok(())
    }

    /// Creates a domain and has a toolstack introduce it.
    pub fn boot(&mut self, domid: Domid, toolstack: &mut Client) -> xenstore_client::Result<Guest> {
        let guest = self.create(domid)?;
        toolstack.introduce(domid, 1, GUEST_PORT)?;
        Ok(guest)
    }

    /// A domain's end of its ring as it is now, such as that of domain 0's kernel. What an
    /// earlier [`Guest`] of the domain has not sent or parsed is not in it.
    pub fn guest(&self, domid: Domid) -> io::Result<Guest> {
        self.word(domid, DomainWord::State)?;
        Guest::new(domid, Arc::clone(&self.board))
    }

    /// What a domain is: bits of [`State`], 0 if there is none.
    pub fn state(&self, domid: Domid) -> io::Result<u32> {
        self.word(domid, DomainWord::State)
    }

    /// Makes a domain what these bits of [`State`] say. The daemon is not told.
    pub fn set_state(&self, domid: Domid, state: u32) -> io::Result<()> {
        self.set(domid, DomainWord::State, state)?;
        self.set(domid, DomainWord::Changed, 1)
    }

    /// A domain stops, by itself or crashed, and stays in memory. The daemon is not told.
    pub fn shut_down(&self, domid: Domid) -> io::Result<()> {
        self.set_state(domid, State::EXISTS | State::SHUTDOWN)
    }

    /// A domain is being torn down. The daemon is not told.
    pub fn tear_down(&self, domid: Domid) -> io::Result<()> {
        self.set_state(domid, State::EXISTS | State::DYING)
    }

    /// Nothing of a domain will run again, while some of its memory is still held. The daemon
    /// is not told.
    pub fn kill(&self, domid: Domid) -> io::Result<()> {
        self.set_state(domid, State::EXISTS | State::DYING | State::DEAD)
    }

    /// A domain is gone, its number free for another. The daemon is not told.
    pub fn remove(&self, domid: Domid) -> io::Result<()> {
        self.set_state(domid, 0)
    }

    /// Tells the daemon that domains changed their state (`VIRQ_DOM_EXC`).
    pub fn raise(&self) -> io::Result<()> {
        self.board.fire_news()
    }

    /// The guest's end of its event channel that the daemon has bound, if it has.
    pub fn bound_port(&self, domid: Domid) -> io::Result<Option<u32>> {
        let bound = self.word(domid, DomainWord::Bound)? != 0;
        let port = self.word(domid, DomainWord::RemotePort)?;
        Ok(bound.then_some(port))
    }

    /// How often the daemon has a domain's ring mapped.
    pub fn maps(&self, domid: Domid) -> io::Result<u32> {
        self.word(domid, DomainWord::Maps)
    }

    /// Whether the daemon fired a domain's event channel and nobody was told yet.
    pub fn is_notified(&self, domid: Domid) -> io::Result<bool> {
        Ok(self.word(domid, DomainWord::EventOut)? != 0)
    }

    /// Waits until the daemon fired the event channel of some guests, at most that long if
    /// there is a limit: whose. None if time ran out. A guest's channel can fire again from
    /// then on, so what comes after its ring was looked at is told again.
    ///
    /// Costs two system calls for up to 256 guests, whatever their number.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<&[Domid]> {
        if self.fired.is_empty() {
            self.listen(timeout)?;
        }
        Ok(self.report())
    }

    /// As [`wait`](Self::wait), without waiting. Costs one system call.
    pub fn notified(&mut self) -> io::Result<&[Domid]> {
        self.board.take_notified(&mut self.fired)?;
        Ok(self.report())
    }

    /// Has several guests say that the daemon should look at their rings: see
    /// [`Guest::fire`]. One system call for a thousand of them.
    pub fn fire(&self, domids: &[Domid]) -> io::Result<()> {
        self.board.fire_from_all(domids)
    }

    /// Whose event channels fired; they can fire again.
    fn report(&mut self) -> &[Domid] {
        self.reported.clear();
        for number in self.fired.drain(..) {
            self.reported.extend(answered(&self.board, number));
        }
        // Nothing of the rings is read before that is seen: else a notification could be lost.
        fence(SeqCst);
        &self.reported
    }

    /// As [`wait`](Self::wait), for one guest: what others are told stays for them. May return
    /// although nothing happened.
    pub(crate) fn wait_for(&mut self, domid: Domid, timeout: Duration) -> io::Result<()> {
        let its = u32::from(domid.get());
        if !self.fired.contains(&its) {
            self.listen(Some(timeout))?;
        }
        if self.fired.contains(&its) {
            self.fired.retain(|&number| number != its);
            answered(&self.board, its);
            fence(SeqCst);
        }
        Ok(())
    }

    fn listen(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let mut entry = [PollFd::from_borrowed_fd(self.board.guests(), PollFlags::IN)];
        match poll(&mut entry, timeout.as_ref()) {
            Ok(0) | Err(rustix::io::Errno::INTR) => Ok(()),
            Ok(_) => self.board.take_notified(&mut self.fired),
            Err(error) => Err(error.into()),
        }
    }

    fn word(&self, domid: Domid, word: DomainWord) -> io::Result<u32> {
        let word = self.board.domain(domid, word).ok_or_else(|| no_domain(domid))?;
        Ok(word.load(SeqCst))
    }

    fn set(&self, domid: Domid, word: DomainWord, value: u32) -> io::Result<()> {
        let word = self.board.domain(domid, word).ok_or_else(|| no_domain(domid))?;
        word.store(value, SeqCst);
        Ok(())
    }
}

/// Whose event channel it is; it can fire again. A [`fence`] has to follow.
fn answered(board: &Board, number: u32) -> Option<Domid> {
    let domid = u16::try_from(number).ok().map(Domid::new)?;
    board.domain(domid, DomainWord::EventOut)?.store(0, Release);
    Some(domid)
}

fn no_domain(domid: Domid) -> io::Error {
    let what = format!("expected a domid below {DOMAINS}, found {domid}");
    io::Error::new(io::ErrorKind::InvalidInput, what)
}
