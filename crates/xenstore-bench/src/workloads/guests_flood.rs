//! A guest that asks now and then, beside others that flood the daemon.
//!
//! The daemon has a processor of its own. The other one is shared by the guest that is
//! measured and whoever floods, so the guest is also measured beside somebody who is as busy
//! there, on a host that no daemon serves: what the guest waits longer than that, it waits
//! for the daemon.

use std::thread::sleep;
use std::time::{Duration, Instant};

use xenstore_guests::{Guest, Host};
use xenstore_wire::{Domid, MessageType};

use crate::crowd::to_f64;
use crate::failure::Failure;
use crate::figure::{Better, Bound, Goal, Outcome, Unit};
use crate::flood::Flood;
use crate::guest_load::{Ask, Player};
use crate::measure::{Latencies, Spread};
use crate::workload::{Run, Workload};
use crate::world::World;

const NODE: &str = "data/value";

/// Watches of one that floods, each on everything.
const WATCHES: u32 = 128;

/// Requests of each kind that are measured, and how long at most.
const REQUESTS: u32 = 1_000;
const QUICK_REQUESTS: u32 = 100;
const BOUND: Duration = Duration::from_secs(10);
const QUICK_BOUND: Duration = Duration::from_secs(1);

/// How long the guest does something else between two requests.
const THOUGHT: Duration = Duration::from_micros(500);

const READ_GROWTH: &str = "read, median: a flooder / a busy process";
const WRITE_GROWTH: &str = "write, median: a flooder / a busy process";

/// The workload.
#[derive(Debug)]
pub struct GuestsFlood;

impl Workload for GuestsFlood {
    fn name(&self) -> &'static str {
        "guests-flood"
    }

    fn about(&self) -> &'static str {
        "a guest beside others that write all the time and have 128 watches on / each"
    }

    fn has_guests(&self) -> bool {
        true
    }

    fn goals(&self) -> &'static [Goal] {
        &[
            Goal { figure: READ_GROWTH, bound: Bound::AtMost(2.0) },
            Goal { figure: WRITE_GROWTH, bound: Bound::AtMost(2.0) },
        ]
    }

    fn run(&self, run: &Run<'_>) -> Result<Outcome, Failure> {
        let (requests, bound) =
            if run.quick { (QUICK_REQUESTS, QUICK_BOUND) } else { (REQUESTS, BOUND) };
        let mut world = World::of(run.daemon)?;
        let mut outcome = Outcome::default();
        let nodes = [NODE.to_owned()];
        let good = world.grow(1, &nodes)?.into_iter().next();
        let mut good = Player::new(good.ok_or(Failure::Nothing("a guest"))?, Ask::Read(NODE));

        let alone = measure(&mut world, &mut good, requests, bound)?;
        alone.tell("alone", &mut outcome);

        let elsewhere =
            Host::open(&run.daemon.directory().join("elsewhere"))?.create(Domid::new(1))?;
        let busy = Flood::start(vec![elsewhere], NODE);
        let beside_busy = measure(&mut world, &mut good, requests, bound)?;
        beside_busy.tell("beside a busy process", &mut outcome);
        busy.stop();

        let mut flooders = Vec::new();
        for (number, name) in [(1, "beside a flooder"), (20, "beside 20 flooders")] {
            for mut flooder in world.grow(1 + number, &nodes)? {
                if let Some(most) = watch_everything(&mut world.host, &mut flooder)? {
                    outcome.notes.push(format!("no more than {most} watches for a guest"));
                }
                flooders.push(flooder);
            }
            let flood = Flood::start(flooders, NODE);
            let begun = Instant::now();
            let beside = measure(&mut world, &mut good, requests, bound)?;
            let rate = to_f64(flood.requests()) / begun.elapsed().as_secs_f64();
            beside.tell(name, &mut outcome);
            outcome.add(format!("writes of {number}"), Unit::PerSecond, Better::Neither, rate);
            if number == 1 {
                for (name, of) in [
                    (READ_GROWTH, (|all| all.read) as fn(&Measured) -> Spread),
                    (WRITE_GROWTH, |all| all.write),
                ] {
                    let median = |all| of(all).median.as_secs_f64();
                    let growth = median(&beside) / median(&beside_busy);
                    outcome.add(name, Unit::Times, Better::Low, growth);
                }
            }
            flooders = flood.stop();
        }
        Ok(outcome)
    }
}

/// How long a guest's requests took.
#[derive(Clone, Copy, Debug)]
struct Measured {
    read: Spread,
    write: Spread,
}

impl Measured {
    fn tell(&self, when: &str, outcome: &mut Outcome) {
        for (name, spread) in [("read", self.read), ("write", self.write)] {
            outcome.add_time(format!("{name} {when}, median"), spread.median);
            outcome.add_time(format!("{name} {when}, p99"), spread.p99);
        }
    }
}

/// Lets the guest read and write in turns.
fn measure(
    world: &mut World,
    good: &mut Player,
    requests: u32,
    bound: Duration,
) -> Result<Measured, Failure> {
    let mut latencies = [Latencies::default(), Latencies::default()];
    let begun = Instant::now();
    for _ in 0..requests {
        for (ask, latencies) in [Ask::Read(NODE), Ask::Write(NODE)].into_iter().zip(&mut latencies)
        {
            good.wants(ask);
            latencies.note(good.round_trip(&mut world.host)?);
            sleep(THOUGHT);
        }
        if begun.elapsed() > bound {
            break;
        }
    }
    let [read, write] =
        latencies.map(|latencies| latencies.spread().ok_or(Failure::Nothing("latencies")));
    Ok(Measured { read: read?, write: write? })
}

/// Watches `/` as often as it may; how often, if that is not as often as it should.
fn watch_everything(host: &mut Host, flooder: &mut Guest) -> Result<Option<u32>, Failure> {
    for watch in 0..WATCHES {
        let asked = host.ask(flooder, MessageType::Watch, 0, format!("/\0{watch}\0").as_bytes());
        match asked {
            Err(error) if error.refusal().is_some() => return Ok(Some(watch)),
            asked => drop(asked?),
        }
    }
    Ok(None)
}
