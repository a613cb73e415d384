//! Clients on sockets that ask, each for nodes of its own: 1, 8 or 64 of them, with one request
//! on its way or with 16, beside the echo server that is asked the same.

use std::time::Duration;

use xenstore_wire::MessageType;

use crate::asker::Askers;
use crate::conversation::Conversation;
use crate::failure::Failure;
use crate::figure::{Better, Bound, Goal, Name, Outcome, Place, Unit};
use crate::script::{FRESH_DIGITS, Script};
use crate::section::median;
use crate::workload::{Run, Workload};

/// How many clients there are, and how many requests of each are on their way.
const CROWDS: [(u32, usize); 6] = [(1, 1), (1, 16), (8, 1), (8, 16), (64, 1), (64, 16)];

/// Whatever the crowd, there are nodes for so many clients.
const CLIENTS: u32 = 64;

/// A client's nodes: what is in a network device's directory.
const NODES: [&str; 8] =
    ["backend", "backend-id", "state", "handle", "mac", "mtu", "tx-ring-ref", "event-channel"];

/// What is in each of them: as long as what is written later.
const VALUE: [u8; FRESH_DIGITS] = *b"sixteen letters.";

/// What the reply to a request says that has nothing to say.
const OK: &[u8] = b"OK\0";

/// How often the echo server is asked in turns with a daemon.
const PAIRS: u32 = 8;

/// What is asked.
#[derive(Clone, Copy, Debug)]
enum Operation {
    Read,
    Write,
    Directory,
    MkdirAndRm,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Directory => "directory",
            Self::MkdirAndRm => "mkdir+rm",
        }
    }

    /// What a client asks over and over.
    fn script(self, client: u32) -> Script {
        let home = home(client);
        let nodes = NODES.map(|node| format!("{home}/{node}"));
        match self {
            Self::Read => nodes
                .iter()
                .fold(Script::new(), |script, node| script.read(node).replied(length(&VALUE))),
            Self::Write => nodes
                .iter()
                .fold(Script::new(), |script, node| script.write_new(node).replied(length(OK))),
            Self::Directory => {
                let list: u32 = NODES.iter().map(|node| length(node.as_bytes()) + 1).sum();
                Script::new().of_node(MessageType::Directory, &home).replied(list)
            }
            Self::MkdirAndRm => {
                let node = format!("{home}/new");
                let script = Script::new().of_node(MessageType::Mkdir, &node).replied(length(OK));
                script.of_node(MessageType::Rm, &node).replied(length(OK))
            }
        }
    }
}

/// The workload.
#[derive(Debug)]
pub struct Ask {
    name: &'static str,
    about: &'static str,
    operation: Operation,
    crowds: &'static [(u32, usize)],
    takes_turns: bool,
    goals: &'static [Goal],
}

/// Reads.
pub const READ: Ask = Ask {
    name: "ask-read",
    about: "1 to 64 clients read nodes of their own; daemon: its processor time for a request",
    operation: Operation::Read,
    crowds: &CROWDS,
    takes_turns: false,
    goals: &[
        Goal { figure: "read, 64 clients, 1 in flight, of echo", bound: Bound::AtLeast(0.9) },
        Goal { figure: "read, 8 clients, 16 in flight, of echo", bound: Bound::AtLeast(0.45) },
        Goal { figure: "read, 8 clients, 16 in flight", bound: Bound::AtLeast(1_000_000.0) },
    ],
};

/// Writes.
pub const WRITE: Ask = Ask {
    name: "ask-write",
    about: "1 to 64 clients write to nodes of their own",
    operation: Operation::Write,
    crowds: &CROWDS,
    takes_turns: false,
    goals: &[Goal {
        figure: "write, 64 clients, 1 in flight, of echo",
        bound: Bound::AtLeast(0.9),
    }],
};

/// Lists.
pub const DIRECTORY: Ask = Ask {
    name: "ask-directory",
    about: "1 to 64 clients list a directory of their own, with 8 nodes",
    operation: Operation::Directory,
    crowds: &CROWDS,
    takes_turns: false,
    goals: &[Goal {
        figure: "directory, 64 clients, 1 in flight, of echo",
        bound: Bound::AtLeast(0.9),
    }],
};

/// Makes and removes.
pub const MKDIR_AND_RM: Ask = Ask {
    name: "ask-mkdir-rm",
    about: "1 to 64 clients make a node of their own and remove it; each is a request",
    operation: Operation::MkdirAndRm,
    crowds: &CROWDS,
    takes_turns: false,
    goals: &[],
};

/// Reads, by one client where the daemon runs: nobody waits for a processor to wake up.
pub const READ_IN_TURNS: Ask = Ask {
    name: "ask-in-turns",
    about: "1 client on the daemon's processor reads",
    operation: Operation::Read,
    crowds: &[(1, 1)],
    takes_turns: true,
    goals: &[Goal { figure: "read, 1 client, 1 in flight, of echo", bound: Bound::AtLeast(0.85) }],
};

impl Workload for Ask {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn takes_turns(&self) -> bool {
        self.takes_turns
    }

    fn has_echo(&self) -> bool {
        true
    }

    fn goals(&self) -> &'static [Goal] {
        self.goals
    }

    fn run(&self, run: &Run<'_>) -> Result<Outcome, Failure> {
        let nodes = (0..CLIENTS).flat_map(|client| NODES.map(|node| (home(client), node)));
        let nodes = nodes.map(|(home, node)| format!("{home}/{node}"));
        Conversation::connect(run.daemon.socket())?.fill(nodes, &VALUE)?;
        let time = Duration::from_millis(if run.quick { 20 } else { 500 });
        let mut outcome = Outcome::default();
        for &(clients, depth) in self.crowds {
            let connect = |daemon| {
                let scripts = (0..clients).map(|client| self.operation.script(client));
                Askers::connect(daemon, scripts, depth)
            };
            let mut askers = connect(run.daemon)?;
            let some = if clients == 1 { "client" } else { "clients" };
            let name = self.operation.name();
            let text = format!("{name}, {clients} {some}, {depth} in flight");
            let series = format!("{name}, {depth} in flight");
            let name = Name::of(text, &series, Place::new(clients, "clients"));
            askers.ask(time)?.tell(&name, &mut outcome);
            if let Some(echo) = run.echo {
                let share = share_of(&mut askers, &mut connect(echo)?, time / PAIRS)?;
                outcome.add(name.and("of echo"), Unit::Times, Better::High, share);
            }
        }
        Ok(outcome)
    }
}

/// What is reached of what the echo server reaches. They are asked in turns: in the seconds
/// between two rounds some machines become twice as fast, or half.
fn share_of(askers: &mut Askers, echo: &mut Askers, time: Duration) -> Result<f64, Failure> {
    let mut shares = Vec::new();
    for _ in 0..PAIRS {
        let reached = askers.ask(time)?.rate;
        shares.push(reached / echo.ask(time)?.rate);
    }
    shares.sort_by(f64::total_cmp);
    median(&shares).ok_or(Failure::Nothing("a share"))
}

fn home(client: u32) -> String {
    format!("/local/domain/{client}/device/vif/0")
}

/// The length of a payload, which is short.
#[expect(clippy::cast_possible_truncation, reason = "the payloads here are short")]
const fn length(payload: &[u8]) -> u32 {
    payload.len() as u32
}
