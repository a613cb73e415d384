//! What good clients were told, and how long they waited for it.

use std::collections::BTreeMap;
use std::time::Duration;

use xenstore_wire::MessageType;

/// Whose requests are counted together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Who {
    /// Good guests.
    Guest,
    /// Toolstacks of all guests.
    Toolstack,
}

/// Steps per doubling: waiting times are told to some 2 percent.
const FINENESS: u32 = 32;

/// How often something took how long.
#[derive(Clone, Default, Debug)]
pub struct Waits {
    /// By the logarithm of the microseconds.
    counts: BTreeMap<u32, u64>,
    count: u64,
    longest: Duration,
}

impl Waits {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a logarithm of microseconds is small, and to be coarse"
    )]
    fn add(&mut self, time: Duration) {
        let logarithm = (time.as_micros().max(1) as f64).log2() * f64::from(FINENESS);
        *self.counts.entry(logarithm as u32).or_default() += 1;
        self.count += 1;
        self.longest = self.longest.max(time);
    }

    /// How often.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest.
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// What so many of a thousand did not exceed.
    pub fn quantile(&self, of_a_thousand: u64) -> Duration {
        let mut left = (self.count * of_a_thousand).div_ceil(1000);
        for (&logarithm, &count) in &self.counts {
            if left <= count {
                let micros = (f64::from(logarithm + 1) / f64::from(FINENESS)).exp2();
                return Duration::from_secs_f64(micros / 1e6).min(self.longest);
            }
            left -= count;
        }
        self.longest
    }
}

/// All that was counted.
#[derive(Clone, Default, Debug)]
pub struct Tally {
    /// Waiting times of requests that are answered in their turn.
    pub waits: BTreeMap<Who, Waits>,
    /// Those of clients that lost a transaction and have to wait until it is their turn to
    /// begin the next.
    pub turns: BTreeMap<Who, Waits>,
    /// Requests by kind and error, none if they were granted.
    pub answers: BTreeMap<(Who, &'static str, Option<String>), u64>,
    /// Transactions by how often they were tried until they got through.
    pub tries: BTreeMap<(Who, u32), u64>,
    /// The longest that a transaction was open.
    pub longest_open: BTreeMap<Who, Duration>,
    /// Events that good clients were told.
    pub events: u64,
    /// What became of guests, by kind.
    pub fates: BTreeMap<&'static str, u64>,
    /// What hostile guests did, by kind.
    pub mischief: BTreeMap<&'static str, u64>,
    /// The most histories that explained what was told at one time.
    pub most_candidates: usize,
}

impl Tally {
    /// A request was answered after this time.
    pub fn waited(&mut self, who: Who, turn: bool, time: Duration) {
        let waits = if turn { &mut self.turns } else { &mut self.waits };
        waits.entry(who).or_default().add(time);
    }

    /// A request was answered, with an error or not.
    pub fn answered(&mut self, who: Who, kind: MessageType, error: Option<&str>) {
        let error = error.map(str::to_owned);
        *self.answers.entry((who, kind.name(), error)).or_default() += 1;
    }

    /// A transaction got through.
    pub fn got_through(&mut self, who: Who, tries: u32) {
        *self.tries.entry((who, tries)).or_default() += 1;
    }

    /// A transaction was open for this time.
    pub fn was_open(&mut self, who: Who, time: Duration) {
        let longest = self.longest_open.entry(who).or_default();
        *longest = time.max(*longest);
    }

    /// Something became of a guest.
    pub fn fate(&mut self, what: &'static str) {
        *self.fates.entry(what).or_default() += 1;
    }

    /// A hostile guest did something.
    pub fn mischief(&mut self, what: &'static str) {
        *self.mischief.entry(what).or_default() += 1;
    }

    /// Requests of good clients that were answered.
    pub fn requests(&self) -> u64 {
        self.answers.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles() {
        let mut waits = Waits::default();
        for millis in 1..=1000 {
            waits.add(Duration::from_millis(millis));
        }
        assert_eq!((waits.count(), waits.longest()), (1000, Duration::from_secs(1)));
        for (of_a_thousand, expected) in [(500, 0.5), (990, 0.99), (999, 0.999)] {
            let found = waits.quantile(of_a_thousand).as_secs_f64();
            assert!((expected..expected * 1.03).contains(&found), "{found}");
        }
        assert_eq!(Waits::default().quantile(500), Duration::ZERO);
    }
}
