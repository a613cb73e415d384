//! The same random sequences for all daemons, and what came of it.

use std::collections::BTreeMap;
use std::fmt;

use crate::blank::Caretaker;
use crate::compare::{Aspect, differences};
use crate::daemon::Daemon;
use crate::generate::sequence;
use crate::history::History;
use crate::random::Random;
use crate::rules::{Case, Peer, RULES, rule, unasked};
use crate::session::{Outcome, Session};
use crate::step::Step;
use crate::target::{InProcess, Target};

/// Requests of a sequence. Longer ones part from the other daemons anyway.
const LENGTH: usize = 40;

/// The sequence of a seed.
pub fn sequence_of(seed: u64) -> Vec<Step> {
    sequence(&mut Random::new(seed), LENGTH)
}

/// Who plays: rxenstored, its engine without the daemon, and those to compare with.
/// Rules hold between rxenstored and the others; the engine has to be the same.
pub struct Stage {
    players: Vec<Player>,
}

struct Player {
    role: Role,
    target: Box<dyn Restart>,
    caretaker: Caretaker,
}

/// What a player is to rxenstored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It is rxenstored.
    Ours,
    /// Its engine.
    Engine,
    /// Another daemon.
    Other(Peer),
}

/// A target that can be had anew should it die.
trait Restart: Target {
    fn revive(&mut self) -> bool;
}

struct Process {
    daemon: Daemon,
    start: fn() -> Daemon,
}

impl Target for Process {
    fn connect(&self) -> Box<dyn crate::target::Link> {
        self.daemon.connect()
    }
}

impl Restart for Process {
    fn revive(&mut self) -> bool {
        let dead = !self.daemon.is_running();
        if dead {
            self.daemon = (self.start)();
        }
        dead
    }
}

impl Restart for InProcess {
    fn revive(&mut self) -> bool {
        false
    }
}

/// A difference that nothing explains.
#[derive(Clone, PartialEq, Eq)]
pub struct Failure {
    /// Who differs from rxenstored.
    pub who: Role,
    /// After how many requests.
    pub at: usize,
    /// The request.
    pub step: Step,
    /// In what they differ; `None` if it is the whole store after the last request.
    pub aspect: Option<Aspect>,
    /// Both outcomes, for people.
    pub text: String,
}

impl Failure {
    /// Whether it may be the same in a shorter sequence.
    fn resembles(&self, other: &Self) -> bool {
        let kind = |failure: &Self| (failure.who, failure.aspect.clone());
        let same_step = self.aspect.is_none() || self.step.kind == other.step.kind;
        kind(self) == kind(other) && same_step
    }
}

/// What was seen in a campaign.
#[derive(Debug, Default)]
pub struct Tally {
    /// Sequences played.
    pub sequences: usize,
    /// Requests put to rxenstored.
    pub requests: usize,
    /// Of these, compared with C xenstored and with oxenstored.
    pub compared: [usize; 2],
    /// How often a rule explained a difference to either.
    pub rules: BTreeMap<&'static str, [usize; 2]>,
}

impl Stage {
    /// Starts everybody.
    pub fn new() -> Self {
        let process = |start: fn() -> Daemon| Box::new(Process { daemon: start(), start });
        let players = vec![
            Player::new(Role::Ours, process(Daemon::rxenstored)),
            Player::new(Role::Engine, Box::new(InProcess::default())),
            Player::new(Role::Other(Peer::C), process(Daemon::c)),
            Player::new(Role::Other(Peer::Ocaml), process(Daemon::ocaml)),
        ];
        Self { players }
    }

    /// Plays one sequence everywhere, from a blank store.
    pub fn play(&mut self, steps: &[Step], tally: &mut Tally) -> Result<(), Failure> {
        let mut sessions: Vec<_> = self.players.iter_mut().map(Player::prepare).collect();
        let mut history = History::default();
        // Who still has the same store as rxenstored.
        let mut along = vec![true; sessions.len()];
        tally.sequences += 1;
        for (at, step) in steps.iter().enumerate() {
            let asked: Vec<_> = self
                .players
                .iter()
                .zip(&along)
                .map(|(player, &along)| along && player.is_asked(step))
                .collect();
            let outcomes = perform(&mut sessions, &asked, step);
            let Some(ours) = outcomes.first().cloned().flatten() else { break };
            tally.requests += 1;
            for ((player, theirs), along) in
                self.players.iter().zip(&outcomes).zip(&mut along).skip(1)
            {
                let Some(theirs) = theirs else { continue };
                let same = player.role.judge(step, &history, &ours, theirs, tally);
                let aspect = match same {
                    Ok(same) => {
                        *along &= same;
                        continue;
                    }
                    Err(aspect) => Some(aspect),
                };
                let text = format!("rxenstored: {ours:?}\nother:      {theirs:?}");
                return Err(Failure { who: player.role, at, step: step.clone(), aspect, text });
            }
            history.note(step, &ours);
        }
        drop(sessions);
        self.compare_stores(steps, &along)
    }

    fn compare_stores(&mut self, steps: &[Step], along: &[bool]) -> Result<(), Failure> {
        let Some((ours, others)) = self.players.split_first_mut() else { return Ok(()) };
        let mine = ours.caretaker.dump();
        for (player, _) in others.iter_mut().zip(&along[1..]).filter(|(_, along)| **along) {
            let theirs = player.caretaker.dump();
            if mine != theirs {
                let only = |a: &[_], b: &[_]| {
                    a.iter().filter(|node| !b.contains(*node)).cloned().collect::<Vec<_>>()
                };
                let text = format!(
                    "only rxenstored: {:?}\nonly other: {:?}",
                    only(&mine, &theirs),
                    only(&theirs, &mine)
                );
                let step = steps.last().expect("a sequence has requests").clone();
                return Err(Failure {
                    who: player.role,
                    at: steps.len(),
                    step,
                    aspect: None,
                    text,
                });
            }
        }
        Ok(())
    }

    /// Leaves out requests for as long as the sequence still fails in the same way.
    pub fn shrink(&mut self, mut steps: Vec<Step>, mut failure: Failure) -> (Vec<Step>, Failure) {
        steps.truncate(failure.at + 1);
        let mut chunk = steps.len() / 2;
        while chunk > 0 {
            let mut from = 0;
            while from < steps.len() {
                let mut fewer = steps.clone();
                fewer.drain(from..(from + chunk).min(steps.len()));
                match self.play(&fewer, &mut Tally::default()) {
                    Err(found) if !fewer.is_empty() && found.resembles(&failure) => {
                        (steps, failure) = (fewer, found);
                    }
                    _ => from += chunk,
                }
            }
            chunk /= 2;
        }
        (steps, failure)
    }
}

impl Default for Stage {
    fn default() -> Self {
        Self::new()
    }
}

impl Player {
    fn new(role: Role, target: Box<dyn Restart>) -> Self {
        let caretaker = Caretaker::new(&*target);
        Self { role, target, caretaker }
    }

    /// A blank store and fresh connections to it.
    fn prepare(&mut self) -> Session {
        if self.target.revive() {
            self.caretaker = Caretaker::new(&*self.target);
        }
        self.caretaker.reset();
        Session::new(&*self.target)
    }

    fn is_asked(&self, step: &Step) -> bool {
        match self.role {
            Role::Ours | Role::Engine => true,
            Role::Other(peer) => unasked(peer, step).is_none(),
        }
    }
}

impl Role {
    /// Whether the player still has the same store afterwards; an error names the
    /// aspect that no rule explains.
    fn judge(
        self,
        step: &Step,
        history: &History,
        ours: &Outcome,
        theirs: &Outcome,
        tally: &mut Tally,
    ) -> Result<bool, Aspect> {
        let found = differences(step, ours, theirs);
        let Role::Other(peer) = self else {
            return found.into_iter().next().map_or(Ok(true), Err);
        };
        let slot = usize::from(peer == Peer::Ocaml);
        tally.compared[slot] += 1;
        let case = Case { peer, step, history, ours, theirs };
        let parted = !found.is_empty() && case.parts();
        for aspect in found {
            let Some(rule) = rule(&case, &aspect) else { return Err(aspect) };
            tally.rules.entry(rule.title).or_default()[slot] += 1;
        }
        Ok(!parted && !case.drifts())
    }
}

/// Does one request with all who are asked, so that they work side by side.
fn perform(sessions: &mut [Session], asked: &[bool], step: &Step) -> Vec<Option<Outcome>> {
    let mut asked: Vec<_> =
        sessions.iter_mut().zip(asked).map(|(session, &asked)| asked.then_some(session)).collect();
    for session in asked.iter_mut().flatten() {
        session.send(step);
    }
    let mut outcomes: Vec<_> = asked
        .iter_mut()
        .map(|session| session.as_mut().map(|session| session.collect(step)))
        .collect();
    for (session, outcome) in asked.iter_mut().flatten().zip(outcomes.iter_mut().flatten()) {
        session.collect_others(step, outcome);
    }
    outcomes
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?} differs in {:?} at request {}", self.who, self.aspect, self.at)?;
        writeln!(f, "{:?}\n{}", self.step, self.text)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [c, ocaml] = self.compared;
        writeln!(
            f,
            "{} sequences, {} requests; {c} compared with C xenstored, {ocaml} with oxenstored",
            self.sequences, self.requests
        )?;
        for rule in RULES.iter().flat_map(|(_, rules)| rules.iter()) {
            let [c, ocaml] = self.rules.get(rule.title).copied().unwrap_or_default();
            writeln!(f, "{c:>6} {ocaml:>6}  {}", rule.title)?;
        }
        Ok(())
    }
}
