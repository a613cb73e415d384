//! A thousand guests that are connected and do nothing: neither should the daemon.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::figure::{Better, Bound, Goal, Outcome, Unit};
use crate::measure::Process;
use crate::workload::{Run, Workload};
use crate::world::World;

const GUESTS: u16 = 1_000;

const BUSY: &str = "daemon's share of a processor";

/// The workload.
#[derive(Debug)]
pub struct GuestsAsleep;

impl Workload for GuestsAsleep {
    fn name(&self) -> &'static str {
        "guests-asleep"
    }

    fn about(&self) -> &'static str {
        "1000 guests that do nothing"
    }

    fn has_guests(&self) -> bool {
        true
    }

    fn goals(&self) -> &'static [Goal] {
        &[Goal { figure: BUSY, bound: Bound::AtMost(0.1) }]
    }

    fn run(&self, run: &Run<'_>) -> Result<Outcome, Failure> {
        let mut world = World::of(run.daemon)?;
        let _guests = world.grow(GUESTS, &["data".to_owned()])?;
        let process = Process::new(run.daemon.pid());
        // What is left to do of the guests' coming.
        sleep(Duration::from_millis(200));
        let (begun, before) = (Instant::now(), process.exact_time()?);
        sleep(Duration::from_secs(if run.quick { 1 } else { 5 }));
        let busy = process.exact_time()?.saturating_sub(before);
        let percent = 100.0 * busy.as_secs_f64() / begun.elapsed().as_secs_f64();
        let mut outcome = Outcome::default();
        outcome.add(BUSY, Unit::Percent, Better::Low, percent);
        let memory = crate::crowd::to_f64(process.resident_bytes()?);
        outcome.add("daemon's memory", Unit::Bytes, Better::Low, memory);
        Ok(outcome)
    }
}
