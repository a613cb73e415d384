//! One client that reads, beside ever more connections on which nothing is said. They should
//! not cost it anything.

use std::time::{Duration, Instant};

use crate::asker::Askers;
use crate::conversation::Conversation;
use crate::failure::Failure;
use crate::figure::{Better, Bound, Goal, Name, Outcome, Place, Unit};
use crate::script::Script;
use crate::workload::{Run, Workload};

const SIZES: [usize; 4] = [0, 1_000, 2_000, 10_000];
const QUICK_SIZES: [usize; 3] = [0, 1_000, 2_000];

/// How many connections are opened before one of them asks, and so finds out whether all of
/// them were let in.
const LOT: usize = 100;

/// How long opening may take. What a connection costs other daemons grows with their number.
const BOUND: Duration = Duration::from_secs(5);

const NODE: &str = "/bench/node";
const VALUE: &[u8] = b"value";

const BESIDE_1000: &str = "read, daemon: 1000 idle / none";
const BESIDE_2000: &str = "read, daemon: 2000 idle / none";

/// The workload.
#[derive(Debug)]
pub struct Idle;

impl Workload for Idle {
    fn name(&self) -> &'static str {
        "idle"
    }

    fn about(&self) -> &'static str {
        "one client reads, beside connections on which nothing is said"
    }

    fn takes_turns(&self) -> bool {
        true
    }

    fn goals(&self) -> &'static [Goal] {
        &[
            Goal { figure: BESIDE_1000, bound: Bound::AtMost(1.1) },
            Goal { figure: BESIDE_2000, bound: Bound::AtMost(1.1) },
        ]
    }

    fn run(&self, run: &Run<'_>) -> Result<Outcome, Failure> {
        let sizes: &[usize] = if run.quick { &QUICK_SIZES } else { &SIZES };
        let time = Duration::from_millis(if run.quick { 50 } else { 300 });
        Conversation::connect(run.daemon.socket())?.write(0, NODE, VALUE)?;
        let script = Script::new().read(NODE).replied(u32::try_from(VALUE.len()).unwrap_or(0));
        let mut active = Askers::connect(run.daemon, [script], 1)?;
        let mut outcome = Outcome::default();
        let mut idle = Vec::new();
        let mut alone = None;
        for &size in sizes {
            if let Err(note) = open(run, &mut idle, size) {
                outcome.notes.push(note);
                break;
            }
            let asked = active.ask(time)?;
            let place = Place::new(u32::try_from(size).unwrap_or(u32::MAX), "idle connections");
            let name = Name::of(format!("read, {size} idle"), "read", place);
            outcome.add_time(name.and("median"), asked.spread.median);
            asked.tell_processor(&name, &mut outcome);
            let seconds = asked.processor.as_secs_f64();
            let alone = *alone.get_or_insert(seconds);
            for (name, number) in [(BESIDE_1000, 1_000), (BESIDE_2000, 2_000)] {
                if number == size {
                    outcome.add(name, Unit::Times, Better::Low, seconds / alone);
                }
            }
        }
        Ok(outcome)
    }
}

/// Opens connections until there are so many; if there cannot be, why.
fn open(run: &Run<'_>, idle: &mut Vec<Conversation>, size: usize) -> Result<(), String> {
    let begun = Instant::now();
    while idle.len() < size {
        let there = idle.len();
        for _ in 0..LOT {
            let connection = Conversation::connect(run.daemon.socket());
            idle.push(connection.map_err(|error| format!("no more than {there} idle: {error}"))?);
        }
        let answer = idle.last_mut().map(|last| last.read(0, NODE));
        answer.transpose().map_err(|error| format!("no more than {there} idle: {error}"))?;
        if begun.elapsed() > BOUND && idle.len() < size {
            // Those that are there now must not be measured as if they were so many.
            return Err(format!("no more than {there} idle: opening takes longer than {BOUND:?}"));
        }
    }
    Ok(())
}
