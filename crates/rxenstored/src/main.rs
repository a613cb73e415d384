//! `rxenstored`: arguments, configuration, run.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use rxenstored::config::{Config, Environment};
use rxenstored::{daemon, options};

fn main() -> ExitCode {
    let options = match options::parse(std::env::args_os()) {
        Ok(options) => options,
        Err(early) => return options::report(&early),
    };
    let config = match Config::load(&options, Environment::from_process()) {
        Ok(config) => config,
        Err(error) => return daemon::report(&error),
    };
    match daemon::run(&config) {
        Ok(code) => code,
        Err(error) => daemon::report(&error),
    }
}
