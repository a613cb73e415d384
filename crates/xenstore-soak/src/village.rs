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
use xenstore_model::request::Request;

use crate::actor::{Actor, Deed, Step};
use crate::failure::Failure;
use crate::feed::{Event, Heard};
use crate::foundation;
use crate::house::{House, Part, Phase};
use crate::judge::{Judge, Reply};
use crate::town::Town;

/// After so long without an answer others need not wait for who may have to wait for them.
const HELD: Duration = Duration::from_millis(10);

/// So many clients of a village wait for an answer at a time, at most: what they could
/// have been told multiplies.
const MOST_WAITING: usize = 3;

/// Nobody else asks while there are more explanations than this of what was told.
const MOST_CANDIDATES: usize = 16;

/// So much is remembered of what was said.
const HISTORY: usize = 2000;

/// Some guests and their toolstacks.
#[derive(Debug)]
pub struct Village {
    /// Its number.
    pub number: usize,
    pub(crate) random: Random,
    pub(crate) judge: Judge,
    pub(crate) houses: Vec<House>,
    /// The mean time from one thing done without need to the next.
    pub(crate) pace: Duration,
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
        foundation::teach(&mut judge);
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
        self.compare_events(now)?;
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
        if inside.is_empty() || self.random.chance(20) {
            return self.random.below(ready.len());
        }
        inside[self.random.below(inside.len())]
    }

    /// Whether somebody who can go on is protected.
    fn is_anybody_protected(&self) -> bool {
        let actors = self.parts().filter_map(|part| self.actor(part));
        { actors }.any(|actor| !actor.is_waiting() && actor.is_protected())
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

    /// The numbers that its domains have, or had last.
    pub(crate) fn domids(&self) -> Vec<u16> {
        self.houses.iter().map(|house| house.domain.domid).collect()
    }

    /// A client's connection has something for it.
    pub fn receive(&mut self, part: Part, town: &mut Town) -> Result<(), Failure> {
        self.take_messages(part, town).map_err(|failure| self.explain(failure))
    }

    fn take_messages(&mut self, part: Part, town: &mut Town) -> Result<(), Failure> {
        let now = Instant::now();
        if part.is_guest && self.finish_reconnection(part.house) {
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
                        // Who lost a transaction may wait longer, for its turn.
                        if let Some(since) = actor.waits_since().filter(|_| !actor.waits_for_turn())
                        {
                            town.check_wait(now.saturating_duration_since(since))?;
                        }
                        actor.hear(reply, &mut self.judge, &mut town.tally, now)?;
                    }
                }
            }
        }
        let most = &mut town.tally.most_candidates;
        *most = self.judge.candidates().max(*most);
        self.compare_events(now)?;
        Ok(())
    }

    fn compare_events(&mut self, now: Instant) -> Result<(), Failure> {
        if !self.judge.is_quiet() {
            return Ok(());
        }
        // Who is shut down takes nothing, and may be due the news of that itself.
        for house in &self.houses {
            for guest in house.guest.iter().filter(|guest| guest.frozen) {
                self.judge.excuse(guest.client, now);
            }
        }
        self.judge.compare_events(now)
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
    pub(crate) fn parts(&self) -> impl Iterator<Item = Part> + use<> {
        let houses = 0..self.houses.len();
        houses.flat_map(|house| [false, true].map(|is_guest| Part { house, is_guest }))
    }

    pub(crate) fn actor(&self, part: Part) -> Option<&Actor> {
        let House { toolstack, guest, .. } = &self.houses[part.house];
        if part.is_guest { guest.as_ref() } else { toolstack.as_ref() }
    }

    pub(crate) fn actor_mut(&mut self, part: Part) -> Option<&mut Actor> {
        let House { toolstack, guest, .. } = &mut self.houses[part.house];
        if part.is_guest { guest.as_mut() } else { toolstack.as_mut() }
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        let mut line = match self.judge.candidates() {
            1 => line(),
            several => format!("{} [{several} explanations]", line()),
        };
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
