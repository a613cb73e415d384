//! Transactions are as if each had been alone; see [`xenstore_model::isolation`].

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use std::sync::Mutex;

use xenstore_model::act::Act;
use xenstore_model::history::{Judge, Plan};
use xenstore_model::isolation::{Ends, Isolation};
use xenstore_model::world::World;

#[test]
fn transactions_are_as_if_each_had_been_alone() {
    let plan = Plan { seed: 1, histories: 150, steps: 800 }.or_as_asked();
    plan.run::<Pair>();
    let ends = *ENDS.lock().unwrap();
    println!("{ends:?}");
    if plan.histories >= 100 {
        let Ends { alone, apart, together, upheaved, unchanged, refused, protected, moved, .. } =
            ends;
        // Few are moved: nearly all that one could notice is held back.
        let ways = [alone, apart, together, upheaved, unchanged, refused, protected];
        assert!(ways.iter().all(|&count| count > 20) && moved > 0);
    }
}

static ENDS: Mutex<Ends> = Mutex::new(Ends::NONE);

/// An engine and its judge.
struct Pair {
    world: World,
    isolation: Isolation,
}

impl Judge for Pair {
    fn new(keep_orphans: bool) -> Self {
        let (world, isolation) = (World::new(keep_orphans), Isolation::new(keep_orphans));
        Self { world, isolation }
    }

    fn world(&self) -> &World {
        &self.world
    }

    fn judge(&mut self, act: &Act) -> Result<(), String> {
        let output = self.world.apply(act);
        self.isolation.judge(act, &output, &mut self.world)
    }

    fn finish(self) {
        ENDS.lock().unwrap().add(&self.isolation.ends);
    }
}
