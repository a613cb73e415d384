//! All villages, round after round: what came is taken, and who has something to do does it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use xenstore_guests::Host;
use xenstore_model::random::Random;
use xenstore_oracle::daemon::Daemon;

use crate::failure::Failure;
use crate::herald::Herald;
use crate::hostile::Kind;
use crate::house::{House, Part};
use crate::options::Options;
use crate::report::mebibytes;
use crate::tally::Waits;
use crate::town::{Ready, Town};
use crate::village::{Mood, Village};
use crate::vitals::Vitals;

/// How long a phase of the end may take.
const END: Duration = Duration::from_mins(2);

/// Of four villages the last has so many houses; the others have one.
const LARGE: usize = 4;

/// A soak under way.
#[derive(Debug)]
pub struct Rounds {
    pub(crate) daemon: Daemon,
    pub(crate) town: Town,
    pub(crate) herald: Herald,
    /// The good villages, and then the hostile.
    pub(crate) villages: Vec<Village>,
    /// How many of them are good.
    good: usize,
    /// Which village and house a domain belongs to.
    pub(crate) places: Vec<Option<(usize, usize)>>,
    /// When which village wants to be looked at.
    alarms: BinaryHeap<Reverse<(Instant, usize)>>,
    /// The last of these for each.
    alarm_of: Vec<Instant>,
    pub(crate) samples: Vec<Sample>,
    next_sample: Instant,
    /// The longest that a good client may wait: for a request, for its turn after it lost.
    patience: [Duration; 2],
    pub(crate) longest_pause: Duration,
    last_look: Instant,
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

impl Rounds {
    /// Before anybody comes.
    pub(crate) fn new(
        options: &Options,
        seed: u64,
        daemon: Daemon,
        host: Host,
    ) -> Result<Self, Failure> {
        let town = Town::new(host, daemon.socket(), options.longest_wait())?;
        let herald = Herald::new(&town)?;
        let mut random = Random::new(seed);
        let (mut villages, mut places) = (Vec::new(), vec![None; 0x7ff0]);
        let mut number = 0;
        // While one is being made or destroyed another runs.
        let [mut left, hostile] =
            [options.good, options.hostile].map(|wanted| wanted + wanted.div_ceil(10));
        let all = left + hostile;
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
        for first in 0..hostile {
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
            patience: [options.longest_wait(), options.longest_turn()],
            longest_pause: Duration::ZERO,
            last_look: now,
        })
    }

    /// One round: what came is taken, and who has something to do does it.
    pub(crate) fn live(&mut self, good: Mood, hostile: Mood) -> Result<(), Failure> {
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
    pub(crate) fn until_done(&mut self, good: Mood, hostile: Mood) -> Result<(), Failure> {
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

    fn inhabitants(&self) -> (usize, usize) {
        let count = |villages: &[Village]| villages.iter().map(Village::inhabitants).sum();
        let (good, hostile) = self.villages.split_at(self.good);
        (count(good), count(hostile))
    }

    /// Whether as many run as there are to be.
    pub(crate) fn are_all_there(&self, options: &Options) -> bool {
        let (good, hostile) = self.inhabitants();
        good >= options.good && hostile >= options.hostile
    }

    fn sample(&mut self) -> Result<(), Failure> {
        let vitals = Vitals::take(self.daemon.pid())?;
        let (good, hostile) = self.inhabitants();
        let [wait, turn] = self.patience;
        self.samples.push(Sample { vitals, good, hostile });
        for village in &self.villages {
            for (part, since, for_turn) in village.waiting() {
                let (most, waits) = (if for_turn { turn } else { wait }, since.elapsed());
                if waits > most {
                    let what = format!("{part} has been waiting for {waits:?}");
                    return Err(village.explain(Failure::Stalled(what)));
                }
            }
        }
        Ok(())
    }

    /// How it goes, in a line.
    pub(crate) fn line(&self, begun: Instant) -> String {
        let seconds = begun.elapsed().as_secs();
        let Some(last) = self.samples.last() else { return format!("{seconds:>5} s") };
        let before = self.samples.iter().rev().nth(10).unwrap_or(last);
        let [daemon, soak, machine] = last.vitals.since(&before.vitals);
        let longest = self.town.tally.waits.values().map(Waits::longest).max();
        format!(
            "{seconds:>5} s  {} good, {} hostile; {} requests, {} events; longest wait {:.0} ms; \
             {}, {} files; processors: daemon {daemon:.2}, soak {soak:.2}, all {machine:.2}",
            last.good,
            last.hostile,
            self.town.tally.requests(),
            self.town.tally.events,
            longest.unwrap_or_default().as_secs_f64() * 1e3,
            mebibytes(last.vitals.resident),
            last.vitals.files,
        )
    }
}
