//! Some guests, their toolstacks, and the part of the store that is theirs alone.
//!
//! Within a village requests are made one at a time (or many at once by one client), so
//! that what one is answered can depend on another and the order is known all the same.
//! Only if one is not answered for a while, and somebody else's transaction is protected, for
//! which it may have to wait, others go on. All villages are at it at the same time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use xenstore_model::model::Message;
use xenstore_model::operation::Action;
use xenstore_model::random::Random;
use xenstore_model::request::{Asked, Request};

use crate::actor::{Actor, Deed, Step};
use crate::failure::Failure;
use crate::feed::{Event, Heard};
use crate::habits::{self, Circumstances};
use crate::house::{House, Part, Phase};
use crate::judge::{Judge, Reply};
use crate::libxl::SHARED;
use crate::town::Town;

/// After so long without an answer others need not wait for who may have to wait for them.
const HELD: Duration = Duration::from_millis(20);

/// So many clients of a village wait for an answer at a time, at most: what they could
/// have been told multiplies.
const MOST_WAITING: usize = 3;

/// Nobody else asks while there are more explanations than this of what was told.
const MOST_CANDIDATES: usize = 16;

/// So much is remembered of what was said.
const HISTORY: usize = 60;

/// Some guests and their toolstacks.
#[derive(Debug)]
pub struct Village {
    /// Its number.
    pub number: usize,
    pub(crate) random: Random,
    pub(crate) judge: Judge,
    pub(crate) houses: Vec<House>,
    /// The mean time from one thing done without need to the next.
    pace: Duration,
    /// Nothing is done without need until then.
    pub(crate) rest_until: Instant,
    history: VecDeque<String>,
}

/// What everybody does at the moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mood {
    /// Live, and begin anew after death.
    Live,
    /// Finish what was begun, and nothing else.
    Rest,
    /// Die.
    Leave,
}

impl Village {
    /// One with these houses.
    pub fn new(number: usize, seed: u64, houses: Vec<House>, pace: Duration) -> Self {
        let mut judge = Judge::new();
        prepare(&mut judge);
        let many = u32::try_from(houses.len()).unwrap_or(1).max(1);
        Self {
            number,
            random: Random::new(seed ^ (number as u64).wrapping_mul(0x9e37_79b9)),
            judge,
            houses,
            pace: pace / many,
            rest_until: Instant::now(),
            history: VecDeque::new(),
        }
    }

    /// What everybody does when there is time; when to look again at the latest.
    pub fn act(&mut self, mood: Mood, town: &mut Town, now: Instant) -> Result<Instant, Failure> {
        self.do_something(mood, town, now).map_err(|failure| self.explain(failure))
    }

    fn do_something(
        &mut self,
        mood: Mood,
        town: &mut Town,
        now: Instant,
    ) -> Result<Instant, Failure> {
        for part in self.parts() {
            let woken = |actor: &&mut Actor| actor.missed && !actor.frozen;
            if let Some(actor) = self.actor_mut(part).filter(woken) {
                actor.missed = false;
                self.take_messages(part, town)?;
            }
        }
        if self.judge.is_quiet() {
            self.judge.compare_events(now)?;
        }
        self.begin_lives(mood, town, now)?;
        let late = now + Duration::from_millis(100);
        if self.houses.iter().any(|house| house.reconnecting) {
            return Ok(late);
        }
        let waiting: Vec<_> =
            self.parts().filter_map(|part| self.actor(part)?.waits_since()).collect();
        if let Some(&last) = waiting.iter().max()
            && (waiting.len() >= MOST_WAITING
                || self.judge.candidates() > MOST_CANDIDATES
                || !self.is_anybody_protected()
                || now < last + HELD)
        {
            return Ok(late.min((last + HELD).max(now + Duration::from_millis(1))));
        }
        let idle_until = self.fill_scripts(mood, town, now);
        let mut ready: Vec<Part> = self.parts().filter(|&part| self.can_act(part, now)).collect();
        while !ready.is_empty() {
            let part = ready.swap_remove(self.choose(&ready));
            let Some(step) = self.actor_mut(part).and_then(|actor| actor.script.pop_front()) else {
                continue;
            };
            match step {
                Step::Do(deed) => {
                    let done = self.perform(part.house, deed, town, now)?;
                    self.note(|| format!("{part}: {deed:?}, done: {done}"));
                    if done {
                        return Ok(now);
                    }
                    if let Some(actor) = self.actor_mut(part) {
                        actor.script.push_front(Step::Do(deed));
                    }
                }
                step => {
                    self.note(|| format!("{part}: {step:?}"));
                    let House { toolstack, guest, .. } = &mut self.houses[part.house];
                    let actor = if part.is_guest { guest } else { toolstack };
                    if let Some(actor) = actor {
                        actor.send(step, &mut self.judge, Instant::now())?;
                    }
                    return Ok(late);
                }
            }
        }
        Ok(late.min(idle_until).max(now + Duration::from_millis(1)))
    }

    /// Who of these is next: mostly one with an open transaction, since who has one is quick.
    fn choose(&mut self, ready: &[Part]) -> usize {
        let is_inside = |part: &Part| self.actor(*part).is_some_and(Actor::is_inside);
        let inside: Vec<_> = (0..ready.len()).filter(|&it| is_inside(&ready[it])).collect();
        if inside.is_empty() || self.random.chance(30) {
            return self.random.below(ready.len());
        }
        inside[self.random.below(inside.len())]
    }

    /// Whether somebody who can go on is protected.
    fn is_anybody_protected(&self) -> bool {
        let actors = self.parts().filter_map(|part| self.actor(part));
        { actors }.any(|actor| !actor.is_waiting() && actor.is_protected())
    }

    fn begin_lives(&mut self, mood: Mood, town: &mut Town, now: Instant) -> Result<(), Failure> {
        for number in 0..self.houses.len() {
            if self.houses[number].is_due(now) && mood == Mood::Live {
                self.move_in(number, town)?;
            }
        }
        Ok(())
    }

    /// Whether somebody can do what is next.
    fn can_act(&self, part: Part, now: Instant) -> bool {
        let house = &self.houses[part.house];
        let Some(actor) = self.actor(part) else { return false };
        if actor.is_waiting() || actor.frozen {
            return false;
        }
        let paused = !part.is_guest && house.paused_until > now;
        match actor.script.front() {
            None => false,
            Some(Step::Do(Deed::Pause(_))) => !paused,
            // Who domains are must not change while somebody waits who may mean them.
            Some(Step::Do(_) | Step::Ask(Request::Introduce(..) | Request::Release(_))) => {
                !paused && self.judge.is_quiet()
            }
            Some(_) => !paused,
        }
    }

    /// Gives those something to do who have nothing to do; when it is time for more.
    fn fill_scripts(&mut self, mood: Mood, town: &mut Town, now: Instant) -> Instant {
        let mut next = now + Duration::from_secs(1);
        for part in self.parts() {
            let house = &self.houses[part.house];
            let Some(actor) = self.actor(part) else { continue };
            let idle = actor.script.is_empty() && !actor.frozen && !actor.is_waiting();
            let Phase::Living { until } = house.phase else { continue };
            if !idle || mood == Mood::Rest {
                continue;
            }
            if !part.is_guest && (now >= until || mood == Mood::Leave) {
                self.begin_to_die(part.house, town);
                continue;
            }
            let is_wild = house.hostile.is_some();
            if is_wild || mood != Mood::Live {
                continue;
            }
            if now < self.rest_until {
                next = next.min(self.rest_until);
                continue;
            }
            if self.random.chance(3) {
                self.begin_contest(house.domain.domid, now);
                continue;
            }
            let house = &self.houses[part.house];
            let neighbours = self.domids();
            let here = Circumstances { domain: house.domain, neighbours: &neighbours };
            // One of them, then it is quiet for a while.
            if self.random.chance(50) {
                continue;
            }
            let steps = match part.is_guest {
                true => habits::guests_next(&mut self.random, &here),
                false => habits::toolstacks_next(&mut self.random, &here),
            };
            self.rest(now);
            if let Some(actor) = self.actor_mut(part) {
                actor.script.extend(steps);
            }
        }
        next
    }

    fn rest(&mut self, now: Instant) {
        let micros = usize::try_from(self.pace.as_micros() * 2).unwrap_or(1).max(1);
        self.rest_until = now + Duration::from_micros(self.random.below(micros) as u64);
    }

    /// Everybody who has nothing else to do wants something of the same nodes.
    fn begin_contest(&mut self, domid: u16, now: Instant) {
        for part in self.parts() {
            let lives = matches!(self.houses[part.house].phase, Phase::Living { .. });
            let idle = |actor: &Actor| actor.script.is_empty() && !actor.frozen;
            if lives && self.actor(part).is_some_and(idle) {
                let steps = [0; 2].map(|_| habits::contest(&mut self.random, domid));
                self.actor_mut(part).iter_mut().for_each(|it| it.script.extend(steps.clone()));
            }
        }
        self.rest(now);
    }

    /// The numbers that its domains have, or had last.
    pub(crate) fn domids(&self) -> Vec<u16> {
        self.houses.iter().map(|house| house.domain.domid).collect()
    }

    fn begin_to_die(&mut self, number: usize, town: &mut Town) {
        let House { domain, hostile, .. } = &self.houses[number];
        let (fate, steps) = habits::death(&mut self.random, *domain);
        town.tally.fate(if hostile.is_some() { "hostile guests destroyed" } else { fate });
        let house = &mut self.houses[number];
        house.phase = Phase::Dying;
        if let Some(toolstack) = &mut house.toolstack {
            toolstack.script.extend(steps);
        }
    }

    /// A client's connection has something for it.
    pub fn receive(&mut self, part: Part, town: &mut Town) -> Result<(), Failure> {
        self.take_messages(part, town).map_err(|failure| self.explain(failure))
    }

    fn take_messages(&mut self, part: Part, town: &mut Town) -> Result<(), Failure> {
        let now = Instant::now();
        if part.is_guest && self.finish_reconnection(part.house)? {
            return Ok(());
        }
        let Some(actor) = self.actor_mut(part) else { return Ok(()) };
        if actor.frozen {
            // Its event channel will not fire again for what is there.
            actor.missed = true;
            return Ok(());
        }
        let client = actor.client;
        let messages = actor.line.receive()?;
        for message in messages {
            self.note(|| format!("{part}< {message:?}"));
            match message {
                Message::Event { path, token } => {
                    town.tally.events += 1;
                    self.react(part, &path);
                    let event = Event { path, token };
                    self.judge.hear_event(client, Heard { event, at: now });
                }
                Message::Reply { kind, transaction, payload } => {
                    let reply = Reply { kind, transaction, payload };
                    let House { toolstack, guest, .. } = &mut self.houses[part.house];
                    let actor = if part.is_guest { guest } else { toolstack };
                    if let Some(actor) = actor {
                        actor.hear(reply, &mut self.judge, &mut town.tally, now)?;
                    }
                }
            }
        }
        let most = &mut town.tally.most_candidates;
        *most = self.judge.candidates().max(*most);
        if self.judge.is_quiet() {
            self.judge.compare_events(now)?;
        }
        Ok(())
    }

    /// Now and then a guest looks at what it is told of.
    fn react(&mut self, part: Part, path: &str) {
        let looks = part.is_guest && self.random.chance(30) && !path.starts_with('@');
        if let Some(actor) = self.actor_mut(part).filter(|it| looks && it.script.is_empty()) {
            actor.script.push_back(Step::Ask(Request::Node(path.to_owned(), Action::Read)));
        }
    }

    /// Whether all is done that was begun, and everybody was told what they are due.
    pub fn is_at_rest(&self) -> bool {
        let idle = |actor: &Actor| actor.script.is_empty() && self.judge.is_told(actor.client);
        self.judge.is_quiet()
            && self.parts().filter_map(|part| self.actor(part)).all(idle)
            && self
                .houses
                .iter()
                .all(|house| matches!(house.phase, Phase::Empty { .. } | Phase::Living { .. }))
    }

    /// Whether nobody lives here.
    pub fn is_empty(&self) -> bool {
        self.houses.iter().all(|house| matches!(house.phase, Phase::Empty { .. }))
    }

    /// How many guests run.
    pub fn inhabitants(&self) -> usize {
        let runs = |house: &&House| house.guest.is_some() || house.hostile.is_some();
        self.houses.iter().filter(runs).count()
    }

    /// Who waits for an answer, since when, and whether it lost a transaction and waits for
    /// its turn.
    pub fn waiting(&self) -> impl Iterator<Item = (Part, Instant, bool)> {
        self.parts().filter_map(|part| {
            let actor = self.actor(part)?;
            Some((part, actor.waits_since()?, actor.waits_for_turn()))
        })
    }

    /// The clients there can be.
    fn parts(&self) -> impl Iterator<Item = Part> + use<> {
        let houses = 0..self.houses.len();
        houses.flat_map(|house| [false, true].map(|is_guest| Part { house, is_guest }))
    }

    fn actor(&self, part: Part) -> Option<&Actor> {
        let House { toolstack, guest, .. } = &self.houses[part.house];
        if part.is_guest { guest.as_ref() } else { toolstack.as_ref() }
    }

    fn actor_mut(&mut self, part: Part) -> Option<&mut Actor> {
        let House { toolstack, guest, .. } = &mut self.houses[part.house];
        if part.is_guest { guest.as_mut() } else { toolstack.as_mut() }
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        let mut line = line();
        if let Some((end, _)) = line.char_indices().nth(300) {
            line.truncate(end);
        }
        self.history.push_back(line);
    }

    /// Says where it was.
    pub fn explain(&self, failure: Failure) -> Failure {
        let place = format!("village {}, domains {:?}", self.number, self.domids());
        let history: Vec<_> = self.history.iter().map(String::as_str).collect();
        Failure::Somewhere { place, history: history.join("\n"), source: Box::new(failure) }
    }
}

/// What was in the store before anybody came, and who listens to what becomes of domains.
fn prepare(judge: &mut Judge) {
    let client = judge.connect();
    for request in foundations() {
        judge.teach(&Asked { client, transaction: 0, request, protected: false });
    }
}

/// The last of what the herald asks for.
pub const FOUNDATION: &str = "/local/pool/0/name";

/// What the herald asks: it is the first client of all, and of every model.
pub fn foundations() -> Vec<Request> {
    let mut requests: Vec<_> =
        SHARED.map(|path| Request::Node(path.to_owned(), Action::Mkdir)).into();
    for (path, value) in [("/local/domain/0/name", "Domain-0"), ("/tool/secret", "s3")] {
        requests.push(Request::Node(path.to_owned(), Action::Write(value.to_owned())));
    }
    for name in ["@introduceDomain", "@releaseDomain"] {
        requests.push(Request::Watch(name.to_owned(), "herald".to_owned(), None));
    }
    let last = Action::Write("Pool-0".to_owned());
    requests.push(Request::Node(FOUNDATION.to_owned(), last));
    requests
}
