//! The load of the 2009 paper (section 7.1): many clients do many transactions, all of which
//! read one common node, and each client writes a node of its own. Nobody disturbs anybody,
//! so nothing has to fail and nobody has to wait long.

use std::time::Duration;

use crate::conversation::Conversation;
use crate::crowd::{self, ABORTS, COMMIT_SPREAD};
use crate::failure::Failure;
use crate::figure::{Bound, Goal, Outcome};
use crate::script::Script;
use crate::transactor::Transactor;
use crate::workload::{Run, Workload};

const CLIENTS: u32 = 128;
const TRANSACTIONS: u32 = 500;
const QUICK_TRANSACTIONS: u32 = 50;

/// A daemon that has not managed by then is not going to.
const BOUND: Duration = Duration::from_secs(20);

/// The workload.
#[derive(Debug)]
pub struct Paper;

impl Workload for Paper {
    fn name(&self) -> &'static str {
        "paper"
    }

    fn about(&self) -> &'static str {
        "128 clients x 500 transactions: all read a common node, each writes its own"
    }

    fn goals(&self) -> &'static [Goal] {
        &[
            Goal { figure: ABORTS, bound: Bound::AtMost(0.0) },
            Goal { figure: COMMIT_SPREAD, bound: Bound::AtMost(20.0) },
        ]
    }

    fn run(&self, run: &Run<'_>) -> Result<Outcome, Failure> {
        let own = |number| format!("/bench/own/{number}");
        let mut setup = Conversation::connect(run.daemon.socket())?;
        setup.write(0, "/bench/common", b"common")?;
        setup.fill((0..CLIENTS).map(own), b"first")?;

        let times = if run.quick { QUICK_TRANSACTIONS } else { TRANSACTIONS };
        let client = |number| {
            let script = Script::new().start().read("/bench/common").write_new(&own(number));
            Transactor::new(number, script.commit(), Some(times))
        };
        let crowd = crowd::run(run.daemon, (0..CLIENTS).map(client).collect(), BOUND)?;
        let mut outcome = crowd.outcome;
        if crowd.cut_short {
            outcome.notes.push(format!(
                "stopped after {BOUND:?} with {} of {} transactions committed",
                crowd.committed,
                CLIENTS * times
            ));
        }
        Ok(outcome)
    }
}
