//! A directory with 20,000 children: one more, one less, all listed, all removed; and how long
//! somebody else waits while that happens.

use std::thread::sleep;
use std::time::{Duration, Instant};

use xenstore_wire::MessageType;
use xenstore_wire::text::split_string;

use crate::conversation::Conversation;
use crate::failure::Failure;
use crate::figure::{Better, Bound, Goal, Name, Outcome, Place, Unit};
use crate::measure::{Latencies, Process};
use crate::workload::{Run, Workload};

const FEW: u32 = 100;
const MANY: u32 = 20_000;

/// Children made and removed one by one.
const SINGLE: u32 = 1_000;
const QUICK_SINGLE: u32 = 200;

/// How often everything is removed; the middle time counts. Once is enough where it took long
/// to fill the directory.
const REMOVALS: usize = 3;
const LONG: Duration = Duration::from_secs(1);

/// How long a daemon may take to fill the directory.
const BOUND: Duration = Duration::from_secs(5);

/// How long it is watched after everything was removed: some of the work may come later.
const AFTERMATH: Duration = Duration::from_millis(20);

const DIRECTORY: &str = "/bench/wide";
const ELSEWHERE: &str = "/bench/elsewhere";

const CREATE: &str = "create one, 20000 children, daemon";
const CREATE_GROWTH: &str = "create one, daemon: 20000 / 100 children";
const REMOVE: &str = "remove one, 20000 children, daemon";
const REMOVE_GROWTH: &str = "remove one, daemon: 20000 / 100 children";
const WAIT: &str = "remove all, longest wait of another";

/// The workload.
#[derive(Debug)]
pub struct Wide;

impl Workload for Wide {
    fn name(&self) -> &'static str {
        "wide"
    }

    fn about(&self) -> &'static str {
        "a directory with 20,000 children: one created, one removed, all listed, all removed"
    }

    fn takes_turns(&self) -> bool {
        true
    }

    fn goals(&self) -> &'static [Goal] {
        const SINGLE: Bound = Bound::Within(Duration::from_micros(8));
        const GOALS: &[Goal] = &[
            Goal { figure: CREATE, bound: SINGLE },
            Goal { figure: CREATE_GROWTH, bound: Bound::AtMost(1.3) },
            Goal { figure: REMOVE, bound: SINGLE },
            Goal { figure: REMOVE_GROWTH, bound: Bound::AtMost(1.3) },
            Goal { figure: WAIT, bound: Bound::Within(Duration::from_millis(1)) },
        ];
        GOALS
    }

    fn run(&self, run: &Run<'_>) -> Result<Outcome, Failure> {
        let single = if run.quick { QUICK_SINGLE } else { SINGLE };
        let mut client = Conversation::connect(run.daemon.socket())?;
        let process = Process::new(run.daemon.pid());
        client.write(0, ELSEWHERE, b"value")?;
        let mut outcome = Outcome::default();
        let mut filled = Duration::ZERO;
        let mut before: Option<[Duration; 2]> = None;
        for children in [FEW, MANY] {
            filled = fill(&mut client, children)?;
            if filled > BOUND {
                outcome.notes.push(format!("no {children} children: takes more than {BOUND:?}"));
                return Ok(outcome);
            }
            let costs = [
                each(&mut client, process, single, |client, node| client.write(0, node, b"value"))?,
                each(&mut client, process, single, remove)?,
            ];
            for (name, (median, processor)) in ["create one", "remove one"].into_iter().zip(costs) {
                let name = Name::at(name, Place::new(children, "children"));
                outcome.add_time(name.and("median"), median);
                outcome.add_time(name.and("daemon"), processor);
            }
            let now = costs.map(|cost| cost.1);
            if let Some(before) = before.replace(now) {
                let growth = now.into_iter().zip(before);
                for (name, (now, before)) in [CREATE_GROWTH, REMOVE_GROWTH].into_iter().zip(growth)
                {
                    let factor = now.as_secs_f64() / before.as_secs_f64();
                    outcome.add(name, Unit::Times, Better::Low, factor);
                }
            }
        }
        match list(&mut client, process) {
            Ok(Listed { names: MANY, elapsed, processor }) => {
                outcome.add_time("list all, 20000 children", elapsed);
                outcome.add_time("list all, 20000 children, daemon", processor);
            }
            Ok(_) => return Err(Failure::Nothing("all children in the list")),
            Err(Failure::Refused { kind, error }) => {
                outcome.notes.push(format!("{kind} is refused: {error}"));
            }
            Err(error) => return Err(error),
        }
        let removals = if run.quick || filled > LONG { 1 } else { REMOVALS };
        remove_all(run, &mut client, process, removals, &mut outcome)?;
        Ok(outcome)
    }
}

/// Fills the directory, or as much of it as can be in the time for it: how long that took.
fn fill(client: &mut Conversation, children: u32) -> Result<Duration, Failure> {
    let begun = Instant::now();
    for first in (0..children).step_by(1_000) {
        let some = first..children.min(first + 1_000);
        client.fill(some.map(child), b"value")?;
        if begun.elapsed() > BOUND {
            break;
        }
    }
    Ok(begun.elapsed())
}

/// The path of a child.
fn child(number: u32) -> String {
    format!("{DIRECTORY}/{number:05}")
}

fn remove(client: &mut Conversation, node: &str) -> Result<(), Failure> {
    client.ask(MessageType::Rm, 0, &[node.as_bytes(), b"\0"]).map(drop)
}

/// Does something to one child after the other, which stand between those that stay: how
/// long the median one takes, and what it takes of the daemon's processor.
fn each(
    client: &mut Conversation,
    process: Process,
    number: u32,
    what: impl Fn(&mut Conversation, &str) -> Result<(), Failure>,
) -> Result<(Duration, Duration), Failure> {
    let mut latencies = Latencies::default();
    let before = process.exact_time()?;
    for index in 0..number {
        let node = format!("{}x", child(index * (MANY / number)));
        let begun = Instant::now();
        what(client, &node)?;
        latencies.note(begun.elapsed());
    }
    let processor = process.exact_time()?.saturating_sub(before) / number;
    let spread = latencies.spread().ok_or(Failure::Nothing("latencies"))?;
    Ok((spread.median, processor))
}

/// What came of listing everything.
struct Listed {
    names: u32,
    elapsed: Duration,
    processor: Duration,
}

/// Lists the directory, as much at a time as fits into a message.
fn list(client: &mut Conversation, process: Process) -> Result<Listed, Failure> {
    let kind = MessageType::DirectoryPart;
    let (begun, before) = (Instant::now(), process.exact_time()?);
    let (mut names, mut offset) = (0, 0);
    loop {
        let at = offset.to_string();
        let reply = client.ask(kind, 0, &[DIRECTORY.as_bytes(), b"\0", at.as_bytes(), b"\0"])?;
        let part = split_string(&reply).map(|(_generation, part)| part);
        let part = part.ok_or(Failure::Reply { kind, expected: "a generation" })?;
        // An empty name is the end.
        let ended = part == b"\0" || part.ends_with(b"\0\0");
        let part = if ended { part.split_last().map_or(part, |(_, part)| part) } else { part };
        names += part.iter().map(|&byte| u32::from(byte == 0)).sum::<u32>();
        offset += part.len();
        if ended || part.is_empty() {
            let processor = process.exact_time()?.saturating_sub(before);
            return Ok(Listed { names, elapsed: begun.elapsed(), processor });
        }
    }
}

/// Removes the directory several times: what that costs, and how long others wait.
fn remove_all(
    run: &Run<'_>,
    client: &mut Conversation,
    process: Process,
    removals: usize,
    outcome: &mut Outcome,
) -> Result<(), Failure> {
    let mut other = Conversation::connect(run.daemon.socket())?;
    let (mut replies, mut processor, mut waits) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..removals {
        client.fill((0..MANY).map(child), b"value")?;
        let (begun, before) = (Instant::now(), process.exact_time()?);
        remove(client, DIRECTORY)?;
        replies.push(begun.elapsed());
        sleep(AFTERMATH);
        processor.push(process.exact_time()?.saturating_sub(before));

        client.fill((0..MANY).map(child), b"value")?;
        client.begin(MessageType::Rm, 0, &[DIRECTORY.as_bytes(), b"\0"])?;
        waits.push(other.longest_wait(ELSEWHERE, AFTERMATH)?);
        client.reply(MessageType::Rm)?;
    }
    outcome.add_time("remove all, 20000 children", middle(replies));
    outcome.add_time("remove all, 20000 children, daemon", middle(processor));
    outcome.add_time(WAIT, middle(waits));
    Ok(())
}

/// The middle one.
pub(super) fn middle(mut values: Vec<Duration>) -> Duration {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}
