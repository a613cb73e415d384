//! The process around the store: what `rxenstored` is to an operating system.
//!
//! Command line, configuration file, pid file, daemonizing, readiness, signals,
//! logs and the listening socket live here; what a request means does not. A
//! start reads top down in [`daemon::run`].
//!
//! The daemon stands in for C xenstored and for oxenstored alike, so it takes the
//! options of both ([`options`]), reads the configuration file of the latter
//! ([`oxenstored_conf`]), and behaves towards `launch-xenstore` and systemd as
//! they do.

#![forbid(unsafe_code)]

pub mod access_log;
pub mod alarm;
pub mod clients;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod daemonize;
pub mod door;
pub mod engine_time;
pub mod event_loop;
pub mod guests;
pub mod host;
pub mod limits;
pub mod line;
pub mod log_file;
pub mod log_sink;
pub mod logging;
pub mod notify;
pub mod options;
pub mod oxenstored_conf;
pub mod pid_file;
pub mod rate_limit;
pub mod services;
pub mod signals;
pub mod socket;
pub mod syslog;
pub mod thrift;
pub mod timer;
