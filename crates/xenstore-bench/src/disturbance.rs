//! What others took of the machine while something was measured: other programs, and, of a
//! machine that is itself simulated, its host.

use std::fmt;
use std::fs;
use std::io;
use std::time::{Duration, Instant};

use crate::measure::{Process, TICKS_PER_SECOND};

/// A tenth of a processor is what figures begin to show.
const OTHERS: f64 = 0.1;
/// As much of it as is seldom taken for nothing.
const STOLEN: f64 = 0.05;
/// The kernel counts in hundredths of a second: in less time than this they say nothing.
const SHORT: Duration = Duration::from_millis(300);

/// What others took, in processors: 0.5 is half of one all the time.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Disturbance {
    /// Other programs, of the processor of the daemon and that of the load. On a machine with
    /// more of them, what fits beside these two is not counted.
    pub others: f64,
    /// The host of a simulated machine.
    pub stolen: f64,
}

impl Disturbance {
    /// Whether figures may be others for it.
    pub fn matters(self) -> bool {
        self.others > OTHERS || self.stolen > STOLEN
    }

    /// The worse of two.
    #[must_use]
    pub fn or_worse(self, other: Self) -> Self {
        if self.others + self.stolen < other.others + other.stolen { other } else { self }
    }
}

impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { others, stolen } = self;
        write!(f, "others took up to {others:.2} of a processor")?;
        if *stolen >= 0.005 {
            write!(f, ", the machine's host {stolen:.2}")?;
        }
        Ok(())
    }
}

/// The machine as it was when something began.
#[derive(Debug)]
pub struct Watcher {
    begun: Instant,
    machine: Machine,
    own: Duration,
}

impl Watcher {
    /// Looks at it before the daemon is started.
    pub fn begin() -> io::Result<Self> {
        let own = Process::own().time_with_children()?;
        Ok(Self { begun: Instant::now(), machine: Machine::now()?, own })
    }

    /// What others took since then. The daemons must still be there.
    pub fn end(self, daemons: impl IntoIterator<Item = u32>) -> io::Result<Disturbance> {
        let elapsed = self.begun.elapsed();
        if elapsed < SHORT {
            return Ok(Disturbance::default());
        }
        let machine = Machine::now()?;
        let mut ours = Process::own().time_with_children()?.saturating_sub(self.own);
        for daemon in daemons {
            ours += Process::new(daemon).time_with_children()?;
        }
        let busy = machine.busy.saturating_sub(self.machine.busy);
        let stolen = machine.stolen.saturating_sub(self.machine.stolen);
        Ok(Disturbance {
            others: beyond(busy.saturating_sub(ours), elapsed, machine.processors),
            stolen: stolen.as_secs_f64() / elapsed.as_secs_f64(),
        })
    }
}

/// How many processors others took of the two that were needed.
fn beyond(others: Duration, elapsed: Duration, processors: u32) -> f64 {
    let room = f64::from(processors.saturating_sub(2));
    (others.as_secs_f64() / elapsed.as_secs_f64() - room).max(0.0)
}

/// Times of all processors together since the machine was started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Machine {
    processors: u32,
    busy: Duration,
    stolen: Duration,
}

impl Machine {
    fn now() -> io::Result<Self> {
        let stat = fs::read_to_string("/proc/stat")?;
        Self::parse(&stat).ok_or_else(|| io::Error::other("/proc/stat without times"))
    }

    /// The first line of `/proc/stat` is the sum of those that follow, one for each processor.
    fn parse(stat: &str) -> Option<Self> {
        let mut lines = stat.lines().map_while(|line| line.strip_prefix("cpu"));
        let times = lines.next()?.split_whitespace().map(|ticks| ticks.parse().ok());
        let times: Vec<u64> = times.collect::<Option<_>>()?;
        let [user, nice, system, _idle, _waiting, interrupts, deferred, stolen, ..] = times[..]
        else {
            return None;
        };
        let time = |ticks| Duration::from_secs(ticks) / TICKS_PER_SECOND;
        Some(Self {
            processors: u32::try_from(lines.count()).ok()?,
            busy: time(user + nice + system + interrupts + deferred),
            stolen: time(stolen),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_what_all_processors_do() {
        let stat = "cpu  100 200 300 9000 800 10 20 50 7 7\ncpu0 1 1\ncpu1 1 1\nintr 5\n";
        let time = Duration::from_millis;
        let expected = Machine { processors: 2, busy: time(6_300), stolen: time(500) };
        assert_eq!(Machine::parse(stat), Some(expected));
        assert_eq!(Machine::parse("cpu 1 2 3\n"), None);
        assert!(Machine::now().unwrap().processors > 0);
    }

    #[test]
    fn what_fits_beside_daemon_and_load_does_not_disturb() {
        let (half, second) = (Duration::from_millis(500), Duration::from_secs(1));
        let disturbed = |processors| {
            Disturbance { others: beyond(half, second, processors), stolen: 0.0 }.matters()
        };
        assert_eq!([1, 2, 3].map(disturbed), [true, true, false]);
        assert!(Disturbance { others: 0.0, stolen: 0.2 }.matters());
        assert!(!Disturbance::default().matters());
    }
}
