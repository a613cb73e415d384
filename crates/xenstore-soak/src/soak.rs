//! The soak: villages of good guests and hostile ones, for as long as was asked.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use xenstore_client::{Client, Store};
use xenstore_guests::Host;
use xenstore_model::random::Random;
use xenstore_oracle::daemon::Daemon;

use crate::census;
use crate::failure::Failure;
use crate::herald::Herald;
use crate::hostile::Kind;
use crate::house::{House, Part};
use crate::options::Options;
use crate::tally::Tally;
use crate::town::{Ready, Town};
use crate::village::{FOUNDATION, Mood, Village};
use crate::vitals::Vitals;

/// The longest that a good client may wait for one request. A protected transaction of a
/// guest and one of a toolstack can be in the way, 500 ms each (docs/transactions.md); the
/// rest is for a busy machine.
pub const LONGEST: Duration = Duration::from_secs(2);

/// The longest that who lost a transaction may wait for its turn to begin the next: others
/// that lost come before it, and may take a second each (docs/transactions.md).
pub const LONGEST_FOR_A_TURN: Duration = Duration::from_secs(30);

/// How long a phase of the end may take.
const END: Duration = Duration::from_secs(120);

/// So much more memory than without guests the daemon may hold after all were destroyed:
/// what a program needs once and keeps, and what lies between pieces in use.
const MOST_GROWTH: u64 = 8 << 20;

/// Of four villages the last has so many houses; the others have one.
const LARGE: usize = 4;

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

/// What was seen in one second.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// How everything was.
    pub vitals: Vitals,
    /// How many good guests ran.
    pub good: usize,
    /// How many hostile guests ran.
    pub hostile: usize,
}

/// A soak under way.
struct Soak {
    daemon: Daemon,
    town: Town,
    herald: Herald,
    /// The good villages, and then the hostile.
    villages: Vec<Village>,
    /// How many of them are good.
    good: usize,
    /// Which village and house a domain belongs to.
    places: Vec<Option<(usize, usize)>>,
    /// When which village wants to be looked at.
    alarms: BinaryHeap<Reverse<(Instant, usize)>>,
    /// The last of these for each.
    alarm_of: Vec<Instant>,
    samples: Vec<Sample>,
    next_sample: Instant,
    longest_pause: Duration,
    last_look: Instant,
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
    let mut soak = Soak::new(options, seed, daemon, host)?;
    // Once the last thing is there that the herald asked for, all is.
    while !client.exists(FOUNDATION)? {}
    let at_start = Vitals::take(soak.daemon.pid())?;
    let begun = Instant::now();

    let end = begun + options.duration();
    let mut warm = None;
    let mut last_line = begun;
    while Instant::now() < end {
        soak.live(Mood::Live, Mood::Live)?;
        if warm.is_none() && soak.inhabitants() == (options.good, options.hostile) {
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
    let with_guests = soak.compare(&mut client)?;
    progress(&format!(
        "daemon and model agree in {} nodes; now all are destroyed",
        with_guests.nodes
    ));
    soak.until_done(Mood::Leave, Mood::Leave)?;
    let empty = soak.compare(&mut client)?;
    soak.check_board()?;
    let after = soak.settle()?;
    check_memory(&at_start, &after)?;
    let Soak { daemon, town, samples, longest_pause, .. } = soak;
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

impl Soak {
    fn new(options: &Options, seed: u64, daemon: Daemon, host: Host) -> Result<Self, Failure> {
        let town = Town::new(host, daemon.socket())?;
        let herald = Herald::new(&town)?;
        let mut random = Random::new(seed);
        let (mut villages, mut places) = (Vec::new(), vec![None; 0x7ff0]);
        let mut number = 0;
        let all = options.good + options.hostile;
        let mut left = options.good;
        let mut add =
            |random: &mut Random, size: usize, kinds: Vec<Kind>, villages: &mut Vec<_>| {
                let village = villages.len();
                let houses = (0..size).map(|house| {
                    number += 1;
                    let domids = [number, number + all].map(|it| u16::try_from(it).unwrap_or(0));
                    for domid in domids {
                        places[usize::from(domid)] = Some((village, house));
                    }
                    let opens = Instant::now() + Duration::from_millis(random.below(3000) as u64);
                    House::new(domids, kinds.clone(), options.lifetime(), opens)
                });
                let houses = houses.collect();
                villages.push(Village::new(village, seed, houses, options.pace()));
            };
        while left > 0 {
            let size = if villages.len() % LARGE == LARGE - 1 { LARGE.min(left) } else { 1 };
            add(&mut random, size, Vec::new(), &mut villages);
            left -= size;
        }
        let good = villages.len();
        for first in 0..options.hostile {
            let mut kinds = Kind::ALL.to_vec();
            kinds.rotate_left(first % Kind::ALL.len());
            add(&mut random, 1, kinds, &mut villages);
        }
        let now = Instant::now();
        let alarms = (0..villages.len()).map(|village| Reverse((now, village))).collect();
        let alarm_of = vec![now; villages.len()];
        Ok(Self {
            daemon,
            town,
            herald,
            villages,
            good,
            places,
            alarms,
            alarm_of,
            samples: Vec::new(),
            next_sample: now,
            longest_pause: Duration::ZERO,
            last_look: now,
        })
    }

    /// One round: what came is taken, and who has something to do does it.
    fn live(&mut self, good: Mood, hostile: Mood) -> Result<(), Failure> {
        let now = Instant::now();
        let next = self.alarms.peek().map_or(now, |Reverse((at, _))| *at).min(self.next_sample);
        let timeout = next.saturating_duration_since(now).min(Duration::from_millis(100));
        let mut ready = Ready::default();
        self.town.wait(timeout, &mut ready)?;
        let now = Instant::now();
        let pause = now.duration_since(self.last_look).saturating_sub(timeout);
        self.longest_pause = self.longest_pause.max(pause);
        self.last_look = now;
        if ready.herald {
            self.herald.receive()?;
        }
        let rings = ready.rings.iter().filter_map(|domid| {
            let (village, house) = (*self.places.get(usize::from(domid.get()))?)?;
            Some((village, Part { house, is_guest: true }))
        });
        let all: Vec<_> = ready.sockets.iter().copied().chain(rings).collect();
        for (village, part) in all {
            if let Some(it) = self.villages.get_mut(village) {
                it.receive(part, &mut self.town)?;
                self.act(village, good, hostile)?;
            }
        }
        while let Some(&Reverse((at, village))) = self.alarms.peek()
            && at <= now
        {
            self.alarms.pop();
            if self.alarm_of.get(village) == Some(&at) {
                self.act(village, good, hostile)?;
            }
        }
        if now >= self.next_sample {
            self.next_sample = now + Duration::from_secs(1);
            self.sample()?;
        }
        Ok(())
    }

    fn act(&mut self, number: usize, good: Mood, hostile: Mood) -> Result<(), Failure> {
        let mood = if number < self.good { good } else { hostile };
        let now = Instant::now();
        let Some(village) = self.villages.get_mut(number) else { return Ok(()) };
        let mut next = village.act(mood, &mut self.town, now)?;
        for house in &mut village.houses {
            if let Some(hostile) = &mut house.hostile {
                next = next.min(hostile.act(&mut self.town.tally, now)?);
            }
        }
        if let Some(alarm) = self.alarm_of.get_mut(number) {
            *alarm = next;
        }
        self.alarms.push(Reverse((next, number)));
        Ok(())
    }

    /// Goes on until everybody has come to rest, or left.
    fn until_done(&mut self, good: Mood, hostile: Mood) -> Result<(), Failure> {
        let begun = Instant::now();
        self.last_look = begun;
        loop {
            self.live(good, hostile)?;
            let is_done = |number: usize, village: &Village| match (number < self.good, good) {
                (true, Mood::Rest) => village.is_at_rest(),
                _ => village.is_empty(),
            };
            let open =
                self.villages.iter().enumerate().find(|&(it, village)| !is_done(it, village));
            let Some((_, village)) = open else { return Ok(()) };
            if begun.elapsed() > END {
                let what = format!("expected an end within {END:?}");
                return Err(village.explain(Failure::Stalled(what)));
            }
        }
    }

    /// Compares all there is with what the models say.
    fn compare(&mut self, client: &mut Client) -> Result<Compared, Failure> {
        let nodes = census::compare(client, &self.villages)?;
        let accounts = census::compare_accounts(client, &mut self.villages)?;
        // What the herald is due was on its way before these were answered.
        self.herald.receive()?;
        self.herald.check(&self.villages)?;
        Ok(Compared { nodes, accounts, announced: self.herald.count() })
    }

    fn inhabitants(&self) -> (usize, usize) {
        let count = |villages: &[Village]| villages.iter().map(Village::inhabitants).sum();
        let (good, hostile) = self.villages.split_at(self.good);
        (count(good), count(hostile))
    }

    fn sample(&mut self) -> Result<(), Failure> {
        let vitals = Vitals::take(self.daemon.pid())?;
        let (good, hostile) = self.inhabitants();
        self.samples.push(Sample { vitals, good, hostile });
        for village in &self.villages {
            for (part, since, for_turn) in village.waiting() {
                let (most, waits) =
                    (if for_turn { LONGEST_FOR_A_TURN } else { LONGEST }, since.elapsed());
                if waits > most {
                    let what = format!("{part} has been waiting for {waits:?}");
                    return Err(village.explain(Failure::Stalled(what)));
                }
            }
        }
        Ok(())
    }

    fn line(&self, begun: Instant) -> String {
        let seconds = begun.elapsed().as_secs();
        let Some(last) = self.samples.last() else { return format!("{seconds:>5} s") };
        let before = self.samples.iter().rev().nth(10).unwrap_or(last);
        let [daemon, soak, machine] = last.vitals.since(&before.vitals);
        let longest = self.town.tally.waits.values().map(|waits| waits.longest()).max();
        format!(
            "{seconds:>5} s  {} good, {} hostile; {} requests, {} events; longest wait {:.0} ms; \
             {:.1} MiB, {} files; processors: daemon {daemon:.2}, soak {soak:.2}, all {machine:.2}",
            last.good,
            last.hostile,
            self.town.tally.requests(),
            self.town.tally.events,
            longest.unwrap_or_default().as_secs_f64() * 1e3,
            last.vitals.resident as f64 / f64::from(1 << 20),
            last.vitals.files,
        )
    }

    /// Nothing of any domain may be in the daemon's hands.
    fn check_board(&self) -> Result<(), Failure> {
        let domids = (1..).zip(self.places.iter().skip(1)).filter(|(_, place)| place.is_some());
        for (number, _) in domids {
            let domid = xenstore_wire::Domid::new(number);
            let (bound, maps) = (self.town.host.bound_port(domid)?, self.town.host.maps(domid)?);
            if bound.is_some() || maps != 0 {
                let what = format!("{domid} is gone, and bound {bound:?}, mapped {maps} times");
                return Err(Failure::Broken(what));
            }
        }
        Ok(())
    }

    /// The daemon some seconds later, when it has given back what it does not need.
    fn settle(&self) -> Result<Vitals, Failure> {
        let mut vitals = Vitals::take(self.daemon.pid())?;
        for _ in 0..5 {
            std::thread::sleep(Duration::from_secs(1));
            vitals = Vitals::take(self.daemon.pid())?;
        }
        Ok(vitals)
    }
}
