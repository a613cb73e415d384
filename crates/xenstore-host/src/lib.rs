//! The hypervisor, as far as a store daemon needs it.
//!
//! A guest speaks to the store through a page that both have mapped, its *ring*, and an
//! *event channel*, by which each says that the other should look. [`Rings`] keeps the
//! connected rings of all domains: bytes are read from and written to them as to sockets.
//! Under it is a [`Machine`]: [`xen::Xen`], or [`sim::Simulated`] where there is no Xen.
//! The engine sees only a [`Hypervisor`]: what state a domain is in, connect its ring, let
//! go of it.
//!
//! | module | what |
//! |---|---|
//! | `hypervisor` | what the engine asks for |
//! | [`machine`] | what is asked of a hypervisor and the kernel above it |
//! | [`ring`] | the shared page: two lanes of bytes and a few words |
//! | [`rings`] | the connected rings of all domains |
//! | [`sim`] | a hypervisor in files, for tests and play |
//! | [`xen`] | the real one, by system calls |
//! | [`memory`] | what the allocator keeps although nothing is in it |
//! | `shared_memory` | memory that somebody else writes at the same time |
//!
//! All unsafe code of the daemon is here: in `shared_memory`, `memory`, and in the calls of
//! devices below [`xen`].

#![deny(unsafe_code)]

mod hypervisor;
pub mod machine;
pub mod memory;
pub mod ring;
pub mod rings;
mod shared_memory;
pub mod sim;
pub mod xen;

pub use hypervisor::{ConnectError, DomainState, Hypervisor, NoHypervisor};
pub use machine::Machine;
pub use rings::Rings;
