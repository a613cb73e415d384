//! What the tests of the tools share, and other crates may include by path: the
//! table of command lines needs no more than a socket.

pub mod fake_store;
pub mod runner;
pub mod table;
