//! How fast is a store daemon, and how much of the machine does it take?
//!
//! Each workload is put to rxenstored, Debian's C xenstored and Debian's oxenstored, one
//! right after the other on the same machine, so that figures can be compared within one
//! run of this program. Between runs and between machines they cannot. What sockets and system
//! calls alone cost says a fourth program, which only answers: the echo server takes part
//! where clients ask the same over and over (`ask-...`).
//!
//! Clients on sockets (`ask-read` to `commit-cost`) are served by one thread over epoll. Guests
//! (`guests-...`) are simulated ones on the rings of a simulated host, on which all three
//! daemons run alike. Daemon and load have a processor each, but where they only wait for each
//! other. A daemon's processor time is what to look at first: it is exact to the nanosecond
//! for guests, and says the same on a machine that others use too. Where figures belong together,
//! their names begin alike: of `read, 8 clients, 16 in flight`, which is requests a second, there
//! are the `median` and `p99` of how long a request took, and as `daemon` its processor time.
//!
//! What does not depend on the machine is counted: system calls by strace, instructions outside
//! the kernel by valgrind, for requests that come in the same turns whoever is faster
//! (`calls`, `instructions`). The counts stand in `docs/benchmarks/counts.txt`, and
//!
//! ```text
//! cargo run --release -p xenstore-bench -- counts
//! ```
//!
//! fails if one has grown by a tenth. Everything, in all rounds, and the pages made of it:
//!
//! ```text
//! cargo run --release -p xenstore-bench -- --write docs/benchmarks
//! ```
//!
//! A round in which others used the machine is marked: its times are to be measured again.
//!
//! | module | what |
//! |---|---|
//! | [`options`] | the command line |
//! | [`target`] | the daemons, and which of them are here |
//! | [`echo`] | the echo server |
//! | [`workload`], [`workloads`] | what is asked of them |
//! | [`load`] | many clients at once, in one thread |
//! | [`script`] | the requests of such a client |
//! | [`asker`] | clients that ask the same over and over, and what they get |
//! | [`transactor`], [`crowd`] | clients that do transactions |
//! | [`turns`] | loads that are the same each time, for counting |
//! | [`conversation`] | one client, one request after the other |
//! | [`world`], [`guest_load`] | guests on a simulated host, and all of them asking |
//! | [`throughput`] | what they get, and at what cost |
//! | [`flood`] | guests that do harm |
//! | [`processors`] | who runs where |
//! | [`measure`], [`figure`] | times, processor and memory; what a run came to |
//! | [`campaign`], [`progress`] | all rounds, and how far they are |
//! | [`disturbance`] | what others took of the machine meanwhile |
//! | [`section`] | what the rounds of a workload came to |
//! | [`report`], [`machine`] | the table and the pages made of it, and on what it was measured |
//! | [`counts`], [`gate`] | what is counted, held against what it was before |
//! | [`plot`], [`scale`] | the plots of a page |
//! | [`failure`] | why a run has no figures |

#![forbid(unsafe_code)]

pub mod asker;
pub mod campaign;
pub mod conversation;
pub mod counts;
pub mod crowd;
pub mod disturbance;
pub mod echo;
pub mod failure;
pub mod figure;
pub mod flood;
pub mod gate;
pub mod guest_load;
pub mod load;
pub mod machine;
pub mod measure;
pub mod options;
pub mod plot;
pub mod processors;
pub mod progress;
pub mod report;
pub mod scale;
pub mod script;
pub mod section;
pub mod target;
pub mod throughput;
pub mod transactor;
pub mod turns;
pub mod workload;
pub mod workloads;
pub mod world;
