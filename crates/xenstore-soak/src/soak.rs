//! The soak: villages of good guests and hostile ones, for as long as was asked.

use std::time::{Duration, Instant};

use xenstore_client::{Client, Store};
use xenstore_guests::Host;
use xenstore_oracle::daemon::Daemon;
use xenstore_wire::Domid;

use crate::census;
use crate::failure::Failure;
use crate::foundation;
use crate::options::Options;
use crate::rounds::{Rounds, Sample};
use crate::tally::Tally;
use crate::village::Mood;
use crate::vitals::Vitals;

/// So much more memory than without guests the daemon may hold after all were destroyed:
/// what a program needs once and keeps, and what lies between pieces in use.
const MOST_GROWTH: u64 = 8 << 20;

/// What was found.
#[derive(Debug)]
pub struct Outcome {
    /// What every village decided by.
    pub seed: u64,
    /// How long guests came and went.
    pub lasted: Duration,
    /// What was counted.
    pub tally: Tally,
    /// Samples of every second.
    pub samples: Vec<Sample>,
    /// The daemon with nothing in it.
    pub at_start: Vitals,
    /// The daemon when all were there for the first time.
    pub warm: Vitals,
    /// The daemon at the end of the coming and going.
    pub at_end: Vitals,
    /// The daemon after everything was destroyed.
    pub after: Vitals,
    /// What was compared with all good guests there, and with nobody.
    pub compared: [Compared; 2],
    /// The longest that this program did not look at what came.
    pub longest_pause: Duration,
    /// What the daemon logged.
    pub log: String,
}

/// How much was found to be as the models say.
#[derive(Clone, Copy, Debug)]
pub struct Compared {
    /// Nodes in the whole store.
    pub nodes: usize,
    /// Accounts of domains.
    pub accounts: usize,
    /// Events of all domains that came and went so far.
    pub announced: u64,
}

/// Does it. `progress` is told a line now and then.
///
/// # Errors
///
/// Something was not as it has to be.
pub fn run(
    options: &Options,
    seed: u64,
    mut progress: impl FnMut(&str),
) -> Result<Outcome, Failure> {
    let daemon = Daemon::rxenstored_on_host(&[]);
    let host = Host::open(&daemon.host_directory())?;
    let mut client = Client::open_path(daemon.socket())?;
    let mut soak = Rounds::new(options, seed, daemon, host)?;
    // Once the last thing is there that the herald asked for, all is.
    while !client.exists(foundation::LAST)? {}
    let at_start = Vitals::take(soak.daemon.pid())?;
    let begun = Instant::now();

    let end = begun + options.duration();
    let mut warm = None;
    let mut last_line = begun;
    while Instant::now() < end {
        soak.live(Mood::Live, Mood::Live)?;
        if warm.is_none() && soak.are_all_there(options) {
            warm = soak.samples.last().map(|sample| sample.vitals);
        }
        if last_line.elapsed() >= Duration::from_secs(10) {
            last_line = Instant::now();
            progress(&soak.line(begun));
        }
    }
    let lasted = begun.elapsed();
    let at_end = Vitals::take(soak.daemon.pid())?;
    progress("the hostile guests are destroyed, the good ones finish what they began");
    soak.until_done(Mood::Rest, Mood::Leave)?;
    let with_guests = compare(&mut client, &mut soak)?;
    progress(&format!(
        "daemon and model agree in {} nodes; now all are destroyed",
        with_guests.nodes
    ));
    soak.until_done(Mood::Leave, Mood::Leave)?;
    let empty = compare(&mut client, &mut soak)?;
    check_board(&soak)?;
    let after = settle(soak.daemon.pid())?;
    check_memory(&at_start, &after)?;
    let Rounds { daemon, town, samples, longest_pause, .. } = soak;
    Ok(Outcome {
        seed,
        lasted,
        tally: town.tally,
        samples,
        at_start,
        warm: warm.unwrap_or(at_end),
        at_end,
        after,
        compared: [with_guests, empty],
        longest_pause,
        log: daemon.messages(),
    })
}

/// Whether the daemon holds no more than before any guest came.
fn check_memory(before: &Vitals, after: &Vitals) -> Result<(), Failure> {
    let as_before = after.files == before.files && after.resident <= before.resident + MOST_GROWTH;
    let what =
        || format!("expected as much memory and as many files as {before:?}, found {after:?}");
    as_before.then_some(()).ok_or_else(|| Failure::Broken(what()))
}

/// Compares all there is with what the models say.
fn compare(client: &mut Client, soak: &mut Rounds) -> Result<Compared, Failure> {
    let nodes = census::compare(client, &soak.villages)?;
    let accounts = census::compare_accounts(client, &mut soak.villages)?;
    // What the herald is due was on its way before these were answered.
    soak.herald.receive()?;
    soak.herald.check(&soak.villages)?;
    Ok(Compared { nodes, accounts, announced: soak.herald.count() })
}

/// Nothing of any domain may be in the daemon's hands.
fn check_board(soak: &Rounds) -> Result<(), Failure> {
    let domids = (1..).zip(soak.places.iter().skip(1)).filter(|(_, place)| place.is_some());
    for (number, _) in domids {
        let domid = Domid::new(number);
        let (bound, maps) = (soak.town.host.bound_port(domid)?, soak.town.host.maps(domid)?);
        if bound.is_some() || maps != 0 {
            let what = format!("{domid} is gone, and bound {bound:?}, mapped {maps} times");
            return Err(Failure::Broken(what));
        }
    }
    Ok(())
}

/// The daemon some seconds later, when it has given back what it does not need.
fn settle(daemon: u32) -> Result<Vitals, Failure> {
    let mut vitals = Vitals::take(daemon)?;
    for _ in 0..5 {
        std::thread::sleep(Duration::from_secs(1));
        vitals = Vitals::take(daemon)?;
    }
    Ok(vitals)
}
