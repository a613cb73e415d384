//! What simulated clients do: little programs that go on from answer to answer.

use std::collections::VecDeque;

use xenstore_wire::Errno;

use crate::acl::Permission;
use crate::operation::{Action, Answer};
use crate::random::Random;
use crate::request::{Asked, Request};

/// What a client is like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Tries a transaction until it commits; the same requests each time.
    Retries,
    /// Tries until it commits, somewhere else each time.
    Wanders,
    /// Tries until it commits, and falls silent in the middle.
    FallsSilent,
    /// Goes in the middle of a transaction.
    Leaves,
    /// Writes values, without transactions as all that follow.
    Writes,
    /// Makes and removes nodes.
    Churns,
    /// Sets permissions.
    Permits,
    /// Removes whole subtrees and makes them again.
    Uproots,
}

impl Kind {
    /// All there are.
    pub const ALL: [Self; 8] = [
        Self::Retries,
        Self::Wanders,
        Self::FallsSilent,
        Self::Leaves,
        Self::Writes,
        Self::Churns,
        Self::Permits,
        Self::Uproots,
    ];

    /// Whether it has transactions.
    pub fn is_transactional(self) -> bool {
        matches!(self, Self::Retries | Self::Wanders | Self::FallsSilent | Self::Leaves)
    }
}

/// What a client does next.
#[derive(Debug)]
pub enum Step {
    /// It asks for something, in a transaction or (0) outside.
    Ask(u32, Request),
    /// It goes.
    Leave,
}

/// A client's program.
#[derive(Debug)]
pub struct Program {
    /// What it is like.
    pub kind: Kind,
    /// Its domain.
    domid: u16,
    /// Whether it asks before it was answered.
    pub ahead: bool,
    random: Random,
    /// What is left to do: transactions, or times something else.
    rounds: usize,
    /// What one transaction consists of.
    script: Vec<(String, Action)>,
    /// What of that is still to be asked.
    left: VecDeque<(String, Action)>,
    state: State,
    values: u32,
    tries: u32,
    /// The most tries that a transaction took.
    pub most_tries: u32,
    /// How many committed.
    pub committed: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Between,
    Starting,
    Inside(u32),
    Ending,
    Gone,
}

impl Program {
    /// A program for a client of this domain.
    pub fn new(kind: Kind, domid: u16, random: Random) -> Self {
        let mut program = Self {
            kind,
            domid,
            ahead: false,
            random,
            rounds: 0,
            script: Vec::new(),
            left: VecDeque::new(),
            state: State::Between,
            values: 0,
            tries: 0,
            most_tries: 0,
            committed: 0,
        };
        program.ahead = program.random.chance(30);
        program.rounds = program.random.below(if kind.is_transactional() { 8 } else { 60 }) + 1;
        program.write_script();
        program
    }

    /// Whether it has done all it wanted to.
    pub fn is_done(&self) -> bool {
        self.state == State::Gone || (self.state == State::Between && self.rounds == 0)
    }

    /// Whether it says nothing for as long as others have something to do.
    pub fn is_silent(&self) -> bool {
        let halfway = self.left.len() <= self.script.len() / 2;
        self.kind == Kind::FallsSilent && matches!(self.state, State::Inside(_)) && halfway
    }

    /// Whether it has to wait for an answer, with so many still to come.
    pub fn waits(&self, pending: usize) -> bool {
        match self.state {
            State::Starting | State::Ending => true,
            _ => pending > 0 && !self.ahead,
        }
    }

    /// What it does next. It must not be done, nor wait for an answer.
    pub fn go_on(&mut self) -> Step {
        if self.state == State::Between && self.kind.is_transactional() {
            self.left = self.script.clone().into();
            self.state = State::Starting;
            return Step::Ask(0, Request::Start);
        }
        let transaction = if let State::Inside(number) = self.state { number } else { 0 };
        match self.left.pop_front() {
            Some(_) if self.kind == Kind::Leaves && self.random.chance(3) => {
                self.leave();
                Step::Leave
            }
            Some((path, action)) => {
                self.rounds -= usize::from(transaction == 0 && self.left.is_empty());
                if transaction == 0 && self.left.is_empty() {
                    self.write_script();
                }
                Step::Ask(transaction, Request::Node(path, action))
            }
            None => {
                self.state = State::Ending;
                Step::Ask(transaction, Request::End(true))
            }
        }
    }

    /// It goes.
    pub fn leave(&mut self) {
        self.state = State::Gone;
    }

    /// It is told something.
    pub fn told(&mut self, asked: &Asked, answer: &Answer) {
        match (&asked.request, answer) {
            (Request::Start, Ok(number)) => {
                let number = number.trim_end_matches('\0').parse().expect("a number");
                self.state = State::Inside(number);
                self.tries += 1;
                self.most_tries = self.most_tries.max(self.tries);
            }
            (Request::End(_), Ok(_)) => {
                (self.state, self.tries) = (State::Between, 0);
                self.rounds -= 1;
                self.committed += 1;
                self.write_script();
            }
            (Request::End(_), Err(Errno::Again)) => {
                self.state = State::Between;
                if self.kind == Kind::Wanders {
                    self.write_script();
                }
            }
            (Request::Start | Request::End(_), Err(errno)) => panic!("{asked:?}: {errno:?}"),
            _ => {}
        }
    }

    fn write_script(&mut self) {
        let length = self.random.below(8) + 2;
        self.script = match self.kind {
            Kind::Writes => vec![(self.path(), self.value())],
            Kind::Churns => {
                let path = self.path();
                vec![(path.clone(), Action::Mkdir), (path, Action::Rm)]
            }
            Kind::Permits => vec![(self.path(), self.permissions())],
            Kind::Uproots => {
                let above = self.place(1);
                let below = format!("{above}/{}", self.random.below(3));
                vec![(above, Action::Rm), (below, self.value())]
            }
            _ => (0..length).map(|_| (self.path(), self.action())).collect(),
        };
        if !self.kind.is_transactional() {
            self.left = self.script.clone().into();
        }
    }

    fn action(&mut self) -> Action {
        match self.random.below(100) {
            0..30 => Action::Read,
            30..48 => Action::Directory,
            48..53 => Action::GetPerms,
            53..78 => self.value(),
            78..88 => Action::Mkdir,
            88..95 => Action::Rm,
            _ => self.permissions(),
        }
    }

    /// Sometimes what is there already.
    fn value(&mut self) -> Action {
        self.values += 1;
        let same = self.random.chance(20);
        let (domid, values) = (self.domid, self.values);
        let value = if same { "same".to_owned() } else { format!("{domid}.{values}") };
        Action::Write(value)
    }

    /// Everybody may go on as before, whoever is named.
    fn permissions(&mut self) -> Action {
        let mut list = vec![Permission { letter: 'b', domid: self.domid }];
        if self.random.chance(50) {
            list.push(Permission { letter: 'b', domid: 1 });
        }
        Action::SetPerms(list)
    }

    fn path(&mut self) -> String {
        let levels = self.random.weighted(&[(1, 0), (5, 1), (8, 2), (1, 3)]);
        self.place(levels)
    }

    fn place(&mut self, levels: usize) -> String {
        let random = &mut self.random;
        let name = |_| format!("/{}", random.below(3));
        SHARED.to_owned() + &(0..levels).map(name).collect::<String>()
    }
}

/// Where all programs are.
pub const SHARED: &str = "/shared";
