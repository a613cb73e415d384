//! One guest that asks, beside ever more that do nothing. They should not cost it anything.
//!
//! The guest sleeps until its reply is there, on the processor that the daemon has too: what
//! is measured is one request after the other.

use std::time::Duration;

use crate::failure::Failure;
use crate::figure::{Better, Bound, Goal, Name, Outcome, Place, Unit};
use crate::guest_load::{Ask, Player};
use crate::measure::{Latencies, Process};
use crate::workload::{Run, Workload};
use crate::world::World;

const SIZES: [u16; 5] = [1, 10, 100, 1_000, 10_000];
const QUICK_SIZES: [u16; 2] = [10, 1_000];

/// Up to here it is a goal that the latency does not grow.
const GOAL_SIZE: u16 = 1_000;

const NODE: &str = "device/vif/0/state";

/// Requests are made in so many lots, of which the middle one counts: what disturbs the
/// machine for a while does not disturb most of them.
const LOTS: u32 = 11;
const REQUESTS: u32 = 1_000;
const QUICK_REQUESTS: u32 = 100;

const LATENCY_GROWTH: &str = "to 1000 guests: longest / shortest";
const PROCESSOR_GROWTH: &str = "the same, of the daemon's time";

/// The workload.
#[derive(Debug)]
pub struct GuestsIdle;

impl Workload for GuestsIdle {
    fn name(&self) -> &'static str {
        "guests-idle"
    }

    fn about(&self) -> &'static str {
        "one guest reads, beside others that do nothing"
    }

    fn takes_turns(&self) -> bool {
        true
    }

    fn has_guests(&self) -> bool {
        true
    }

    fn goals(&self) -> &'static [Goal] {
        &[Goal { figure: LATENCY_GROWTH, bound: Bound::AtMost(1.1) }]
    }

    fn run(&self, run: &Run<'_>) -> Result<Outcome, Failure> {
        let sizes: &[u16] = if run.quick { &QUICK_SIZES } else { &SIZES };
        let requests = if run.quick { QUICK_REQUESTS } else { REQUESTS };
        let mut world = World::of(run.daemon)?;
        let active = world.grow(1, &[NODE.to_owned()])?.into_iter().next();
        let active = active.ok_or(Failure::Nothing("a guest"))?;
        let mut active = Player::new(active, Ask::Read(NODE));
        let mut outcome = Outcome::default();
        let mut costs = Vec::new();
        for &size in sizes {
            if size > run.target.most_guests() {
                outcome
                    .notes
                    .push("no more than 1000 guests: introducing takes minutes".to_owned());
                break;
            }
            world.grow(size, &[NODE.to_owned()])?;
            let cost = measure(run, &mut world, &mut active, requests)?;
            let place = Place::new(size.into(), "guests");
            outcome.add_time(Name::at("reply, median", place), cost.0);
            outcome.add_time(Name::at("daemon per operation", place), cost.1);
            if size <= GOAL_SIZE {
                costs.push(cost);
            }
        }
        let latencies = costs.iter().map(|cost| cost.0);
        outcome.add(LATENCY_GROWTH, Unit::Times, Better::Low, growth(latencies));
        let times = costs.iter().map(|cost| cost.1);
        outcome.add(PROCESSOR_GROWTH, Unit::Times, Better::Low, growth(times));
        Ok(outcome)
    }
}

/// What a request costs: how long the median one takes, and what of it the daemon needs.
fn measure(
    run: &Run<'_>,
    world: &mut World,
    active: &mut Player,
    requests: u32,
) -> Result<(Duration, Duration), Failure> {
    let process = Process::new(run.daemon.pid());
    let mut lots = Vec::new();
    for _ in 0..LOTS {
        let mut latencies = Latencies::default();
        let before = process.exact_time()?;
        for _ in 0..requests {
            latencies.note(active.round_trip(&mut world.host)?);
        }
        let processor = process.exact_time()?.saturating_sub(before) / requests;
        lots.extend(latencies.spread().map(|spread| (spread.median, processor)));
    }
    let middle = |of: fn(&(Duration, Duration)) -> Duration| {
        let mut values: Vec<_> = lots.iter().map(of).collect();
        values.sort_unstable();
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    Ok((middle(|lot| lot.0), middle(|lot| lot.1)))
}

fn growth(values: impl Iterator<Item = Duration>) -> f64 {
    let seconds = values.map(|value| value.as_secs_f64());
    let (least, most) = seconds
        .fold((f64::MAX, 0.0_f64), |(least, most), value| (least.min(value), most.max(value)));
    most / least
}
