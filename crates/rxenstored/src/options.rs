//! The command line: every option of C xenstored and of oxenstored in one command.
//!
//! Both daemons are started by scripts that are not ours (`launch-xenstore`, with
//! `XENSTORED_ARGS` from the administrator's configuration), so whatever either of
//! them accepts is accepted here, abbreviated and repeated options included. What
//! neither of them knows is an error.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use clap::{ArgAction, CommandFactory, Parser, ValueEnum};
use xenstore_engine::TraceSwitch;

use crate::config::Host;
use crate::limits::{QuotaSetting, SoftQuotaSetting, TimeoutSetting};

const TRANSACTIONS: &str = "Transactions";
const WITHOUT_EFFECT: &str = "Rings of guests (without effect)";

/// What was asked for on the command line, before any default is applied.
#[derive(Debug, Default, Parser)]
#[command(
    name = "rxenstored",
    version,
    about = "The store of a Xen host: a replacement for xenstored and oxenstored",
    disable_help_flag = true,
    disable_version_flag = true,
    args_override_self = true,
    infer_long_args = true
)]
#[expect(clippy::struct_excessive_bools, reason = "one field per flag")]
pub struct Options {
    /// Print this text; together with --live check the configuration instead.
    // A plain flag and not clap's own action: a running oxenstored vets its
    // successor with `--live --restart ... --help`, which must look at the rest.
    #[arg(short = 'H', short_alias = 'h', long)]
    pub help: bool,
    /// Print the version.
    #[arg(long, action = ArgAction::Version)]
    version: Option<bool>,
    /// Write the process id to this file and keep it locked.
    #[arg(short = 'F', long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
    /// Stay in the foreground.
    #[arg(short = 'N', long)]
    pub no_fork: bool,
    /// Print the process id of the daemon once it is ready.
    #[arg(short = 'P', long)]
    pub output_pid: bool,
    /// Read this configuration file instead of /etc/xen/oxenstored.conf.
    #[arg(long, value_name = "FILE")]
    pub config_file: Option<PathBuf>,
    /// Check the configuration and exit.
    #[arg(long)]
    pub config_test: bool,
    /// The host to serve: xen, unless set, or sim:DIR for one that is simulated in the
    /// files of a directory.
    #[arg(long, value_name = "HOST")]
    pub host: Option<Host>,
    /// Serve sockets only: no domain reaches the store through a ring.
    #[arg(short = 'D', long)]
    pub no_domain_init: bool,
    /// Do not create the socket.
    #[arg(long)]
    pub disable_socket: bool,

    /// Nodes a domain may own (0: no limit, as for all quotas).
    #[arg(short = 'E', long, value_name = "N", help_heading = "Quotas")]
    pub entry_nb: Option<u32>,
    /// Bytes a node may hold.
    #[arg(short = 'S', long, value_name = "N", help_heading = "Quotas")]
    pub entry_size: Option<u32>,
    /// Watches a domain may register.
    #[arg(short = 'W', long, value_name = "N", help_heading = "Quotas")]
    pub watch_nb: Option<u32>,
    /// Transactions a domain may have open.
    #[arg(short = 't', long, value_name = "N", help_heading = "Quotas")]
    pub transaction: Option<u32>,
    /// Permissions a node may have.
    #[arg(short = 'A', long, value_name = "N", help_heading = "Quotas")]
    pub perm_nb: Option<u32>,
    /// Bytes a path may have; more than 2048 counts as 2048.
    #[arg(short = 'M', long, value_name = "N", help_heading = "Quotas")]
    pub path_max: Option<u32>,
    /// Any quota by name: nodes, watches, transactions, transaction-nodes,
    /// node-permissions, path-max, node-size, outstanding (replies a domain may leave
    /// unread before its requests wait), memory (bytes of all it makes the daemon hold).
    #[arg(short = 'Q', long, value_name = "NAME=N", help_heading = "Quotas")]
    pub quota: Vec<QuotaSetting>,
    /// From how much on a domain's memory is noted in the log: memory.
    #[arg(short = 'q', long, value_name = "NAME=N", help_heading = "Quotas")]
    pub quota_soft: Vec<SoftQuotaSetting>,

    /// Requests a domain may have in one transaction (0: no limit).
    #[arg(long, value_name = "N", help_heading = TRANSACTIONS)]
    pub requests_per_transaction: Option<u32>,
    /// How long a transaction may be open (0: for ever). After that it is gone.
    #[arg(long, value_name = "SECONDS", help_heading = TRANSACTIONS)]
    pub longest_transaction: Option<u32>,
    /// How long others wait at most for a transaction that failed before, so that it
    /// does not fail again (0: they never do).
    #[arg(long, value_name = "MILLISECONDS", help_heading = TRANSACTIONS)]
    pub longest_protection: Option<u32>,

    /// Keep the nodes of a domain that is gone, owned by the control domain.
    #[arg(short = 'K', long, help_heading = "Domains")]
    pub keep_orphans: bool,
    /// The control domain.
    #[arg(short = 'p', long, value_name = "DOMID", help_heading = "Domains")]
    pub priv_domid: Option<u16>,

    /// The domain the store itself runs in: always the one whose kernel has its ring.
    #[arg(short = 'm', long, value_name = "DOMID", help_heading = WITHOUT_EFFECT)]
    pub master_domid: Option<u16>,
    /// Event channel of domain 0, for a store in a domain of its own: the kernel says it.
    #[arg(short = 'e', long, value_name = "PORT", help_heading = WITHOUT_EFFECT)]
    pub event: Option<u32>,
    /// How long an event may wait to be read: watch-event. Unread events are bounded by
    /// memory, and none has to be thrown away.
    #[arg(short = 'w', long, value_name = "NAME=SECONDS", help_heading = WITHOUT_EFFECT)]
    pub timeout: Vec<TimeoutSetting>,

    /// Write every request to this file, in the access log's format.
    #[arg(short = 'T', long, value_name = "FILE", help_heading = "Logs")]
    pub trace_file: Option<PathBuf>,
    /// Switch a part of the trace on or off: +io, -io; obj, wrl, acc, tdb have no effect.
    #[arg(long, value_name = "+|-SWITCH", allow_hyphen_values = true, help_heading = "Logs")]
    pub trace_control: Vec<TraceControl>,
    /// Do not write the access log.
    #[arg(long, help_heading = "Logs")]
    pub no_access_log: bool,
    /// Log everything from level debug up.
    #[arg(short = 'V', long, help_heading = "Logs")]
    pub verbose: bool,
    /// Log from this level up.
    #[arg(long, value_name = "LEVEL", help_heading = "Logs")]
    pub log_level: Option<LogLevel>,
    /// How lines of the log are written.
    #[arg(long, value_name = "FORMAT", help_heading = "Logs")]
    pub log_format: Option<LogFormat>,

    /// Take over from a running C xenstored (not supported yet).
    #[arg(short = 'U', long, help_heading = "Live update")]
    pub live_update: bool,
    /// Take over from a running oxenstored (not supported yet).
    #[arg(long, help_heading = "Live update")]
    pub live: bool,
    /// Read a saved store (not supported yet).
    #[arg(long, help_heading = "Live update")]
    pub restart: bool,

    /// Accepted without effect.
    #[arg(short = 'R', long, help_heading = "Obsolete")]
    pub no_recovery: bool,
    /// Accepted without effect.
    #[arg(short = 'L', long, help_heading = "Obsolete")]
    pub preserve_local: bool,
    /// Accepted without effect: the store is always kept in memory.
    #[arg(short = 'I', long, value_name = "on|off", num_args = 0..=1,
          default_missing_value = "on", help_heading = "Obsolete")]
    pub internal_db: Option<String>,
    /// Accepted without effect.
    #[arg(long, help_heading = "Obsolete")]
    pub reraise_top_level: bool,
}

impl Options {
    /// A notice for each given option that other daemons act on and this one does not.
    pub fn without_effect(&self) -> impl Iterator<Item = String> {
        const OBSOLETE: &str = "obsolete";
        let options = [
            (self.no_recovery, "--no-recovery", OBSOLETE),
            (self.preserve_local, "--preserve-local", OBSOLETE),
            (self.internal_db.is_some(), "--internal-db", OBSOLETE),
            (self.reraise_top_level, "--reraise-top-level", OBSOLETE),
            (self.master_domid.is_some(), "--master-domid", "the kernel's ring says it"),
            (self.event.is_some(), "--event", "the kernel says which port"),
            (!self.timeout.is_empty(), "--timeout", "unread events need not be thrown away"),
        ];
        let given = options.into_iter().filter(|(given, ..)| *given);
        given.map(|(_, name, reason)| format!("{name}: no effect, {reason}"))
    }
}

/// A level of the log; `null` is oxenstored's word for none at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Nothing is logged.
    Null,
    /// What the daemon could not do.
    Error,
    /// What an administrator should know.
    Warn,
    /// What happens seldom.
    Info,
    /// What helps a developer.
    Debug,
}

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// `+switch` or `-switch` of `--trace-control`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceControl {
    /// The part of the trace it concerns.
    pub switch: TraceSwitch,
    /// On or off.
    pub on: bool,
}

impl FromStr for TraceControl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (on, switch) = match text.split_at_checked(1) {
            Some(("+", switch)) => (true, switch),
            Some(("-", switch)) => (false, switch),
            _ => return Err(format!("expected + or - and a switch, found \"{text}\"")),
        };
        let known = TraceSwitch::ALL.iter().find(|known| known.name() == switch);
        known.map(|&switch| Self { switch, on }).ok_or_else(|| {
            format!("expected one of io, obj, wrl, acc, tdb after + or -, found \"{switch}\"")
        })
    }
}

/// What ends a start before it begins.
#[derive(Debug)]
pub enum Early {
    /// `--help`, and its text.
    Help(String),
    /// `--version`, or wrong usage.
    Other(clap::Error),
}

/// Reads the command line, the program's name first.
///
/// # Errors
///
/// Wrong usage, and what ends a start early without being wrong; [`report`] prints
/// either.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Options, Early> {
    let args = args.into_iter().map(|arg| {
        // OCaml's argument parser, and so oxenstored, takes this spelling too.
        if arg == OsStr::new("-help") { OsString::from("--help") } else { arg }
    });
    let options = Options::try_parse_from(args).map_err(Early::Other)?;
    if options.help && !options.live {
        return Err(Early::Help(Options::command().render_help().to_string()));
    }
    Ok(options)
}

/// Prints what ended a start: help and version on stdout with status 0, errors on
/// stderr with status 2.
pub fn report(early: &Early) -> ExitCode {
    // With stdout or stderr closed there is nobody left to tell.
    match early {
        Early::Help(text) => {
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Early::Other(error) => {
            let _ = error.print();
            ExitCode::from(if error.use_stderr() { 2 } else { 0 })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xenstore_engine::Quota;

    fn options(line: &str) -> Result<Options, Early> {
        parse(format!("rxenstored {line}").split_whitespace().map(OsString::from))
    }

    #[test]
    fn the_command_is_well_formed() {
        Options::command().debug_assert();
    }

    #[test]
    fn options_of_c_xenstored() {
        let given = options(
            "-F /p -N -T /t --trace-control=+io --trace-control -obj -E 1 -S 2 -W 3 -t 4 -A 5 \
             -M 6 -Q nodes=7 --quota memory=0 -q memory=8 -w watch-event=9 -K -m 1 -p 2 -e 3 -U",
        )
        .unwrap();
        assert_eq!(given.pid_file, Some("/p".into()));
        assert!(given.no_fork && given.keep_orphans && given.live_update);
        assert_eq!([given.entry_nb, given.entry_size, given.watch_nb], [Some(1), Some(2), Some(3)]);
        assert_eq!([given.transaction, given.perm_nb, given.path_max], [Some(4), Some(5), Some(6)]);
        assert_eq!(given.quota.len(), 2);
        assert_eq!(given.quota[0].quota, Quota::Nodes);
        assert_eq!(
            given.trace_control,
            [
                TraceControl { switch: TraceSwitch::Io, on: true },
                TraceControl { switch: TraceSwitch::Objects, on: false }
            ]
        );
        assert_eq!(given.priv_domid, Some(2));
        assert_eq!(given.without_effect().count(), 3, "-w, -m and -e");
    }

    #[test]
    fn long_names_of_older_c_daemons() {
        let given =
            options("--transaction=32 --watch-nb=512 --entry-nb 9 -V -R -L -I off").unwrap();
        assert_eq!(given.transaction, Some(32));
        assert_eq!(given.watch_nb, Some(512));
        assert!(given.verbose);
        assert_eq!(given.without_effect().count(), 3);
    }

    #[test]
    fn options_of_oxenstored() {
        let given = options(
            "--no-domain-init --config-file /c --no-fork --reraise-top-level --no-access-log \
             --pid-file /p -T /t --restart --live --config-test --disable-socket --help",
        )
        .unwrap();
        assert!(given.live && given.restart && given.help && given.config_test);
        assert!(given.disable_socket && given.no_access_log && given.no_domain_init);
        assert_eq!(given.config_file, Some("/c".into()));
    }

    #[test]
    fn help_in_every_spelling() {
        for spelling in ["-h", "-H", "--help", "-help"] {
            let Err(Early::Help(text)) = options(spelling) else {
                panic!("{spelling} is not understood");
            };
            assert!(text.contains("--no-domain-init"));
        }
    }

    #[test]
    fn the_last_of_repeated_options_counts_and_names_may_be_short() {
        assert_eq!(options("-t 1 --trans 2").unwrap().transaction, Some(2));
        assert!(options("--no-fork -N").unwrap().no_fork);
    }

    #[test]
    fn what_nobody_knows_is_an_error() {
        for line in [
            "--bogus",
            "extra",
            "-E x",
            "-E -1",
            "-Q nods=1",
            "-q nodes=1",
            "-w x=1",
            "--trace-control=io",
            "--trace-control=+x",
            "-m 65536",
            "--pid-file",
        ] {
            let early = options(line).unwrap_err();
            assert!(matches!(early, Early::Other(error) if error.use_stderr()), "{line}");
        }
    }

    #[test]
    fn every_option_is_in_the_man_page() {
        let page = include_str!("../../../docs/man/rxenstored.8");
        for argument in Options::command().get_arguments() {
            let long = argument.get_long().unwrap();
            assert!(page.contains(&format!("Fl -{long}")), "--{long} is missing");
            if let Some(short) = argument.get_short() {
                assert!(page.contains(&format!("Fl {short} ")), "-{short} is missing");
            }
        }
    }
}
