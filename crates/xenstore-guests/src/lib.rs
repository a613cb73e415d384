//! Simulated guests, and the hypervisor above them.
//!
//! A simulated host is a directory of files (`xenstore_host::sim`). A store daemon has one
//! side of it; this crate plays everybody else: the hypervisor, which makes domains and ends
//! them ([`Host`]), and the domains, which talk over their rings ([`Guest`]). Nothing blocks
//! but what says so, so that one thread can play thousands.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use xenstore_client::Client;
//! use xenstore_guests::Host;
//! use xenstore_wire::{Domid, MessageType};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut host = Host::open(Path::new("/tmp/host"))?;
//! let mut toolstack = Client::open_path("/tmp/host/run/socket")?;
//! let mut guest = host.boot(Domid::new(1), &mut toolstack)?;
//! let path = host.ask(&mut guest, MessageType::GetDomainPath, 0, b"1\0")?;
//! assert_eq!(path, b"/local/domain/1\0");
//! # Ok(())
//! # }
//! ```
//!
//! | module | what |
//! |---|---|
//! | `host` | domains come, change and go; whose event channel fired |
//! | `guest` | a domain's end of its ring, well-behaved or not |
//! | `ask` | a request and its reply, for who has nothing else to do meanwhile |

#![forbid(unsafe_code)]

mod ask;
mod guest;
mod host;

pub use ask::{AskError, PATIENCE};
pub use guest::{Guest, MoveError};
pub use host::{GUEST_PORT, Host};
