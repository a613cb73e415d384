//! Guests that all ask for the same thing over and over, played by one thread.
//!
//! The load must not be what is measured. It looks only at rings whose event channel fired,
//! takes what there is of those in one go, and fires for all that asked again in one system
//! call. It does not sleep: a daemon that has to wake it for each reply would be measured with
//! the time that takes. When few channels have fired it lets `PAUSE` go by, so that it does
//! not get in the way of the daemon at the pipe. How much of the time it waited is among the
//! figures; as long as that is much, a faster load would change nothing.
//!
//! Guests fire as Linux does: when there is a request that the daemon has not seen, and not
//! for having taken replies from a lane that had room.

use std::time::{Duration, Instant};

use xenstore_guests::{Guest, Host};
use xenstore_host::ring::{LANE_SIZE, Lane};
use xenstore_wire::{Decoder, Domid, MessageType, message};

use crate::failure::Failure;

/// How long the load waits for more to do, if there is less than [`ENOUGH`].
const PAUSE: Duration = Duration::from_micros(20);

/// Event channels that are enough not to wait for more.
const ENOUGH: usize = 64;

/// How long a daemon may take for one request.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a guest asks for, of a node below its home.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ask {
    /// The value of this one.
    Read(&'static str),
    /// That this one has another value.
    Write(&'static str),
}

impl Ask {
    /// Its type.
    pub fn kind(self) -> MessageType {
        match self {
            Self::Read(_) => MessageType::Read,
            Self::Write(_) => MessageType::Write,
        }
    }
}

/// A guest that asks.
#[derive(Debug)]
pub struct Player {
    guest: Guest,
    ask: Ask,
    /// The request. The value of a write is in its last bytes.
    request: Vec<u8>,
    inbox: Decoder,
    asked: u32,
    answered: u32,
}

/// Bytes of a value that is written, another one each time.
const VALUE: usize = size_of::<u32>();

impl Player {
    /// A guest that has not asked for anything yet.
    pub fn new(guest: Guest, ask: Ask) -> Self {
        let mut player =
            Self { guest, ask, request: Vec::new(), inbox: Decoder::new(), asked: 0, answered: 0 };
        player.wants(ask);
        player
    }

    /// Has it ask for something else from now on.
    pub fn wants(&mut self, ask: Ask) {
        self.ask = ask;
        self.request.clear();
        let payload: [&[u8]; 3] = match ask {
            Ask::Read(path) => [path.as_bytes(), b"\0", b""],
            Ask::Write(path) => [path.as_bytes(), b"\0", &[0; VALUE]],
        };
        let fits = message::encode(&mut self.request, ask.kind(), 0, 0, &payload);
        debug_assert!(fits, "a path of a few names");
    }

    /// Whose ring it is.
    pub fn domid(&self) -> Domid {
        self.guest.domid()
    }

    /// Requests that were not answered yet.
    fn in_flight(&self) -> u32 {
        self.asked.wrapping_sub(self.answered)
    }

    /// Puts a request into the ring. There is room: few are on their way at a time.
    fn ask(&mut self) -> Result<(), Failure> {
        self.asked = self.asked.wrapping_add(1);
        if let Ask::Write(_) = self.ask
            && let Some(value) = self.request.last_chunk_mut()
        {
            *value = self.asked.to_ne_bytes();
        }
        self.guest.page().put(Lane::Requests, &self.request)?;
        Ok(())
    }

    /// Takes what has come; how many replies that completed.
    fn hear(&mut self) -> Result<u32, Failure> {
        let mut bytes = [0; LANE_SIZE];
        let count = self.guest.page().take(Lane::Responses, &mut bytes)?;
        self.inbox.push(bytes.get(..count).unwrap_or_default());
        let mut replies = 0;
        while let Some(message) = self.inbox.next_message()? {
            let found = message.header.kind;
            if found == MessageType::Error.number() {
                let error = String::from_utf8_lossy(message.payload).into_owned();
                return Err(Failure::Refused { kind: self.ask.kind(), error });
            }
            replies += u32::from(found != MessageType::WatchEvent.number());
        }
        self.answered = self.answered.wrapping_add(replies);
        Ok(replies)
    }

    /// Asks once and sleeps until the reply is there; how long that took.
    pub fn round_trip(&mut self, host: &mut Host) -> Result<Duration, Failure> {
        let begun = Instant::now();
        self.ask()?;
        self.guest.fire()?;
        loop {
            if host.wait(Some(PATIENCE))?.is_empty() {
                return Err(Failure::Stuck { expected: "a reply", patience: PATIENCE });
            }
            if self.hear()? > 0 {
                return Ok(begun.elapsed());
            }
        }
    }
}

/// Guests that all ask at the same time.
#[derive(Debug)]
pub struct GuestLoad<'a> {
    host: &'a mut Host,
    players: &'a mut [Player],
    /// The first one's domid; the others follow.
    first: Domid,
    /// Whose ring has new requests.
    asking: Vec<Domid>,
    waited: Duration,
}

/// What came of a load.
#[derive(Clone, Copy, Debug)]
pub struct Answered {
    /// Requests answered.
    pub requests: u64,
    /// Of the guest with the fewest, and of that with the most.
    pub share: (u32, u32),
    /// In how much time.
    pub elapsed: Duration,
    /// How long the load had nothing to do.
    pub waited: Duration,
}

impl<'a> GuestLoad<'a> {
    /// The load of these guests, whose domids follow each other.
    pub fn new(host: &'a mut Host, players: &'a mut [Player]) -> Self {
        let first = players.first().map_or(Domid::DOM0, Player::domid);
        let asking = Vec::with_capacity(players.len());
        Self { host, players, first, asking, waited: Duration::ZERO }
    }

    /// Lets each guest have so many requests on their way at any time, until time is up. What
    /// is on its way then stays so.
    pub fn run(mut self, depth: u32, time: Duration) -> Result<Answered, Failure> {
        for player in &mut *self.players {
            player.hear()?;
            (player.in_flight()..depth).try_for_each(|_| player.ask())?;
            self.asking.push(player.domid());
        }
        let before: Vec<u32> = self.players.iter().map(|player| player.answered).collect();
        let begun = Instant::now();
        self.fire()?;
        while begun.elapsed() < time {
            if self.serve()? < ENOUGH {
                self.pause();
            }
        }
        let elapsed = begun.elapsed();
        let players = self.players.iter().zip(before);
        let counts = players.map(|(player, before)| player.answered.wrapping_sub(before));
        let (mut requests, mut share) = (0, (u32::MAX, 0));
        for count in counts {
            requests += u64::from(count);
            share = (share.0.min(count), share.1.max(count));
        }
        Ok(Answered { requests, share, elapsed, waited: self.waited })
    }

    /// Has each guest ask once, and waits for all replies: what happens does not depend on how
    /// fast anybody is.
    pub fn turn(&mut self) -> Result<(), Failure> {
        for player in &mut *self.players {
            player.ask()?;
            self.asking.push(player.domid());
        }
        self.fire()?;
        let mut missing = self.players.len();
        while missing > 0 {
            let notified = self.host.wait(Some(PATIENCE))?;
            if notified.is_empty() {
                return Err(Failure::Stuck { expected: "all replies", patience: PATIENCE });
            }
            for &domid in notified {
                let index = domid.get().wrapping_sub(self.first.get());
                let Some(player) = self.players.get_mut(usize::from(index)) else { continue };
                missing = missing.saturating_sub(player.hear()? as usize);
            }
        }
        Ok(())
    }

    /// Looks at the rings whose event channels fired; how many.
    fn serve(&mut self) -> Result<usize, Failure> {
        let notified = self.host.notified()?;
        let count = notified.len();
        for domid in notified {
            let index = domid.get().wrapping_sub(self.first.get());
            let Some(player) = self.players.get_mut(usize::from(index)) else { continue };
            let replies = player.hear()?;
            if replies > 0 {
                (0..replies).try_for_each(|_| player.ask())?;
                self.asking.push(player.domid());
            }
        }
        self.fire()?;
        Ok(count)
    }

    fn fire(&mut self) -> Result<(), Failure> {
        self.host.fire(&self.asking)?;
        self.asking.clear();
        Ok(())
    }

    fn pause(&mut self) {
        let begun = Instant::now();
        while begun.elapsed() < PAUSE {
            std::hint::spin_loop();
        }
        self.waited += begun.elapsed();
    }
}
