//! Guests that do what no guest should.
//!
//! Nobody compares what they are told; what counts is that nobody else notices. Each does
//! one thing for all of its life. They count on how the daemon numbers transactions instead
//! of reading what it says, so that not to read is no hindrance.

use std::io;
use std::time::{Duration, Instant};

use xenstore_guests::Guest;
use xenstore_model::random::Random;

use crate::tally::Tally;

mod deeds;

/// What a hostile guest does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Asks as much as it can, and reads the answers.
    Flood,
    /// Asks as much as it can, and never reads.
    NeverRead,
    /// Sends half a message and then nothing for long.
    Half,
    /// Says it will send more than any message holds.
    Oversize,
    /// Sends requests of every type without payload, and of types there are not.
    Empty,
    /// Sets indices that make no sense.
    BadIndices,
    /// Changes indices and bytes all the time.
    Shifting,
    /// Has as many watches on the root as it may, and reads a byte now and then.
    WatchRoot,
    /// Keeps as many transactions open as it may, for as long as it may.
    KeepOpen,
    /// Makes transactions as large as it may.
    LargeTransactions,
    /// Makes paths as deep as it may, and removes them.
    Deep,
    /// Owns as much as it may, and gives it up again.
    Hoard,
    /// Names everybody, and domains to come, in permission lists.
    Name,
    /// Drops its watches and makes them again.
    Reset,
    /// Begins its ring anew, all the time.
    Reconnect,
    /// Fires its event channel without a reason.
    Ring,
    /// Loses transactions on purpose, to keep others waiting under protection.
    Hold,
    /// Asks for what only toolstacks may.
    Presume,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Flood,
        Self::NeverRead,
        Self::Half,
        Self::Oversize,
        Self::Empty,
        Self::BadIndices,
        Self::Shifting,
        Self::WatchRoot,
        Self::KeepOpen,
        Self::LargeTransactions,
        Self::Deep,
        Self::Hoard,
        Self::Name,
        Self::Reset,
        Self::Reconnect,
        Self::Ring,
        Self::Hold,
        Self::Presume,
    ];

    /// What it does, for the report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flood => "asks without end",
            Self::NeverRead => "asks and never reads",
            Self::Half => "half messages, then silence",
            Self::Oversize => "oversize lengths",
            Self::Empty => "empty requests of every type, and types there are not",
            Self::BadIndices => "senseless indices",
            Self::Shifting => "indices and bytes that change all the time",
            Self::WatchRoot => "128 watches on `/`",
            Self::KeepOpen => "10 transactions open for as long as may be",
            Self::LargeTransactions => "transactions as large as may be",
            Self::Deep => "paths as deep as may be",
            Self::Hoard => "as many and as large nodes as may be, and removals of all",
            Self::Name => "permission lists of everybody and of domains to come",
            Self::Reset => "RESET_WATCHES",
            Self::Reconnect => "new connections of the ring",
            Self::Ring => "event channels without bytes",
            Self::Hold => "transactions lost on purpose, to be protected",
            Self::Presume => "requests of toolstacks",
        }
    }

    /// How long it waits between two deeds.
    const fn pause(self) -> Duration {
        Duration::from_millis(match self {
            Self::Flood | Self::Shifting | Self::Ring | Self::Reconnect => 2,
            Self::Half => 200,
            Self::Hold => 20,
            _ => 5,
        })
    }
}

/// A hostile guest.
#[derive(Debug)]
pub struct Hostile {
    kind: Kind,
    guest: Guest,
    random: Random,
    /// How often it did something.
    count: usize,
    /// The last transaction it began, as the daemon numbers them.
    transaction: u32,
    next: Instant,
}

impl Hostile {
    /// One that runs from now on.
    pub fn new(kind: Kind, guest: Guest, seed: u64) -> Self {
        let random = Random::new(seed);
        Self { kind, guest, random, count: 0, transaction: 0, next: Instant::now() }
    }

    /// Does the next thing if it is time; when to look again.
    pub fn act(&mut self, tally: &mut Tally, now: Instant) -> io::Result<Instant> {
        if now < self.next {
            return Ok(self.next);
        }
        tally.mischief(self.kind.name());
        self.do_mischief()?;
        self.count += 1;
        self.next = now + self.kind.pause();
        Ok(self.next)
    }
}
