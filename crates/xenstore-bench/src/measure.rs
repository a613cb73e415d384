//! What can be measured from outside: how long a client waited, and what the daemon took
//! of the processor and of memory.

use std::fs;
use std::io;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the kernel counts processor time in (`USER_HZ`): 100 a second on every
/// architecture Xen runs on.
pub const TICKS_PER_SECOND: u32 = 100;

/// How long each of many things took.
#[derive(Clone, Debug, Default)]
pub struct Latencies {
    samples: Vec<Duration>,
    /// The longest that was not over when the measuring was.
    unfinished: Duration,
}

impl Latencies {
    /// Takes down one.
    pub fn note(&mut self, latency: Duration) {
        self.samples.push(latency);
    }

    /// Takes down one that was not over. It counts as the worst, if it is, and as nothing
    /// else.
    pub fn note_unfinished(&mut self, latency: Duration) {
        self.unfinished = self.unfinished.max(latency);
    }

    /// Adds those of another.
    pub fn append(&mut self, mut other: Self) {
        self.samples.append(&mut other.samples);
        self.note_unfinished(other.unfinished);
    }

    /// How many were over.
    pub fn count(&self) -> usize {
        self.samples.len()
    }

    /// What they come to; `None` if there are none.
    pub fn spread(mut self) -> Option<Spread> {
        self.samples.sort_unstable();
        let last = *self.samples.last()?;
        Some(Spread {
            median: percentile(&self.samples, 50)?,
            p99: percentile(&self.samples, 99)?,
            worst: last.max(self.unfinished),
        })
    }
}

/// How latencies are spread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spread {
    /// Half of them are no longer.
    pub median: Duration,
    /// 99 of 100 are no longer.
    pub p99: Duration,
    /// None is longer.
    pub worst: Duration,
}

/// The smallest of the sorted samples that so many percent of all do not exceed.
fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

/// Has this program, and the daemons it starts from now on, open as many files as they may:
/// thousands of clients are thousands of files on either side.
pub fn raise_open_files() -> io::Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

/// A process, as the kernel tells of it.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    pid: u32,
}

impl Process {
    /// The process with this number.
    pub fn new(pid: u32) -> Self {
        Self { pid }
    }

    /// This program: the load.
    pub fn own() -> Self {
        Self::new(std::process::id())
    }

    /// Processor time it has used.
    pub fn processor_time(self) -> io::Result<ProcessorTime> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        processor_time(&stat).ok_or_else(|| io::Error::other("/proc/PID/stat without times"))
    }

    /// Processor time it has used, and all its children that are gone.
    pub fn time_with_children(self) -> io::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        let times = times(&stat).map(|times| times.into_iter().sum());
        times.ok_or_else(|| io::Error::other("/proc/PID/stat without times"))
    }

    /// Processor time it has used, to the nanosecond: for what takes only milliseconds. Of
    /// its first thread, which in the daemons is the only one that works.
    pub fn exact_time(self) -> io::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/schedstat", self.pid))?;
        let nanoseconds = stat.split(' ').next().and_then(|number| number.parse().ok());
        let missing = || io::Error::other("/proc/PID/schedstat without a time");
        nanoseconds.map(Duration::from_nanos).ok_or_else(missing)
    }

    /// How often it has called the kernel to read or to write. Waiting is not among it, nor
    /// what it does to sockets.
    pub fn reads_and_writes(self) -> io::Result<u64> {
        let io = fs::read_to_string(format!("/proc/{}/io", self.pid))?;
        let count = |name| io.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        let sum =
            count("syscr:").zip(count("syscw:")).map(|(read, written): (u64, u64)| read + written);
        sum.ok_or_else(|| io::Error::other("/proc/PID/io without counts"))
    }

    /// Bytes of memory it holds.
    pub fn resident_bytes(self) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kilobytes
            .map(|kilobytes| kilobytes * 1024)
            .ok_or_else(|| io::Error::other("/proc/PID/status without VmRSS"))
    }
}

/// Processor time of a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProcessorTime {
    /// In its own code.
    pub user: Duration,
    /// In the kernel, on its behalf.
    pub system: Duration,
}

impl ProcessorTime {
    /// What was used since it was `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            user: self.user.saturating_sub(before.user),
            system: self.system.saturating_sub(before.system),
        }
    }

    /// Both together.
    pub fn total(self) -> Duration {
        self.user + self.system
    }
}

fn processor_time(stat: &str) -> Option<ProcessorTime> {
    let [user, system, ..] = times(stat)?;
    Some(ProcessorTime { user, system })
}

/// Fields 14 to 17 of `/proc/PID/stat`, counted after the program's name, which may hold
/// anything: its own time outside the kernel and in it, and that of its children.
fn times(stat: &str) -> Option<[Duration; 4]> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let times = fields.split(' ').skip(11).take(4).map(|ticks| {
        let ticks = ticks.parse().ok()?;
        Some(Duration::from_secs(ticks) / TICKS_PER_SECOND)
    });
    times.collect::<Option<Vec<_>>>()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(samples: impl IntoIterator<Item = u64>) -> Latencies {
        let mut latencies = Latencies::default();
        samples.into_iter().for_each(|ms| latencies.note(Duration::from_millis(ms)));
        latencies
    }

    #[test]
    fn percentiles_are_samples() {
        let ms = Duration::from_millis;
        let hundred = of((1..=100).rev()).spread().unwrap();
        assert_eq!(hundred, Spread { median: ms(50), p99: ms(99), worst: ms(100) });
        assert_eq!(of([7]).spread().unwrap(), Spread { median: ms(7), p99: ms(7), worst: ms(7) });
        assert_eq!(of([]).spread(), None);
    }

    #[test]
    fn what_is_not_over_can_only_be_the_worst() {
        let mut latencies = of([1, 2, 3]);
        latencies.note_unfinished(Duration::from_secs(9));
        assert_eq!(latencies.count(), 3);
        let spread = latencies.spread().unwrap();
        assert_eq!(spread.worst, Duration::from_secs(9));
        assert_eq!(spread.p99, Duration::from_millis(3));
    }

    #[test]
    fn a_name_with_blanks_and_brackets_does_not_hide_the_times() {
        let stat = "12 (a ) b) S 1 1 1 0 -1 0 5 0 0 0 130 70 100 50 20 0 1 0 99 0 0";
        let time = processor_time(stat).unwrap();
        assert_eq!(time.user, Duration::from_millis(1300));
        assert_eq!(time.total(), Duration::from_secs(2));
        assert_eq!(times(stat).unwrap().into_iter().sum::<Duration>(), Duration::from_millis(3500));
    }
}
