//! A client that reads and writes now and then, beside others on sockets that ask as fast as
//! they are let and never take a reply.
//!
//! They share the load's processor with the client that is measured, so part of what it waits
//! longer is not the daemon's. A daemon that goes on answering them has to keep the replies.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use xenstore_wire::{MessageType, message};

use crate::conversation::Conversation;
use crate::crowd::to_f64;
use crate::failure::Failure;
use crate::figure::{Better, Goal, Outcome, Unit};
use crate::measure::{Latencies, Process};
use crate::workload::{Run, Workload};

/// How many do harm.
const FLOODERS: usize = 8;

/// Requests sent at a time.
const BATCH: usize = 256;

/// How long the flooders wait if the daemon takes nothing.
const PAUSE: Duration = Duration::from_micros(200);

/// How long the client does something else between two requests.
const THOUGHT: Duration = Duration::from_micros(500);

const GOOD: &str = "/bench/good";
const BAD: &str = "/bench/bad";

/// The workload.
#[derive(Debug)]
pub struct Hostile;

impl Workload for Hostile {
    fn name(&self) -> &'static str {
        "hostile"
    }

    fn about(&self) -> &'static str {
        "a client beside 8 others that write all the time and never read"
    }

    fn goals(&self) -> &'static [Goal] {
        &[]
    }

    fn run(&self, run: &Run<'_>) -> Result<Outcome, Failure> {
        let time = Duration::from_millis(if run.quick { 100 } else { 1_000 });
        let process = Process::new(run.daemon.pid());
        let mut good = Conversation::connect(run.daemon.socket())?;
        let mut outcome = Outcome::default();
        measure(&mut good, time, "alone", &mut outcome)?;
        let before = process.resident_bytes()?;
        let flood = Flood::start(run)?;
        measure(&mut good, time, "beside 8 flooders", &mut outcome)?;
        let held = to_f64(process.resident_bytes()?.saturating_sub(before));
        outcome.add("held for 8 flooders", Unit::Bytes, Better::Low, held);
        drop(flood);
        Ok(outcome)
    }
}

/// Reads and writes in turns.
fn measure(
    good: &mut Conversation,
    time: Duration,
    when: &str,
    outcome: &mut Outcome,
) -> Result<(), Failure> {
    let (mut reads, mut writes) = (Latencies::default(), Latencies::default());
    let begun = Instant::now();
    while begun.elapsed() < time {
        let asked = Instant::now();
        good.write(0, GOOD, b"value")?;
        writes.note(asked.elapsed());
        sleep(THOUGHT);
        let asked = Instant::now();
        good.read(0, GOOD)?;
        reads.note(asked.elapsed());
        sleep(THOUGHT);
    }
    for (name, latencies) in [("read", reads), ("write", writes)] {
        let spread = latencies.spread().ok_or(Failure::Nothing("latencies"))?;
        outcome.add_time(format!("{name} {when}, median"), spread.median);
        outcome.add_time(format!("{name} {when}, p99"), spread.p99);
    }
    Ok(())
}

/// Clients that flood, in a thread of their own. It ends when this is dropped.
struct Flood {
    enough: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Flood {
    fn start(run: &Run<'_>) -> Result<Self, Failure> {
        let mut request = Vec::new();
        let payload = [BAD.as_bytes(), b"\0value"];
        let fits = message::encode(&mut request, MessageType::Write, 0, 0, &payload);
        debug_assert!(fits, "a short path");
        let batch = request.repeat(BATCH);
        let mut flooders = Vec::new();
        for _ in 0..FLOODERS {
            let stream = UnixStream::connect(run.daemon.socket())?;
            stream.set_nonblocking(true)?;
            // With what is left of a batch of which only a part was taken.
            flooders.push((stream, 0));
        }
        let enough = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&enough);
        let thread = thread::spawn(move || {
            while !stop.load(Relaxed) {
                let mut taken = 0;
                for (stream, place) in &mut flooders {
                    let rest = batch.get(*place..).unwrap_or_default();
                    // One that is thrown out floods no more.
                    let sent = stream.write(rest).unwrap_or(0);
                    *place = (*place + sent) % batch.len();
                    taken += sent;
                }
                if taken == 0 {
                    sleep(PAUSE);
                }
            }
        });
        Ok(Self { enough, thread: Some(thread) })
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.enough.store(true, Relaxed);
        // It has nothing to tell.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
