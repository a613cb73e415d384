//! A host with very many guests, each with nodes: what one of them asks for should cost no
//! more than with few.
//!
//! Each time as many guests ask as the small host has, and then all there are. Of ten thousand
//! rings none is in the processor's caches when its turn comes; the first figure is without
//! that, the second with it. What moving bytes through so many rings costs by itself says the
//! example `guest_load`.

use std::time::Duration;

use crate::failure::Failure;
use crate::figure::{Better, Bound, Goal, Outcome, Unit};
use crate::guest_load::{Ask, Player};
use crate::throughput::Throughput;
use crate::workload::{Run, Workload};
use crate::world::World;

const SMALL: u16 = 100;
const LARGE: u16 = 10_000;
const QUICK_LARGE: u16 = 300;

/// Nodes of a guest.
const NODES: u32 = 50;

/// The node that is asked for.
const NODE: &str = "data/7";

const GROWTH_SAME: &str = "large / small host, 100 ask";
const GROWTH_ALL: &str = "large / small host, all ask";

/// The workload.
#[derive(Debug)]
pub struct GuestsLarge;

impl Workload for GuestsLarge {
    fn name(&self) -> &'static str {
        "guests-large"
    }

    fn about(&self) -> &'static str {
        "daemon's processor time per request, 100 and 10,000 guests with 50 nodes each"
    }

    fn has_guests(&self) -> bool {
        true
    }

    fn goals(&self) -> &'static [Goal] {
        &[
            Goal { figure: GROWTH_SAME, bound: Bound::AtMost(1.1) },
            Goal { figure: GROWTH_ALL, bound: Bound::AtMost(1.1) },
        ]
    }

    fn run(&self, run: &Run<'_>) -> Result<Outcome, Failure> {
        let large = if run.quick { QUICK_LARGE } else { LARGE };
        let large = large.min(run.target.most_guests());
        let time = Duration::from_millis(if run.quick { 100 } else { 1_000 });
        let nodes: Vec<_> = (0..NODES).map(|node| format!("data/{node}")).collect();
        let mut outcome = Outcome::default();
        if large < LARGE && !run.quick {
            outcome.notes.push(format!("no more than {large} guests: introducing takes minutes"));
        }
        let mut world = World::of(run.daemon)?;
        let mut players = Vec::new();
        let mut costs = Vec::new();
        for (guests, asking) in [(SMALL, SMALL), (large, SMALL), (large, large)] {
            let more = world.grow(guests, &nodes)?;
            players.extend(more.into_iter().map(|guest| Player::new(guest, Ask::Read(NODE))));
            let mut sum = Duration::ZERO;
            for ask in [Ask::Read(NODE), Ask::Write(NODE)] {
                let count = usize::from(asking).min(players.len());
                let (asking, _) = players.split_at_mut(count);
                for player in &mut *asking {
                    player.wants(ask);
                }
                let load = Throughput::of(run.daemon.pid(), &mut world.host, asking, 1, time)?;
                sum += load.processor_time();
            }
            costs.push((format!("read and write, {guests} guests, {asking} ask"), sum));
        }
        let times: Vec<_> = costs.iter().map(|cost| cost.1.as_secs_f64()).collect();
        for (name, time) in costs {
            outcome.add_time(name, time);
        }
        if let [small, same, all] = times[..] {
            outcome.add(GROWTH_SAME, Unit::Times, Better::Low, same / small);
            outcome.add(GROWTH_ALL, Unit::Times, Better::Low, all / small);
        }
        Ok(outcome)
    }
}
