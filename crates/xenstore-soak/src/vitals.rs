//! How the daemon, this program and the machine are.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use crate::failure::Failure;

/// Ticks a second of times in `/proc` (`USER_HZ`, the same on every Linux of today).
const TICKS: u64 = 100;

/// How everything is at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Vitals {
    /// When.
    pub at: Instant,
    /// Bytes of memory the daemon holds (`VmRSS`).
    pub resident: u64,
    /// Files it has open.
    pub files: usize,
    /// Processor time it has used.
    pub daemon: Duration,
    /// Processor time this program has used.
    pub soak: Duration,
    /// Processor time that all processors were busy for, for whomever.
    pub machine: Duration,
}

impl Vitals {
    /// How everything is now, of the daemon with this process id.
    pub fn take(daemon: u32) -> Result<Self, Failure> {
        let status = fs::read_to_string(format!("/proc/{daemon}/status"))?;
        let bytes = |name: &str| -> Result<u64, Failure> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
            let missing = || Failure::Broken(format!("no {name} in the daemon's status"));
            Ok(number.ok_or_else(missing)? * 1024)
        };
        Ok(Self {
            at: Instant::now(),
            resident: bytes("VmRSS:")?,
            files: fs::read_dir(format!("/proc/{daemon}/fd"))?.count(),
            daemon: processor_time(&format!("/proc/{daemon}/stat"))?,
            soak: processor_time("/proc/self/stat")?,
            machine: busy_time()?,
        })
    }

    /// Of how many processors each had the use since `earlier`: daemon, this program, all
    /// together.
    pub fn since(&self, earlier: &Self) -> [f64; 3] {
        let time = self.at.duration_since(earlier.at).as_secs_f64().max(0.001);
        let pairs = [
            (self.daemon, earlier.daemon),
            (self.soak, earlier.soak),
            (self.machine, earlier.machine),
        ];
        pairs.map(|(now, before)| now.saturating_sub(before).as_secs_f64() / time)
    }
}

fn ticks(count: u64) -> Duration {
    Duration::from_millis(count * 1000 / TICKS)
}

/// User and system time of a process.
fn processor_time(file: &str) -> io::Result<Duration> {
    let stat = fs::read_to_string(file)?;
    // The program's name may have blanks, and ends in the last parenthesis.
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let numbers = fields.split_whitespace().skip(11).take(2);
    Ok(ticks(numbers.filter_map(|number| number.parse::<u64>().ok()).sum()))
}

/// What all processors did since the machine was started, but nothing.
fn busy_time() -> io::Result<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().unwrap_or_default();
    let numbers = line.split_whitespace().skip(1).map(|number| number.parse().unwrap_or(0));
    // user, nice, system, idle, iowait, irq, softirq, steal
    let numbers: Vec<u64> = numbers.take(8).collect();
    let idle: u64 = numbers.iter().skip(3).take(2).sum();
    Ok(ticks(numbers.iter().sum::<u64>() - idle))
}

/// The name of the machine's processor, how many there are, and its kernel.
pub fn machine() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        text.lines().find_map(|line| Some(line.strip_prefix("model name")?.split_once(':')?.1));
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let model = model.unwrap_or("processor of unknown name").trim();
    format!("{processors} × {model}, Linux {}", kernel.trim())
}
