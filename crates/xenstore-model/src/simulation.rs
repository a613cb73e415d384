//! Many clients at once, as a seed decides: who sends its next message, who has a turn,
//! when time passes. Each of their transactions gets through, and nothing is left of it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::acl::Permission;
use crate::act::Act;
use crate::generate::turn;
use crate::holds;
use crate::isolation::{Ends, Isolation, reply};
use crate::operation::{Action, Answer};
use crate::program::{Kind, Program, SHARED, Step};
use crate::random::Random;
use crate::request::Request;
use crate::world::World;

/// Tries that a transaction may take for which there is a guarantee.
pub const MOST_TRIES: u32 = 3;

/// Acts after which nobody believes any more that it ends.
const MOST_ACTS: usize = 100_000;

/// The longest that anybody waits for another: an eighth of a second for who is silent, and
/// what those who are not take at most.
const LONGEST: Duration = Duration::from_millis(200);

/// Acts that are told of a simulation that failed.
const TOLD: usize = 60;

/// What came of a simulation.
#[derive(Clone, Copy, Default, Debug)]
pub struct Outcome {
    /// Acts.
    pub acts: u64,
    /// Transactions of simulated clients that committed.
    pub committed: u64,
    /// The most tries of those with a guarantee, and of all others.
    pub tries: [u32; 2],
    /// Requests that had to wait.
    pub held: u64,
    /// How transactions ended.
    pub ends: Ends,
}

/// A host with its clients.
pub struct Simulation {
    random: Random,
    world: World,
    isolation: Isolation,
    /// The programs, and which clients they are.
    programs: Vec<(usize, Program)>,
    /// Whether there are toolstacks beside guests.
    toolstacks: bool,
    last_acts: VecDeque<Act>,
    outcome: Outcome,
}

impl Simulation {
    /// Runs one; what went wrong, and what happened before.
    pub fn run(seed: u64) -> Result<Outcome, String> {
        let mut simulation = Self {
            random: Random::new(seed),
            world: World::new(false),
            isolation: Isolation::new(false),
            programs: Vec::new(),
            toolstacks: false,
            last_acts: VecDeque::new(),
            outcome: Outcome::default(),
        };
        simulation.go().map_err(|wrong| {
            let acts: Vec<_> =
                simulation.last_acts.iter().map(|act| format!("  {act:?}")).collect();
            format!("seed {seed} (MODEL_SEED={seed})\n{}\n{wrong}", acts.join("\n"))
        })?;
        Ok(Outcome { ends: simulation.isolation.ends, ..simulation.outcome })
    }

    fn go(&mut self) -> Result<(), String> {
        self.set_up()?;
        while !self.programs.iter().all(|(_, program)| program.is_done()) {
            self.step()?;
            if self.outcome.acts > MOST_ACTS as u64 {
                return Err("it does not end".to_owned());
            }
        }
        self.settle()?;
        self.check_tries()?;
        self.check_rest()
    }

    /// A place where all may write, toolstacks and guests.
    fn set_up(&mut self) -> Result<(), String> {
        self.act(&Act::Connect)?;
        let open = vec![Permission { letter: 'b', domid: 0 }];
        for action in [Action::Mkdir, Action::SetPerms(open)] {
            self.act(&Act::Ask(STEWARD, 0, Request::Node(SHARED.to_owned(), action)))?;
        }
        if self.random.chance(30) {
            for (quota, least, most) in [("node-size", 45, 90), ("nodes", 4, 12)] {
                let limit = self.random.between(least, most);
                let request = Request::SetQuota(None, quota.to_owned(), limit);
                self.act(&Act::Ask(STEWARD, 0, request))?;
            }
        }
        let (sockets, guests) = match self.random.below(3) {
            0 => (self.random.below(6) + 2, 0),
            1 => (0, self.random.below(4) + 2),
            _ => (self.random.below(4) + 1, self.random.below(4) + 1),
        };
        self.toolstacks = sockets > 0;
        for _ in 0..sockets {
            self.act(&Act::Connect)?;
            self.add_program(0);
        }
        for domid in (1..).take(guests) {
            self.act(&Act::Create(domid))?;
            self.act(&Act::Ask(STEWARD, 0, Request::Introduce(domid, 1)))?;
            self.add_program(domid);
        }
        Ok(())
    }

    fn add_program(&mut self, domid: u16) {
        let kind = self.random.weighted(&[
            (8, Kind::Retries),
            (6, Kind::Wanders),
            (2, Kind::FallsSilent),
            (2, Kind::Leaves),
            (4, Kind::Writes),
            (4, Kind::Churns),
            (2, Kind::Permits),
            (3, Kind::Uproots),
        ]);
        let program = Program::new(kind, domid, Random::new(self.random.bits()));
        self.programs.push((self.world.clients.len() - 1, program));
    }

    fn step(&mut self) -> Result<(), String> {
        if let Some(client) = self.leaver() {
            return self.act(&Act::Disconnect(client));
        }
        if self.world.allows(&Act::Turn) && self.random.chance(40) {
            let turn = turn(&mut self.random);
            return self.act(&turn);
        }
        let soon = Act::Pass(Duration::from_micros(self.random.between(1, 2000).into()));
        if self.world.allows(&soon) && self.random.chance(3) {
            return self.act(&soon);
        }
        let others_go_on = self.programs.iter().any(|(_, it)| !it.is_done() && !it.is_silent());
        let able: Vec<usize> = (0..self.programs.len())
            .filter(|&at| self.is_able(at) && !(others_go_on && self.programs[at].1.is_silent()))
            .collect();
        if !able.is_empty() {
            let at = self.random.pick(&able);
            return self.go_on(at);
        }
        if self.world.allows(&Act::Turn) {
            return self.act(&Act::Turn);
        }
        // All wait, and somebody is silent.
        self.world.deadline().ok_or("all wait for ever")?;
        self.act(&Act::Pass(Duration::from_secs(1)))
    }

    /// A client that goes now, whatever it waits for; most likely while it waits for others.
    fn leaver(&mut self) -> Option<usize> {
        let Self { random, world, programs, .. } = self;
        let leaves = |(client, program): &&mut (usize, Program)| {
            let can = program.kind == Kind::Leaves && !program.is_done();
            can && world.allows(&Act::Disconnect(*client))
                && random.chance(if world.is_held(*client) { 20 } else { 1 })
        };
        let (client, program) = programs.iter_mut().find(leaves)?;
        program.leave();
        Some(*client)
    }

    /// Whether a program could send something.
    fn is_able(&self, at: usize) -> bool {
        let (client, program) = &self.programs[at];
        let pending = self.world.clients[*client].pending.len();
        !program.is_done() && !program.waits(pending) && pending < MOST_AHEAD
    }

    fn go_on(&mut self, at: usize) -> Result<(), String> {
        let (client, program) = &mut self.programs[at];
        let client = *client;
        let act = match program.go_on() {
            Step::Leave if self.world.clients[client].socket => Act::Disconnect(client),
            // A guest cannot go, but begin anew.
            Step::Leave => Act::Send(client, 0, Request::ResetWatches),
            Step::Ask(transaction, request) => {
                let ask = Act::Ask(client, transaction, request.clone());
                let at_once = self.world.allows(&ask) && self.random.chance(50);
                if at_once { ask } else { Act::Send(client, transaction, request) }
            }
        };
        self.act(&act)
    }

    fn act(&mut self, act: &Act) -> Result<(), String> {
        self.outcome.acts += 1;
        self.last_acts.push_back(act.clone());
        if self.last_acts.len() > TOLD {
            self.last_acts.pop_front();
        }
        let output = self.world.apply(act);
        self.isolation.judge(act, &output, &mut self.world)?;
        holds::check(&self.world, self.isolation.serial(), |client, transaction| {
            self.isolation.changes_anything(client, transaction)
        })?;
        self.outcome.held += u64::from(self.world.put_off.is_some());
        if self.world.waited > LONGEST {
            return Err(format!("somebody waited for {:?}", self.world.waited));
        }
        let answers: Vec<Answer> = output.values().flatten().filter_map(reply).collect();
        for (asked, answer) in self.world.answered.iter().zip(&answers) {
            if let Some((_, program)) =
                self.programs.iter_mut().find(|(client, _)| *client == asked.client)
            {
                program.told(asked, answer);
            }
        }
        Ok(())
    }

    /// Lets everything come to rest.
    fn settle(&mut self) -> Result<(), String> {
        while self.world.allows(&Act::Turn) {
            self.act(&Act::Turn)?;
        }
        let most = self.outcome.acts + MOST_ACTS as u64;
        while self.world.deadline().is_some() {
            if self.outcome.acts > most {
                return Err("something is always still to come".to_owned());
            }
            self.act(&Act::Pass(Duration::from_mins(1)))?;
            while self.world.allows(&Act::Turn) {
                self.act(&Act::Turn)?;
            }
        }
        Ok(())
    }

    /// Whether transactions got through that have to.
    fn check_tries(&mut self) -> Result<(), String> {
        for (client, program) in &self.programs {
            let guest = !self.world.clients[*client].is_privileged();
            let guaranteed = program.kind != Kind::FallsSilent && !(guest && self.toolstacks);
            let most = &mut self.outcome.tries[usize::from(!guaranteed)];
            *most = program.most_tries.max(*most);
            self.outcome.committed += u64::from(program.committed);
            if guaranteed && program.most_tries > MOST_TRIES {
                return Err(format!("client {client} took {} tries", program.most_tries));
            }
        }
        Ok(())
    }

    /// Whether nothing is left: nobody waits, and whoever comes is served at once.
    fn check_rest(&mut self) -> Result<(), String> {
        if let Some(held) = (0..self.world.clients.len()).find(|&it| self.world.is_held(it)) {
            return Err(format!("client {held} still waits"));
        }
        self.act(&Act::Connect)?;
        let new = self.world.clients.len() - 1;
        let write = Request::Node(SHARED.to_owned(), Action::Write("at once".to_owned()));
        for (transaction, request) in
            [(0, Request::Start), (1, write.clone()), (0, write), (1, Request::End(true))]
        {
            self.act(&Act::Ask(new, transaction, request))?;
            if !self.world.clients[new].is_free() {
                return Err("a new client has to wait".to_owned());
            }
        }
        Ok(())
    }
}

/// The socket that sets everything up.
const STEWARD: usize = 0;

/// Requests that a client sends ahead.
const MOST_AHEAD: usize = 4;
