//! On what and with what was measured: a figure says little without it.
//!
//! Neither paths nor the name of the machine are told, since reports are published.

use std::fs;
use std::process::Command;

use xenstore_oracle::daemon::rxenstored_program;

use crate::target::Target;

/// The package that holds Debian's daemons.
const PACKAGE: &str = "xen-utils-4.17";

/// What there is to know of the machine, as name and value.
pub fn facts() -> Vec<(&'static str, String)> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processors = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let memory = value_of("/proc/meminfo", "MemTotal");
    let kilobytes = memory.and_then(|text| text.strip_suffix(" kB")?.trim().parse::<u64>().ok());
    let memory = kilobytes
        .map_or_else(|| "unknown".to_owned(), |kilobytes| format!("{} MiB", kilobytes / 1024));
    let model = value_of("/proc/cpuinfo", "model name");
    let model = model.unwrap_or_else(|| format!("unknown ({})", std::env::consts::ARCH));
    let date = said_by(Command::new("date").args(["-u", "+%Y-%m-%d"]));
    vec![
        ("Date", date.unwrap_or_else(|| "unknown".to_owned())),
        ("Processor", format!("{processors} x {model}")),
        ("Memory", memory),
        ("Kernel", format!("Linux {}", kernel.trim())),
    ]
}

/// The version of a daemon; of the echo server, what it is.
pub fn version(target: Target) -> String {
    let version = match target {
        Target::Rxenstored => own(),
        Target::C | Target::Oxenstored => package(),
        Target::Echo => Some("no store: it only answers".to_owned()),
    };
    version.unwrap_or_else(|| "unknown version".to_owned())
}

fn package() -> Option<String> {
    let mut query = Command::new("dpkg-query");
    let version = said_by(query.args(["-W", "-f", "${Version}", PACKAGE]))?;
    Some(format!("Debian's {PACKAGE} {version}"))
}

/// What the program says of itself, and the commit it was most likely made from.
fn own() -> Option<String> {
    let version = said_by(Command::new(rxenstored_program()).arg("--version"))?;
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        said_by(git.args(["-C", env!("CARGO_MANIFEST_DIR")]).args(arguments))
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return Some(version) };
    let sources = [":/crates", ":/Cargo.lock", ":/Cargo.toml"];
    let changes =
        git(&[&["status", "--porcelain", "--untracked-files=no", "--"][..], &sources].concat());
    let mark = if changes.is_some_and(|changes| changes.is_empty()) { "" } else { ", changed" };
    Some(format!("{version} ({commit}{mark})"))
}

/// What a program says on its standard output, if it succeeds.
fn said_by(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// What stands behind a name and a colon.
fn value_of(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    lines
        .into_iter()
        .find_map(|(found, value)| (found.trim() == name).then(|| value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_the_memory() {
        assert!(value_of("/proc/meminfo", "MemTotal").unwrap().ends_with(" kB"));
        assert_eq!(value_of("/proc/meminfo", "Nothing of that name"), None);
    }
}
