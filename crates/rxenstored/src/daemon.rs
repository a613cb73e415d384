//! A run of the daemon from start to end.

use std::fmt::Write as _;
use std::io;
use std::process::ExitCode;
use std::time::SystemTime;

use thiserror::Error;

use crate::access_log::AccessLog;
use crate::config::{Config, Task};
use crate::daemonize::{Child, DaemonizeError, detach};
use crate::event_loop::{EventLoop, EventLoopError, Resources};
use crate::host::{self, HostError};
use crate::logging::Logging;
use crate::notify;
use crate::pid_file::{PidFile, PidFileError};
use crate::signals::Signals;
use crate::socket::{self, Listener, SocketError};

/// Why the daemon does not run, or not any more.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "each variant only says where its cause came from")]
pub enum RunError {
    #[error(transparent)]
    Daemonize(#[from] DaemonizeError),
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    PidFile(#[from] PidFileError),
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error("expected to receive signals")]
    Signals(#[source] io::Error),
    #[error(transparent)]
    EventLoop(#[from] EventLoopError),
}

/// Does what `config` says; returns at the end of the daemon, or for a daemon in the
/// background as soon as it serves.
///
/// # Errors
///
/// It cannot serve; see [`report`].
pub fn run(config: &Config) -> Result<ExitCode, RunError> {
    if config.task == Task::CheckConfiguration {
        return Ok(check(config));
    }
    let in_foreground = config.process.foreground;
    if in_foreground {
        return serve(config, None);
    }
    if Child::is_expected(config.process.daemonized_by.as_deref()) {
        return serve(config, Some(Child::begin()?));
    }
    Ok(detach(config.process.output_pid)?)
}

/// Prints an error with its causes on stderr.
pub fn report(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("rxenstored: {}", with_causes(error));
    ExitCode::FAILURE
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a String cannot fail.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

/// `--config-test`: the one case in which a problem in the file is fatal.
fn check(config: &Config) -> ExitCode {
    for problem in &config.problems {
        eprintln!("rxenstored: {problem}");
    }
    if !config.problems.is_empty() {
        return ExitCode::FAILURE;
    }
    match &config.paths.config_file {
        Some(path) => println!("Configuration valid at {}", path.display()),
        None => println!("Configuration valid: no file, built-in values"),
    }
    ExitCode::SUCCESS
}

fn serve(config: &Config, child: Option<Child>) -> Result<ExitCode, RunError> {
    let logging = Logging::start(config);
    report_oddities(config);
    let outcome = serve_until_told_to_leave(config, logging, child);
    match &outcome {
        Ok(()) => tracing::info!("leaving"),
        // `main` prints it on stderr, which is where the log may go itself.
        Err(error) if !config.process.foreground || config.logs.daemon_configured => {
            tracing::error!("{}", with_causes(error));
        }
        Err(_) => {}
    }
    outcome.map(|()| ExitCode::SUCCESS)
}

/// What was given and is not acted on, for whoever started it and for the log.
fn report_oddities(config: &Config) {
    let problems = config.problems.iter().map(ToString::to_string);
    for oddity in problems.chain(config.notices.iter().cloned()) {
        tracing::warn!("{oddity}");
        if !config.process.foreground || config.logs.daemon_configured {
            eprintln!("rxenstored: {oddity}");
        }
    }
}

fn serve_until_told_to_leave(
    config: &Config,
    logging: Logging,
    child: Option<Child>,
) -> Result<(), RunError> {
    let rings = host::open(&config.domains)?;
    let open_files = socket::raise_open_files();
    let signals = Signals::install().map_err(RunError::Signals)?;
    socket::make_directory(&config.paths.rundir)?;
    // The pid file comes before the socket: its lock decides between two daemons that
    // start at the same time.
    let pid_file = config.paths.pid_file.as_deref();
    let _pid_file = pid_file.map(PidFile::create).transpose()?;
    let socket = config.paths.socket.as_deref();
    let listener = socket.map(Listener::create).transpose()?;
    let access = config.logs.access.as_ref();
    let access_log = access.map(|settings| AccessLog::open(settings, SystemTime::now));
    let resources = Resources { rings, listener, open_files, signals, access_log, logging };
    let mut event_loop = EventLoop::new(config, resources)?;
    // Whoever is told of readiness may look into the log at once.
    tracing::info!(?open_files, "ready");
    announce(config, child);
    Ok(event_loop.run()?)
}

/// Tells everyone who waits that the daemon serves.
fn announce(config: &Config, child: Option<Child>) {
    if let Some(socket) = &config.process.notify_socket
        && let Err(error) = notify::ready(socket)
    {
        tracing::warn!(?socket, %error, "service manager cannot be told of readiness");
    }
    if let Some(child) = child {
        child.ready();
    }
}
