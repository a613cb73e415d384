//! How often a daemon calls the kernel for a request, waiting included: counted by strace.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::failure::Failure;
use crate::figure::{Better, Bound, Goal, Outcome, Unit};
use crate::turns::{Load, Question};
use crate::workload::{Run, Workload};

const ONE: &str = "READ, 1 client";
const MANY: &str = "READ, 64 clients";
const PIPELINED: &str = "READ, 8 clients, 16 in flight";

const CASES: [(&str, Load); 6] = [
    (ONE, Load::Clients(Question::Read, 1, 1)),
    (MANY, Load::Clients(Question::Read, 64, 1)),
    (PIPELINED, Load::Clients(Question::Read, 8, 16)),
    ("WRITE, 64 clients", Load::Clients(Question::Write, 64, 1)),
    ("event, 16 connections with 64 watches", Load::Events(16)),
    ("READ, 64 guests", Load::GuestsRead(64)),
];

/// Requests that are counted, and some before them.
const REQUESTS: u32 = 4_096;
const QUICK_REQUESTS: u32 = 512;
const WARM_UP: u32 = 256;

/// The workload.
#[derive(Debug)]
pub struct Calls;

impl Workload for Calls {
    fn name(&self) -> &'static str {
        "calls"
    }

    fn about(&self) -> &'static str {
        "system calls for a request, by strace"
    }

    fn has_guests(&self) -> bool {
        true
    }

    fn is_timed(&self) -> bool {
        false
    }

    fn goals(&self) -> &'static [Goal] {
        // Attaching takes part of a call.
        &[
            Goal { figure: ONE, bound: Bound::AtMost(3.01) },
            Goal { figure: MANY, bound: Bound::AtMost(2.1) },
            Goal { figure: PIPELINED, bound: Bound::AtMost(0.5) },
        ]
    }

    /// Each load has a daemon of its own, and does not see what the one before has left.
    fn run(&self, run: &Run<'_>) -> Result<Outcome, Failure> {
        let requests = if run.quick { QUICK_REQUESTS } else { REQUESTS };
        let mut outcome = Outcome::default();
        for (name, load) in CASES {
            let daemon = run.target.start(load.has_guests());
            let mut turns = load.set_up(&daemon)?;
            for _ in 0..WARM_UP.div_ceil(load.per_turn()) {
                turns.turn()?;
            }
            let count = requests.div_ceil(load.per_turn());
            let counter = Counter::attach(daemon.pid())?;
            for _ in 0..count {
                turns.turn()?;
            }
            let calls = f64::from(counter.detach()?) / f64::from(count * load.per_turn());
            outcome.add(name, Unit::Number, Better::Low, calls);
        }
        Ok(outcome)
    }
}

/// A strace that counts the system calls of a process.
#[derive(Debug)]
struct Counter(Child);

impl Counter {
    /// Starts it, and waits until it counts.
    fn attach(pid: u32) -> Result<Self, Failure> {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-c", "-U", "name,calls", "-p", &pid.to_string()]);
        let strace = strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut counter = Self(strace.spawn().map_err(|_| Failure::Nothing("the program strace"))?);
        let said = counter.line()?;
        if said.contains("attached") { Ok(counter) } else { Err(Failure::Source(said)) }
    }

    /// The next line it says. Nothing more of what it says may be lost.
    fn line(&mut self) -> Result<String, Failure> {
        let stderr = self.0.stderr.as_mut().ok_or(Failure::Nothing("what strace says"))?;
        let (mut line, mut byte) = (Vec::new(), [0]);
        while std::io::Read::read(stderr, &mut byte)? == 1 && byte != *b"\n" {
            line.extend(byte);
        }
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    /// Ends it: how many calls there were.
    fn detach(mut self) -> Result<u32, Failure> {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or(Failure::Nothing("a process"))?;
        kill_process(pid, Signal::INT).map_err(std::io::Error::from)?;
        let stderr = self.0.stderr.take().ok_or(Failure::Nothing("what strace says"))?;
        let lines = BufReader::new(stderr).lines().collect::<Result<Vec<_>, _>>()?;
        total(&lines).ok_or(Failure::Nothing("a sum in what strace says"))
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        // It may be gone already; either way nobody needs it any more.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The sum at the end of strace's table.
fn total(lines: &[String]) -> Option<u32> {
    lines.iter().find_map(|line| line.trim_start().strip_prefix("total")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_found_in_a_table() {
        let table = "syscall              calls\n---------------- ---------\n\
            epoll_wait             100\nread                   200\n\
            ---------------- ---------\ntotal                  300\n";
        let lines: Vec<_> = table.lines().map(str::to_owned).collect();
        assert_eq!(total(&lines), Some(300));
        assert_eq!(total(&lines[..4]), None);
    }
}
