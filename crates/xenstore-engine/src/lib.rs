//! All that a store daemon decides, and nothing of how it is reached.
//!
//! An [`Engine`] is fed bytes from connections and news from the hypervisor; it
//! hands back bytes per connection. It has no sockets, no clock, no threads: what
//! it needs to know of the world is lent to it for a turn ([`Outside`]). So every
//! behaviour of the daemon can be tested without one, replayed and fuzzed.
//!
//! ```
//! use std::time::Duration;
//! use xenstore_engine::{Engine, Outside, Settings, Silent};
//! use xenstore_host::NoHypervisor;
//! use xenstore_wire::{MessageType, message};
//!
//! let mut engine = Engine::new(&Settings::default());
//! let client = engine.connect_socket(&mut Silent);
//! let mut request = Vec::new();
//! assert!(message::encode(&mut request, MessageType::Write, 1, 0, &[b"/greeting\0hello"]));
//!
//! let mut outside =
//!     Outside { hypervisor: &mut NoHypervisor, daemon: &mut Silent, now: Duration::ZERO };
//! engine.turn(client, &request, &mut outside);
//! assert!(engine.output(client).ends_with(b"OK\0"));
//! ```
//!
//! | module | what |
//! |---|---|
//! | `engine` | connections and their turns |
//! | `requests` | the way of a request |
//! | `operation`, `store` | what can be asked of nodes, and doing it |
//! | `node`, `context` | what nodes hold, and what an operation needs beside them |
//! | `listing` | names of children |
//! | `transactions` | requests about transactions |
//! | `transaction` | one transaction: a private copy of the store |
//! | `commit`, `graft` | how they become everybody's |
//! | `versions` | old versions of the store, kept for open transactions |
//! | `protection`, `tenure`, `footprint`, `hold` | who waits so that every transaction gets through |
//! | `acl`, `grant` | who may do what |
//! | `watch`, `places`, `events` | who wants to know of what where, and who is told |
//! | `domains`, `lifecycle` | what is known of domains, their coming and going |
//! | `estates`, `way` | where the nodes of each domain are, the path during a walk |
//! | `quota`, `charges`, `accounts` | what a domain may have and has, what things cost |
//! | `administration`, `control` | requests about domains and the daemon, commands to it |
//! | `connection`, `outbox`, `spares` | one client, what waits for it, and in what |
//! | `ids`, `refusal` | names for what comes and goes, and why requests are refused |
//! | `outside` | what the engine asks of the program around it |

#![forbid(unsafe_code)]

mod accounts;
mod acl;
mod administration;
mod charges;
mod commit;
mod connection;
mod context;
mod control;
mod domains;
mod engine;
mod estates;
mod events;
mod footprint;
mod graft;
mod grant;
mod hold;
mod ids;
mod lifecycle;
mod listing;
mod node;
mod operation;
mod outbox;
mod outside;
mod places;
mod protection;
mod quota;
mod refusal;
mod requests;
mod spares;
mod store;
mod tenure;
mod transaction;
mod transactions;
mod versions;
mod watch;
mod way;

pub use connection::{Standing, Transport};
pub use engine::{Engine, Settings, Turn};
pub use ids::ConnectionId;
pub use outside::{Daemon, Incident, Origin, Outside, Silent, TraceSwitch};
pub use quota::{Limits, Quota};
