//! Random histories, many at a time.

use std::env;
use std::panic::{self, AssertUnwindSafe};
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::act::Act;
use crate::generate::{Generator, long_tail};
use crate::shrink::shrink;
use crate::world::World;

/// What watches a world and says when something is wrong.
pub trait Judge: Sized {
    /// A judge of a world in which nothing happened yet.
    fn new(keep_orphans: bool) -> Self;

    /// The world.
    fn world(&self) -> &World;

    /// Lets an act happen; what is wrong about what came of it.
    fn judge(&mut self, act: &Act) -> Result<(), String>;

    /// Keeps what was counted of a history that went well.
    fn finish(self) {}
}

/// How many histories of which length, from which seed on.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The first seed; the others follow.
    pub seed: u64,
    /// How many.
    pub histories: u64,
    /// Acts of each.
    pub steps: usize,
}

impl Plan {
    /// This plan, unless `MODEL_SEED` (one history), `MODEL_HISTORIES` or `MODEL_STEPS`
    /// ask for another.
    #[must_use]
    pub fn or_as_asked(self) -> Self {
        let seed = asked("MODEL_SEED");
        Self {
            seed: seed.unwrap_or(self.seed),
            histories: asked("MODEL_HISTORIES").unwrap_or(seed.map_or(self.histories, |_| 1)),
            steps: asked("MODEL_STEPS").unwrap_or(self.steps),
        }
    }

    /// Lets all histories happen. Stops at the first that goes wrong, with its seed and
    /// the fewest acts found that still go wrong.
    pub fn run<J: Judge>(self) {
        if let Err(failed) = self.each(|seed| self.history::<J>(seed)) {
            panic!("{}", failed.report::<J>());
        }
    }

    /// Has something done for each seed; the first that went wrong, if any did.
    pub fn each<E: Send>(self, check: impl Fn(u64) -> Result<(), E> + Sync) -> Result<(), E> {
        let next = AtomicU64::new(self.seed);
        let failure = Mutex::new(None);
        let work = || loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= self.seed + self.histories {
                return;
            }
            if let Err(failed) = check(seed) {
                next.store(u64::MAX / 2, Ordering::Relaxed);
                let mut first = failure.lock().expect("nobody fails while holding it");
                first.get_or_insert(failed);
            }
        };
        thread::scope(|scope| {
            for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
                scope.spawn(work);
            }
        });
        failure.into_inner().expect("nobody fails while holding it").map_or(Ok(()), Err)
    }

    fn history<J: Judge>(self, seed: u64) -> Result<(), Failed> {
        let mut generator = Generator::new(seed);
        let keep_orphans = generator.keep_orphans();
        let mut judge = J::new(keep_orphans);
        let mut acts = Vec::new();
        while acts.len() < self.steps {
            let act = generator.next(judge.world());
            if !judge.world().allows(&act) {
                continue;
            }
            acts.push(act.clone());
            if let Err(wrong) = try_act(&mut judge, &act) {
                return Err(Failed { seed, keep_orphans, acts, wrong });
            }
        }
        judge.finish();
        Ok(())
    }
}

/// A number from the environment, if there is one.
fn asked<N: FromStr>(name: &str) -> Option<N> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}

/// A history that went wrong.
struct Failed {
    seed: u64,
    keep_orphans: bool,
    acts: Vec<Act>,
    wrong: String,
}

impl Failed {
    fn report<J: Judge>(&self) -> String {
        let Self { seed, keep_orphans, acts, wrong } = self;
        let steps = acts.len();
        let hook = panic::take_hook();
        panic::set_hook(Box::new(|_| {}));
        let fewest = shrink(acts.clone(), |acts| replay::<J>(acts, *keep_orphans).is_err());
        let still_wrong = replay::<J>(&fewest, *keep_orphans).err().unwrap_or_default();
        panic::set_hook(hook);
        let report = format!(
            "seed {seed}, step {steps} (MODEL_SEED={seed} MODEL_STEPS={steps})\n{wrong}\n\
             the last acts:\n{}\n\n\
             the fewest that go wrong (orphans kept: {keep_orphans}):\n{}\n{still_wrong}",
            lines(&acts[steps.saturating_sub(20)..]),
            lines(&fewest),
        );
        report.replace(&long_tail(), "...")
    }
}

fn lines(acts: &[Act]) -> String {
    let lines: Vec<_> = acts.iter().map(|act| format!("  {act:?}")).collect();
    lines.join("\n")
}

fn replay<J: Judge>(acts: &[Act], keep_orphans: bool) -> Result<(), String> {
    let mut judge = J::new(keep_orphans);
    for act in acts {
        if judge.world().allows(act) {
            try_act(&mut judge, act)?;
        }
    }
    Ok(())
}

/// A panic of the engine is wrong too.
fn try_act<J: Judge>(judge: &mut J, act: &Act) -> Result<(), String> {
    let judged = panic::catch_unwind(AssertUnwindSafe(|| judge.judge(act)));
    judged.unwrap_or_else(|_| Err(format!("a panic at {act:?}")))
}
