//! Every transaction gets through, whatever the others do; see
//! [`xenstore_model::simulation`].

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use std::sync::Mutex;

use xenstore_model::history::Plan;
use xenstore_model::simulation::{Outcome, Simulation};

#[test]
fn every_transaction_gets_through() {
    let plan = Plan { seed: 1, histories: 1500, steps: 0 }.or_as_asked();
    let sum = Mutex::new(Outcome::default());
    let all = plan.each(|seed| {
        let outcome = Simulation::run(seed)?;
        let mut sum = sum.lock().unwrap();
        sum.acts += outcome.acts;
        sum.committed += outcome.committed;
        sum.held += outcome.held;
        for (most, tries) in sum.tries.iter_mut().zip(outcome.tries) {
            *most = tries.max(*most);
        }
        sum.ends.add(&outcome.ends);
        Ok::<(), String>(())
    });
    all.unwrap_or_else(|failed| panic!("{failed}"));
    let sum = sum.into_inner().unwrap();
    println!("{sum:?}");
    if plan.histories >= 100 {
        assert!(sum.committed > 500 && sum.held > 100 && sum.ends.protected > 100);
    }
}
