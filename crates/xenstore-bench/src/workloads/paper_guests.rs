//! The other load of the 2009 paper (section 7.3): guests are started one after the other, and
//! each, once it is there, does transactions that it keeps open for a while. How long does it
//! take to start the last ones?
//!
//! The paper's guests rest for a second, on hosts where a start takes two. A recorded start is
//! a few milliseconds of the store, and they rest as long.

use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use xenstore_guests::{AskError, Guest, Host};
use xenstore_wire::MessageType;

use crate::crowd::{self, to_f64};
use crate::failure::Failure;
use crate::figure::{Better, Bound, Goal, Name, Outcome, Place, Unit};
use crate::transactor::Transactor;
use crate::workload::{Run, Workload};
use crate::workloads::vm_starts::recorded::RecordedStart;
use crate::world::World;

const GUESTS: u16 = 160;
const QUICK_GUESTS: u16 = 40;

/// Starts of which the middle one is told.
const LOT: usize = 20;

/// How long a guest keeps its transaction open, and how long it rests after it.
const REST: Duration = Duration::from_millis(5);

/// A daemon that has not managed by then is not going to.
const BOUND: Duration = Duration::from_secs(20);

const GROWTH: &str = "start of a guest: last / first 20";
const ABORTS: &str = "transactions of guests aborted";

/// The workload.
#[derive(Debug)]
pub struct PaperGuests;

impl Workload for PaperGuests {
    fn name(&self) -> &'static str {
        "paper-guests"
    }

    fn about(&self) -> &'static str {
        "160 guests started in turn, those that are there have transactions open for 5 ms each"
    }

    fn has_guests(&self) -> bool {
        true
    }

    fn goals(&self) -> &'static [Goal] {
        &[
            Goal { figure: GROWTH, bound: Bound::AtMost(1.5) },
            Goal { figure: ABORTS, bound: Bound::AtMost(0.0) },
        ]
    }

    fn run(&self, run: &Run<'_>) -> Result<Outcome, Failure> {
        let guests = if run.quick { QUICK_GUESTS } else { GUESTS };
        let mut world = World::of(run.daemon)?;
        let begun = Instant::now();
        let (started, news) = mpsc::channel();
        let (starts, load) = thread::scope(|scope| {
            let starts = scope.spawn(move || {
                let recorded = RecordedStart::load()?;
                let mut times = Vec::new();
                for domid in 1..=guests {
                    let start = Transactor::new(domid.into(), recorded.script(domid), Some(1));
                    let left = BOUND.saturating_sub(begun.elapsed());
                    let crowd = crowd::run(run.daemon, vec![start], left)?;
                    // The others play guests until nobody tells them of any more.
                    if crowd.cut_short || started.send(domid).is_err() {
                        break;
                    }
                    times.push(crowd.elapsed);
                }
                Ok::<_, Failure>(times)
            });
            let load = play(&mut world, &news);
            (starts.join(), load)
        });
        let starts = starts.map_err(|_| Failure::Nothing("a thread that ends"))??;
        let load = load?;
        tell(guests, &starts, &load)
    }
}

/// What the guests that were there came to.
#[derive(Debug, Default)]
struct Played {
    commits: u64,
    aborts: u64,
    elapsed: Duration,
}

fn tell(guests: u16, starts: &[Duration], load: &Played) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::default();
    let mut medians = Vec::new();
    for (lot, times) in starts.chunks(LOT).enumerate() {
        let mut times = times.to_vec();
        times.sort_unstable();
        let median = times.get(times.len() / 2).copied().unwrap_or_default();
        medians.push(median);
        let place = Place::new(u32::try_from(lot * LOT).unwrap_or(u32::MAX), "guests there");
        outcome.add_time(Name::at("start of a guest", place), median);
    }
    let (first, last) = medians.first().zip(medians.last()).ok_or(Failure::Nothing("a start"))?;
    let growth = last.as_secs_f64() / first.as_secs_f64();
    outcome.add(GROWTH, Unit::Times, Better::Low, growth);
    let worst = starts.iter().max().copied().unwrap_or_default();
    outcome.add_time("start of a guest, worst", worst);
    let rate = to_f64(load.commits) / load.elapsed.as_secs_f64();
    outcome.add("commits of guests", Unit::PerSecond, Better::High, rate);
    outcome.add_highest(ABORTS, Unit::Number, to_f64(load.aborts));
    if starts.len() < usize::from(guests) {
        let started = starts.len();
        outcome
            .notes
            .push(format!("stopped after {BOUND:?}, {started} of {guests} guests started"));
    }
    Ok(outcome)
}

/// What a guest asks for, again and again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Start,
    WriteFirst,
    WriteSecond,
    Commit,
}

/// A guest that is there.
#[derive(Debug)]
struct Player {
    guest: Guest,
    next: Step,
    transaction: u32,
    /// When it asks again; `None` while it waits for a reply.
    rests_until: Option<Instant>,
}

impl Player {
    fn ask(&mut self) -> Result<(), Failure> {
        let (kind, payload): (_, &[u8]) = match self.next {
            Step::Start => (MessageType::TransactionStart, b"\0"),
            Step::WriteFirst => (MessageType::Write, b"first\0value"),
            Step::WriteSecond => (MessageType::Write, b"second\0value"),
            Step::Commit => (MessageType::TransactionEnd, b"T\0"),
        };
        let fits = self.guest.queue_request(kind, 0, self.transaction, &[payload]);
        debug_assert!(fits, "a path of one name");
        self.guest.push().map_err(AskError::from)?;
        self.rests_until = None;
        Ok(())
    }

    /// Takes the reply, if it is there.
    fn hear(&mut self, played: &mut Played) -> Result<(), Failure> {
        self.guest.pull().map_err(AskError::from)?;
        let Some(message) = self.guest.next_message()? else {
            return Ok(());
        };
        let refused = message.header.kind == MessageType::Error.number();
        let text = String::from_utf8_lossy(message.payload).trim_end_matches('\0').to_owned();
        let again = refused && self.next == Step::Commit && text == "EAGAIN";
        if refused && !again {
            return Err(Failure::Refused { kind: MessageType::Write, error: text });
        }
        let now = Instant::now();
        (self.next, self.rests_until) = match self.next {
            Step::Start => {
                self.transaction = text.parse().map_err(|_| Failure::Nothing("a transaction"))?;
                (Step::WriteFirst, Some(now))
            }
            Step::WriteFirst => (Step::WriteSecond, Some(now + REST)),
            Step::WriteSecond => (Step::Commit, Some(now)),
            Step::Commit => {
                *(if again { &mut played.aborts } else { &mut played.commits }) += 1;
                self.transaction = 0;
                (Step::Start, Some(now + REST))
            }
        };
        Ok(())
    }
}

/// Plays the guests that were started, until nobody starts any more.
fn play(world: &mut World, news: &Receiver<u16>) -> Result<Played, Failure> {
    let mut players: Vec<Player> = Vec::new();
    let mut played = Played::default();
    let begun = Instant::now();
    loop {
        match news.try_recv() {
            Ok(domid) => {
                let new = world.grow(domid, &[])?;
                players.extend(new.into_iter().map(|guest| Player {
                    guest,
                    next: Step::Start,
                    transaction: 0,
                    rests_until: Some(Instant::now()),
                }));
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => break,
        }
        let now = Instant::now();
        for player in &mut players {
            if player.rests_until.is_some_and(|until| until <= now) {
                player.ask()?;
            }
        }
        for index in heard(&mut world.host)? {
            if let Some(player) = players.get_mut(index) {
                player.hear(&mut played)?;
            }
        }
    }
    played.elapsed = begun.elapsed();
    Ok(played)
}

/// Which guests may have a reply, counted from the first.
fn heard(host: &mut Host) -> Result<Vec<usize>, Failure> {
    let fired = host.wait(Some(Duration::from_micros(200)))?;
    Ok(fired.iter().map(|domid| usize::from(domid.get()).saturating_sub(1)).collect())
}
