//! What guests that all ask at the same time get, and what that costs the daemon.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use xenstore_guests::Host;
use xenstore_host::sim::Tally;

use crate::crowd::to_f64;
use crate::failure::Failure;
use crate::figure::{Better, Outcome, Unit};
use crate::guest_load::{Answered, GuestLoad, Player};
use crate::measure::Process;

/// Requests answered a second.
pub const OPERATIONS: &str = "operations";
/// How many times the daemon fired a guest's event channel, for each request.
pub const NOTIFICATIONS: &str = "notifications per operation";
/// What the guest that got least has of what the guest that got most has.
pub const SHARE: &str = "guest that got least / most";

/// What a load came to.
#[derive(Clone, Copy, Debug)]
pub struct Throughput {
    answered: Answered,
    /// What the daemon took of a processor.
    processor: Duration,
    reads_and_writes: u64,
    notified: u32,
}

impl Throughput {
    /// Lets guests of the daemon with this process id ask for some time, each with so many
    /// requests on their way.
    pub fn of(
        daemon: u32,
        host: &mut Host,
        players: &mut [Player],
        depth: u32,
        time: Duration,
    ) -> Result<Self, Failure> {
        // The first requests find cold memory.
        GuestLoad::new(host, players).run(depth, time / 10)?;
        let process = Process::new(daemon);
        let notified = |host: &Host| host.board().tally(Tally::Notified).load(Relaxed);
        let before = (process.exact_time()?, process.reads_and_writes()?, notified(host));
        let answered = GuestLoad::new(host, players).run(depth, time)?;
        Ok(Self {
            answered,
            processor: process.exact_time()?.saturating_sub(before.0),
            reads_and_writes: process.reads_and_writes()?.saturating_sub(before.1),
            notified: notified(host).wrapping_sub(before.2),
        })
    }

    /// Requests answered a second.
    pub fn rate(&self) -> f64 {
        to_f64(self.answered.requests) / self.answered.elapsed.as_secs_f64()
    }

    /// What the daemon took of a processor for each request.
    pub fn processor_time(&self) -> Duration {
        self.processor.div_f64(to_f64(self.answered.requests.max(1)))
    }

    /// Adds all there is to say of it.
    pub fn tell(&self, outcome: &mut Outcome) {
        let Answered { requests, share: (least, most), elapsed, waited } = self.answered;
        let requests = to_f64(requests.max(1));
        outcome.add(OPERATIONS, Unit::PerSecond, Better::High, self.rate());
        outcome.add_time("daemon's processor time per operation", self.processor_time());
        let calls = to_f64(self.reads_and_writes) / requests;
        outcome.add("read and write calls per operation", Unit::Number, Better::Low, calls);
        let notified = f64::from(self.notified) / requests;
        outcome.add(NOTIFICATIONS, Unit::Number, Better::Low, notified);
        let share = 100.0 * f64::from(least) / f64::from(most.max(1));
        outcome.add(SHARE, Unit::Percent, Better::Neither, share);
        let percent = |time: Duration| 100.0 * time.as_secs_f64() / elapsed.as_secs_f64();
        let busy = percent(self.processor);
        outcome.add("daemon's share of a processor", Unit::Percent, Better::Neither, busy);
        outcome.add("load had nothing to do", Unit::Percent, Better::Neither, percent(waited));
    }
}
