//! The command line of `xenstore`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::snapshot::file::Format;

/// Read, change and watch a Xen host's store.
#[derive(Parser, Debug)]
#[command(
    name = "xenstore",
    version,
    // Both are habits of the old tools that scripts may have.
    infer_long_args = true,
    args_override_self = true,
    disable_help_subcommand = true,
)]
pub(crate) struct Cli {
    /// Use the daemon's socket, or the kernel's device, at PATH
    #[arg(long, value_name = "PATH", global = true, display_order = 90)]
    pub(crate) socket: Option<PathBuf>,

    /// Accepted for the sake of old scripts; it chose between socket and device once
    #[arg(short = 's', global = true, hide = true)]
    _socket_only: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Subcommand, Debug)]
#[command(infer_long_args = true, args_override_self = true)]
pub(crate) enum Command {
    /// Print values of nodes
    #[command(args_override_self = true)]
    Read {
        /// Print each path, a colon and a blank before its value
        #[arg(short, long)]
        prefix: bool,
        /// Print values as they are: no escapes, no line end
        #[arg(short = 'R', long)]
        raw: bool,
        #[command(flatten)]
        paths: Paths,
    },

    /// Set values of nodes, all or none
    #[command(args_override_self = true)]
    Write {
        /// Write values as they are: a backslash is a backslash
        #[arg(short = 'R', long)]
        raw: bool,
        /// Paths and the values to write there; \n, \t, \r, \\, \ooo and \xhh stand for bytes
        #[arg(required = true, num_args = 2.., value_names = ["PATH", "VALUE"])]
        pairs: Vec<OsString>,
    },

    /// Succeed if all nodes exist
    #[command(args_override_self = true)]
    Exists {
        #[command(flatten)]
        paths: Paths,
    },

    /// Print names of nodes' children
    #[command(args_override_self = true)]
    List {
        /// Print the parent's path and a slash before each name
        #[arg(short, long)]
        prefix: bool,
        #[command(flatten)]
        paths: Paths,
    },

    /// Print a tree of names, values and permissions
    #[command(args_override_self = true)]
    Ls {
        /// Print whole paths instead of an indented tree
        #[arg(short, long)]
        flat: bool,
        /// Print permissions too
        #[arg(short, long)]
        prefix: bool,
        /// Cut no value to fit the screen
        #[arg(short, long)]
        wide: bool,
        /// Where to begin
        #[arg(value_name = "PATH", default_value = "/")]
        paths: Vec<OsString>,
    },

    /// Remove nodes with all below them, all or none
    #[command(args_override_self = true)]
    Rm {
        /// Also remove ancestors left with neither value nor children
        #[arg(short, long)]
        tidy: bool,
        #[command(flatten)]
        paths: Paths,
    },

    /// Replace permissions of nodes
    #[command(args_override_self = true)]
    Chmod {
        /// Also those of all nodes below
        #[arg(short, long)]
        recurse: bool,
        /// Also those of all nodes above, but the root
        #[arg(short, long)]
        upto: bool,
        /// The node
        path: OsString,
        /// A letter (n none, r read, w write, b both) and a domain; the first entry
        /// names the owner and what domains not listed may do
        #[arg(required = true)]
        permissions: Vec<String>,
    },

    /// Print paths as they change
    #[command(args_override_self = true)]
    Watch {
        /// End after COUNT events; the first per path says that it is watched
        #[arg(short, long, value_name = "COUNT", allow_hyphen_values = true)]
        number: Option<OsString>,
        #[command(flatten)]
        paths: Paths,
    },

    /// Write a subtree as it is at one moment to standard output
    ///
    /// JSON, the default, has one node per line, parents before children, and keeps
    /// values of any bytes, permissions and the order of children. The text format is
    /// what `xenstore-ls -f` prints: it leaves out the subtree's top and, without
    /// --permissions, those. That of a node without children is empty, and no dump to
    /// load.
    ///
    /// The subtree is read in one transaction. With a daemon whose transactions are
    /// no snapshots it is read again, a few times at most, if it changed meanwhile.
    #[command(args_override_self = true)]
    Dump {
        /// json keeps everything; text is what `xenstore-ls -f` prints
        #[arg(long, value_enum, default_value_t = Format::Json)]
        format: Format,
        /// Write permissions in the text format too
        #[arg(short, long)]
        permissions: bool,
        /// Count nodes on standard error even if that is no terminal
        #[arg(long)]
        progress: bool,
        /// The subtree's top
        #[arg(default_value = "/")]
        path: OsString,
    },

    /// Make the store be like a dump, touching only what differs
    ///
    /// Takes both formats of dump, and what `xenstore-ls -f` printed. Everything is
    /// done in one transaction unless --batch is given: all of it or nothing. Nodes
    /// that are right already are not written, so nobody is told that they changed.
    ///
    /// What is no dump, or one without any node, is refused with exit status 2.
    #[command(args_override_self = true)]
    Load(Load),

    /// Compare a dump with another or with the store; exit 0 same, 1 different, 2 trouble
    ///
    /// Prints one line per difference: - gone, + new, ~ changed. What one side does
    /// not know, as permissions in a text without them, is no difference; neither is
    /// the order of children.
    #[command(args_override_self = true)]
    Diff {
        /// Print the differences as JSON
        #[arg(long)]
        json: bool,
        /// Count nodes on standard error even if that is no terminal
        #[arg(long)]
        progress: bool,
        /// The older dump; - is standard input
        old: PathBuf,
        /// The newer dump; the store if left out
        new: Option<PathBuf>,
    },

    /// Send a command to the daemon itself; `help` lists them
    #[command(disable_help_flag = true)]
    Control {
        /// The command
        command: String,
        /// Its arguments, dashes and all
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },

    /// Print a script that completes this command line
    #[command(hide = true)]
    Completions {
        /// For which shell
        shell: Shell,
    },

    /// Write the manual pages into a directory
    #[command(hide = true)]
    Man {
        /// Where to
        directory: PathBuf,
    },
}

/// Paths to do something with.
#[derive(Args, Debug)]
pub(crate) struct Paths {
    /// Paths of nodes, from the root or from the own domain's home
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
}

/// How to load a dump.
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line")]
#[derive(Args, Debug)]
pub(crate) struct Load {
    /// Leave nodes alone that the dump does not have (the default)
    #[arg(long, conflicts_with = "replace")]
    pub(crate) merge: bool,
    /// Remove nodes below the dump's top that the dump does not have
    #[arg(long)]
    pub(crate) replace: bool,
    /// Leave permissions alone
    #[arg(long)]
    pub(crate) no_permissions: bool,
    /// Make at most N changes per transaction, for daemons that allow no more; then
    /// others may see some of them before the rest
    #[arg(long, value_name = "N")]
    pub(crate) batch: Option<std::num::NonZeroUsize>,
    /// The dump's format, if its first character does not tell
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    /// Count nodes on standard error even if that is no terminal
    #[arg(long)]
    pub(crate) progress: bool,
    /// The dump; - is standard input
    #[arg(default_value = "-")]
    pub(crate) file: PathBuf,
}

/// Subcommands by what they are for: the order of the help.
const GROUPS: [(&str, &[&str]); 4] = [
    ("Nodes", &["read", "write", "exists", "list", "ls", "rm", "chmod"]),
    ("Changes", &["watch"]),
    ("Subtrees", &["dump", "load", "diff"]),
    ("The daemon", &["control"]),
];

/// The command line, its help grouped.
pub(crate) fn command() -> clap::Command {
    let mut command = Cli::command();
    let mut groups = Vec::new();
    for (title, names) in GROUPS {
        groups.push(format!("{title}:"));
        for &name in names {
            let about = command
                .find_subcommand_mut(name)
                .and_then(|found| found.get_about())
                .map(ToString::to_string);
            groups.push(format!("  {name:<9}{}", about.unwrap_or_default()));
        }
        groups.push(String::new());
    }
    let groups = groups.join("\n");
    command = command.help_template(format!(
        "{{about}}\n\n{{usage-heading}} {{usage}}\n\n{groups}\nOptions:\n{{options}}{{after-help}}"
    ));
    command.after_help(
        "xenstore COMMAND --help says more of each. Called xenstore-read, xenstore-write and\n\
         so on, it is as the old tool of that name, option by option.\n\n\
         The store is the socket or device that XENSTORED_PATH names, else `socket` in the\n\
         directory that XENSTORED_RUNDIR names or in /run/xenstored, else /dev/xen/xenbus.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound_and_the_help_names_every_command() {
        command().debug_assert();
        let shown = command();
        let shown = shown.get_subcommands().filter(|found| !found.is_hide_set());
        let shown: Vec<_> = shown.map(clap::Command::get_name).collect();
        let grouped: Vec<_> = GROUPS.iter().flat_map(|(_, names)| *names).collect();
        assert_eq!(shown.len(), grouped.len());
        assert!(shown.iter().all(|name| grouped.contains(&name)));
    }
}
