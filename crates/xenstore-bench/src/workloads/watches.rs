//! Ten thousand watches: on one node that is written to, beside somebody who has nothing to do
//! with them, and of a client that leaves.

use std::thread::sleep;
use std::time::{Duration, Instant};

use xenstore_wire::MessageType;

use super::wide::middle;
use crate::asker::{Asked, Askers};
use crate::conversation::Conversation;
use crate::crowd::to_f64;
use crate::failure::Failure;
use crate::figure::{Better, Bound, Goal, Name, Outcome, Unit};
use crate::measure::Process;
use crate::script::Script;
use crate::workload::{Run, Workload};

const WATCHES: u32 = 10_000;

/// Connections that have all of them.
const CONNECTIONS: [u32; 2] = [10, 1_000];
const QUICK_CONNECTIONS: [u32; 1] = [10];

/// Writes that all watches are told of, and how long they may take.
const WRITES: u64 = 20;
const QUICK_WRITES: u64 = 2;
const BOUND: Duration = Duration::from_secs(3);

/// Clients that leave; the middle one counts.
const LEAVERS: usize = 3;
const QUICK_LEAVERS: usize = 1;

/// How long the daemon is watched after somebody left: some of the work may come later.
const AFTERMATH: Duration = Duration::from_millis(20);

const WATCHED: &str = "/bench/watched";
const ELSEWHERE: &str = "/bench/elsewhere";

const EVENT: &str = "event, 10 connections, daemon";
const UNRELATED: &str = "write, daemon: 10000 / 0 watches elsewhere";
const LEAVE: &str = "client leaves, daemon";

/// The workload.
#[derive(Debug)]
pub struct Watches;

impl Workload for Watches {
    fn name(&self) -> &'static str {
        "watches"
    }

    fn about(&self) -> &'static str {
        "10,000 watches: a write to what they watch, a write elsewhere, their client leaves"
    }

    fn takes_turns(&self) -> bool {
        true
    }

    fn goals(&self) -> &'static [Goal] {
        const GOALS: &[Goal] = &[
            Goal { figure: EVENT, bound: Bound::Within(Duration::from_nanos(300)) },
            Goal { figure: UNRELATED, bound: Bound::AtMost(1.1) },
            Goal { figure: LEAVE, bound: Bound::Within(Duration::from_millis(3)) },
        ];
        GOALS
    }

    fn run(&self, run: &Run<'_>) -> Result<Outcome, Failure> {
        let mut outcome = Outcome::default();
        elsewhere(run, &mut outcome)?;
        leave(run, &mut outcome)?;
        let all: &[u32] = if run.quick { &QUICK_CONNECTIONS } else { &CONNECTIONS };
        for &connections in all {
            tell_all(run, connections, &mut outcome)?;
        }
        Ok(outcome)
    }
}

/// A client with so many watches, of whose first events it has heard.
fn watcher(
    run: &Run<'_>,
    number: u32,
    path: impl Fn(u32) -> String,
) -> Result<Conversation, Failure> {
    let mut client = Conversation::connect(run.daemon.socket())?;
    let payloads = (0..number).map(|watch| format!("{}\0{watch}\0", path(watch)).into_bytes());
    client.ask_all(payloads.map(|payload| (MessageType::Watch, payload)))?;
    client.hear(u64::from(number))?;
    Ok(client)
}

/// Each watch is for a node of its own.
fn own(watch: u32) -> String {
    format!("/bench/own/{watch}")
}

/// Writes that no watch is told of, without watches and with them.
fn elsewhere(run: &Run<'_>, outcome: &mut Outcome) -> Result<(), Failure> {
    let time = Duration::from_millis(if run.quick { 50 } else { 300 });
    let script = Script::new().write_new(ELSEWHERE).replied(3);
    let mut writer = Askers::connect(run.daemon, [script], 1)?;
    let without = writer.ask(time)?;
    let watcher = watcher(run, WATCHES, own)?;
    let with = writer.ask(time)?;
    drop(watcher);
    for (watches, asked) in [(0, without), (WATCHES, with)] {
        let name = Name::from(format!("write, {watches} watches elsewhere"));
        outcome.add_time(name.and("median"), asked.spread.median);
        asked.tell_processor(&name, outcome);
    }
    let seconds = |asked: Asked| asked.processor.as_secs_f64();
    outcome.add(UNRELATED, Unit::Times, Better::Low, seconds(with) / seconds(without));
    Ok(())
}

/// A client with all the watches goes, again and again.
fn leave(run: &Run<'_>, outcome: &mut Outcome) -> Result<(), Failure> {
    let process = Process::new(run.daemon.pid());
    let mut other = Conversation::connect(run.daemon.socket())?;
    other.write(0, ELSEWHERE, b"value")?;
    let (mut waits, mut processor) = (Vec::new(), Vec::new());
    for _ in 0..if run.quick { QUICK_LEAVERS } else { LEAVERS } {
        let leaver = watcher(run, WATCHES, own)?;
        let before = process.exact_time()?;
        drop(leaver);
        sleep(AFTERMATH);
        // Who asks is answered when all is done.
        other.read(0, ELSEWHERE)?;
        processor.push(process.exact_time()?.saturating_sub(before));

        let leaver = watcher(run, WATCHES, own)?;
        drop(leaver);
        waits.push(other.longest_wait(ELSEWHERE, AFTERMATH)?);
    }
    outcome.add_time(LEAVE, middle(processor));
    outcome.add_time("client leaves, longest wait of another", middle(waits));
    Ok(())
}

/// All watches are for one node, to which somebody writes.
fn tell_all(run: &Run<'_>, connections: u32, outcome: &mut Outcome) -> Result<(), Failure> {
    let each = WATCHES / connections;
    let mut writer = Conversation::connect(run.daemon.socket())?;
    writer.write(0, WATCHED, b"value")?;
    let watchers = (0..connections).map(|_| watcher(run, each, |_| WATCHED.to_owned()));
    let mut watchers = watchers.collect::<Result<Vec<_>, _>>()?;

    let process = Process::new(run.daemon.pid());
    let times = if run.quick { QUICK_WRITES } else { WRITES };
    let (begun, before) = (Instant::now(), process.exact_time()?);
    let (mut written, mut all_told) = (0, Vec::new());
    while written < times && begun.elapsed() < BOUND {
        let asked = Instant::now();
        writer.write(0, WATCHED, written.to_string().as_bytes())?;
        for watcher in &mut watchers {
            watcher.hear(u64::from(each))?;
        }
        all_told.push(asked.elapsed());
        written += 1;
    }
    let processor = process.exact_time()?.saturating_sub(before);
    let events = to_f64(written * u64::from(WATCHES));
    let name = format!("event, {connections} connections");
    outcome.add_time(format!("{name}, daemon"), processor.div_f64(events));
    outcome.add_time(format!("{name}, until all are told"), middle(all_told));
    Ok(())
}
