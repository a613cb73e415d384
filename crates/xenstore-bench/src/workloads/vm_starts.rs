//! A host on which 300 guests are started at once: what the toolstack asked of the store for
//! one real start, done by 300 clients side by side for guests of their own.
//!
//! The starts have nothing to do with each other, but all of them make nodes in the same
//! directories (`/local/domain`, `/vm`, `/libxl`, the backends of dom0).

use std::time::Duration;

use crate::crowd;
use crate::failure::Failure;
use crate::figure::{Better, Bound, Goal, Outcome, Unit};
use crate::transactor::Transactor;
use crate::workload::{Run, Workload};

pub mod recorded;

use recorded::RecordedStart;

const GUESTS: u16 = 300;

/// The guest that is there before: none is the first on its host for long. The recorded
/// start, too, was the second.
const FIRST: u16 = 1;

/// A daemon that has not managed by then is not going to.
const BOUND: Duration = Duration::from_secs(10);
const QUICK_BOUND: Duration = Duration::from_secs(5);

/// The workload.
#[derive(Debug)]
pub struct VmStarts;

impl Workload for VmStarts {
    fn name(&self) -> &'static str {
        "vm-starts"
    }

    fn about(&self) -> &'static str {
        "300 guests started at once, as xl started one on a real host"
    }

    fn goals(&self) -> &'static [Goal] {
        &[Goal { figure: crowd::ABORTS, bound: Bound::AtMost(0.0) }]
    }

    fn run(&self, run: &Run<'_>) -> Result<Outcome, Failure> {
        let recorded = RecordedStart::load()?;
        let start = |domid: u16| Transactor::new(u32::from(domid), recorded.script(domid), Some(1));
        let bound = if run.quick { QUICK_BOUND } else { BOUND };
        crowd::run(run.daemon, vec![start(FIRST)], bound)?;
        let guests = FIRST + 1..=FIRST + GUESTS;
        let crowd = crowd::run(run.daemon, guests.map(start).collect(), bound)?;

        let mut outcome = crowd.outcome;
        let rate = crowd::to_f64(crowd.scripts_done as u64) / crowd.elapsed.as_secs_f64();
        outcome.add("guests started", Unit::PerSecond, Better::High, rate);
        outcome.add_time("all of it", crowd.elapsed);
        if let Some(spread) = crowd.scripts {
            outcome.add_time("start of a guest, median", spread.median);
            outcome.add_time("start of a guest, worst", spread.worst);
        }
        if crowd.cut_short {
            outcome.notes.push(format!(
                "stopped after {bound:?} with {} of {GUESTS} guests started",
                crowd.scripts_done
            ));
        }
        Ok(outcome)
    }
}
