//! `xenstore`: the tools people type.
//!
//! Called by the name of one of the old tools (`xenstore-read` and so on) it takes
//! that tool's options and gives its output and exit codes, for the scripts that
//! depend on them. Called `xenstore` it offers the same and more as subcommands.

#![forbid(unsafe_code)]

mod args;
mod classic;
mod commands;
mod failure;
mod getopt;
mod manual;
mod number;
mod old_names;
mod progress;
mod snapshot;
mod value;

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use failure::Failure;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let called = arguments.next().unwrap_or_else(|| "xenstore".into());
    let program = base_name(&called);
    let result = match old_names::Tool::from_program(&program) {
        Some(tool) => old_names::run(tool, &program, &called, arguments),
        None => commands::run(std::iter::once(called).chain(arguments)),
    };
    report(&program, result)
}

/// Says what went wrong, and turns it into an exit code.
fn report(program: &str, result: Result<(), Failure>) -> ExitCode {
    let Err(failure) = result else {
        return ExitCode::SUCCESS;
    };
    if let Some(text) = failure.text(program) {
        // Where complaints cannot be written, the exit code has to do.
        let _ = write!(std::io::stderr(), "{text}");
    }
    ExitCode::from(failure.exit_code())
}

fn base_name(called: &OsString) -> String {
    Path::new(called)
        .file_name()
        .map_or_else(|| "xenstore".to_owned(), |name| name.to_string_lossy().into_owned())
}
