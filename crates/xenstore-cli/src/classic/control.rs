//! `control`: commands to the daemon itself.

use std::io::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

use xenstore_client::wire::Errno;
use xenstore_client::{Client, Error, Store};

use crate::failure::{Failure, system_number, system_text};
use crate::number::leading;

/// Where a daemon that is a domain of its own says so.
const STORE_DOMAIN: &str = "/tool/xenstored/domid";

/// How long a live update may take unless told otherwise, in seconds.
const DEFAULT_TIMEOUT: u32 = 60;

/// Sends a command and prints the answer.
pub(crate) fn control(
    client: &mut Client,
    command: &str,
    arguments: &[String],
) -> Result<(), Failure> {
    if command == "live-update" {
        return live_update(client, arguments);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match client.control(command, &arguments) {
        Ok(text) if text.is_empty() => Ok(()),
        Ok(text) => {
            let mut stdout = std::io::stdout().lock();
            writeln!(stdout, "{text}")?;
            stdout.flush()?;
            Ok(())
        }
        Err(error) => Err(not_done(client, &error)),
    }
}

/// What to say of a command that was refused: what the daemon offers instead, if it
/// does not know the command.
fn not_done(client: &mut Client, error: &Error) -> Failure {
    let text = if error.errno() == Some(Errno::Inval) {
        match client.control("help", &[]) {
            Ok(help) => format!("Command not supported. Valid commands are:\n{help}\n"),
            Err(_) => "Error when executing command.\n".to_owned(),
        }
    } else {
        let number = system_number(error);
        format!("Error {number} when trying to execute command.\n")
    };
    Failure::Verbatim { text, code: 3 }
}

/// What a daemon says that cannot start the update yet.
const BUSY: &str = "BUSY";

/// What a live update was asked to be.
#[derive(Debug, Default, PartialEq, Eq)]
struct LiveUpdate {
    file: String,
    command_line: Option<String>,
    timeout: Option<u32>,
    force: bool,
}

impl LiveUpdate {
    /// Reads `[-c CMDLINE] [-F] [-t SECONDS] FILE`.
    fn parse(arguments: &[String]) -> Result<Self, Failure> {
        let mut update = Self::default();
        let mut left = arguments.iter();
        while let Some(argument) = left.next() {
            match argument.as_str() {
                "-c" => {
                    let line = left.next().ok_or(missing("command line value"))?;
                    update.command_line = Some(line.clone());
                }
                "-t" => {
                    let seconds = left.next().ok_or(missing("timeout value"))?;
                    update.timeout = Some(leading(seconds));
                }
                "-F" => update.force = true,
                file => file.clone_into(&mut update.file),
            }
        }
        if update.file.is_empty() {
            return Err(missing("binary specification"));
        }
        Ok(update)
    }
}

fn missing(what: &str) -> Failure {
    Failure::Verbatim { text: format!("Missing {what}\n"), code: 2 }
}

/// Has the daemon replace itself by another binary: names it, then starts the update
/// and asks again for as long as the daemon is busy. What fails is called off.
fn live_update(client: &mut Client, arguments: &[String]) -> Result<(), Failure> {
    let update = LiveUpdate::parse(arguments)?;
    if client.read(STORE_DOMAIN).is_ok() {
        // Its new binary would have to go through the hypervisor's domain builder.
        return Err(Failure::Verbatim {
            text: "live update of a xenstore domain is not supported\n".to_owned(),
            code: 1,
        });
    }
    step(client, &["-f", &update.file]).map_err(|why| binary_refused(&why))?;
    let called_off = |client: &mut Client, failure| {
        let _ = client.control("live-update", &["-a"]);
        failure
    };
    if let Some(line) = &update.command_line {
        step(client, &["-c", line]).map_err(|why| called_off(client, binary_refused(&why)))?;
    }
    start(client, &update).map_err(|why| {
        let text = format!("Starting live update failed:\n{why}\n");
        called_off(client, Failure::Verbatim { text, code: 3 })
    })
}

fn binary_refused(why: &str) -> Failure {
    Failure::Verbatim { text: format!("Setting update binary failed:\n{why}\n"), code: 3 }
}

/// Asks once a second for as long as the daemon is busy and there is time.
fn start(client: &mut Client, update: &LiveUpdate) -> Result<(), String> {
    let seconds = update.timeout.unwrap_or(DEFAULT_TIMEOUT);
    let timeout = seconds.to_string();
    let mut arguments = vec!["-s", "-t", &timeout];
    if update.force {
        arguments.push("-F");
    }
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(seconds.into()) {
        match step(client, &arguments) {
            Err(why) if why == BUSY => sleep(Duration::from_secs(1)),
            result => return result,
        }
    }
    Err(BUSY.to_owned())
}

/// One command of the update. The daemon answers `OK`, or with what is in the way.
fn step(client: &mut Client, arguments: &[&str]) -> Result<(), String> {
    match client.control("live-update", arguments) {
        Ok(text) if text == "OK" => Ok(()),
        Ok(text) => Err(text),
        Err(error) => Err(system_text(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<LiveUpdate, Failure> {
        let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        LiveUpdate::parse(&words)
    }

    #[test]
    fn a_live_update_names_a_binary() {
        let update = parsed("-c -x /bin/a -F -t 5").unwrap();
        assert_eq!(update.file, "/bin/a");
        assert_eq!(update.command_line.as_deref(), Some("-x"));
        assert_eq!((update.timeout, update.force), (Some(5), true));
        for (line, said) in [
            ("", "Missing binary specification\n"),
            ("-c", "Missing command line value\n"),
            ("-t", "Missing timeout value\n"),
        ] {
            let failure = parsed(line).unwrap_err();
            assert_eq!(failure.text("x").as_deref(), Some(said));
            assert_eq!(failure.exit_code(), 2);
        }
    }
}
