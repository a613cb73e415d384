//! How many instructions a daemon needs for a request, outside the kernel: counted by valgrind.
//!
//! Two daemons are asked the same, one of them twice as much. The difference is what requests
//! cost; starting, setting up and ending falls out.

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::failure::Failure;
use crate::figure::{Better, Bound, Goal, Outcome, Unit};
use crate::turns::{Load, Question};
use crate::workload::{Run, Workload};

const READ: &str = "READ";
const WRITE: &str = "WRITE";

const CASES: [(&str, Load); 10] = [
    (READ, Load::Clients(Question::Read, 1, 1)),
    (WRITE, Load::Clients(Question::Write, 1, 1)),
    ("READ, 16 in flight", Load::Clients(Question::Read, 1, 16)),
    ("WRITE, 16 in flight", Load::Clients(Question::Write, 1, 16)),
    ("DIRECTORY, 8 children", Load::Clients(Question::Directory, 1, 1)),
    ("MKDIR, RM, each", Load::Clients(Question::MkdirAndRm, 1, 1)),
    ("transaction of 12 messages", Load::Transaction),
    ("event, 16 connections with 64 watches", Load::Events(16)),
    ("READ of a guest", Load::GuestsRead(1)),
    ("WRITE of a guest", Load::GuestsWrite(1)),
];

/// With less work, only these.
const QUICK: usize = 2;

/// Turns of the daemon that is asked less.
const TURNS: u32 = 400;
/// The same for events, of which each turn has a thousand.
const TURNS_OF_EVENTS: u32 = 20;

/// How long a daemon may take to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// The workload.
#[derive(Debug)]
pub struct Instructions;

impl Workload for Instructions {
    fn name(&self) -> &'static str {
        "instructions"
    }

    fn about(&self) -> &'static str {
        "instructions outside the kernel for a request, by valgrind"
    }

    fn is_timed(&self) -> bool {
        false
    }

    fn goals(&self) -> &'static [Goal] {
        &[
            Goal { figure: READ, bound: Bound::AtMost(2_000.0) },
            Goal { figure: WRITE, bound: Bound::AtMost(3_000.0) },
        ]
    }

    fn run(&self, run: &Run<'_>) -> Result<Outcome, Failure> {
        let valgrind = Command::new("valgrind").arg("--version").output();
        valgrind.map_err(|_| Failure::Nothing("the program valgrind"))?;
        let mut outcome = Outcome::default();
        for (name, load) in CASES.into_iter().take(if run.quick { QUICK } else { CASES.len() }) {
            let turns = if let Load::Events(_) = load { TURNS_OF_EVENTS } else { TURNS };
            let more = count(run, load, 2 * turns)?;
            let less = count(run, load, turns)?;
            let requests = f64::from(turns * load.per_turn());
            outcome.add(name, Unit::Number, Better::Low, (more - less) / requests);
        }
        Ok(outcome)
    }
}

/// The instructions of a daemon that is started, asked in so many turns and ended.
fn count(run: &Run<'_>, load: Load, turns: u32) -> Result<f64, Failure> {
    let file = run.daemon.directory().join("callgrind");
    let out = format!("--callgrind-out-file={}", file.display());
    let mut daemon =
        run.target.start_under(&["valgrind", "--tool=callgrind", &out], load.has_guests());
    let mut talk = load.set_up(&daemon)?;
    for _ in 0..turns {
        talk.turn()?;
    }
    drop(talk);
    let pid = i32::try_from(daemon.pid()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or(Failure::Nothing("a process"))?;
    kill_process(pid, Signal::TERM).map_err(std::io::Error::from)?;
    let begun = Instant::now();
    while daemon.is_running() {
        if begun.elapsed() > PATIENCE {
            return Err(Failure::Stuck { expected: "the daemon's end", patience: PATIENCE });
        }
        sleep(Duration::from_millis(5));
    }
    let counted = fs::read_to_string(file)?;
    total(&counted).ok_or(Failure::Nothing("a sum in what callgrind wrote"))
}

/// The sum at the end of callgrind's file.
fn total(counted: &str) -> Option<f64> {
    let line = counted.lines().rev().find_map(|line| line.strip_prefix("totals: "));
    line.and_then(|sum| sum.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_found_at_the_end() {
        let sum = total("# callgrind format\nfn=(1) totals\n12 34\n\ntotals: 699342\n");
        assert_eq!(sum.map(|sum| sum.to_string()).as_deref(), Some("699342"));
        assert_eq!(total("# callgrind format\n"), None);
    }
}
