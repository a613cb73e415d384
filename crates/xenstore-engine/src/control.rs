//! Commands to the daemon (`CONTROL`).
//!
//! Scripts and `xenstore-control` read these texts, so their shape is that of the C
//! daemon. An unknown command is `EINVAL`: `xenstore-control` then asks for help.

use std::fmt::Write;

use xenstore_wire::text::{decimal, strings};
use xenstore_wire::{Domid, Errno};

use crate::engine::{EFFORT_PER_TURN, Engine};
use crate::operation::Reply;
use crate::outside::{Outside, TraceSwitch};
use crate::quota::Quota;
use crate::refusal::Refusal;

type Run = fn(&mut Engine, &[&[u8]], &mut Outside<'_>) -> Result<Reply, Refusal>;

/// A command: its name, what may follow, what it does.
struct Command {
    name: &'static str,
    parameters: &'static str,
    run: Run,
}

const COMMANDS: &[Command] = &[
    Command { name: "check", parameters: "", run: Engine::check },
    Command { name: "log", parameters: "[on|off|+<switch>|-<switch>]", run: Engine::log },
    Command { name: "logfile", parameters: "<file>", run: logfile },
    Command { name: "memreport", parameters: "[<file>]", run: Engine::memreport },
    Command { name: "print", parameters: "<string>", run: print },
    Command {
        name: "quota",
        parameters: "[set <name> <val>|<domid>|max [-r]]",
        run: Engine::quota,
    },
    Command { name: "quota-soft", parameters: "[set <name> <val>]", run: Engine::quota_soft },
    Command { name: "help", parameters: "", run: help },
];

impl Engine {
    /// Runs a command. `arguments` is all that follows the command's NUL.
    pub(crate) fn control(
        &mut self,
        command: &[u8],
        arguments: &[u8],
        outside: &mut Outside<'_>,
    ) -> Result<Reply, Refusal> {
        let known = COMMANDS.iter().find(|known| known.name.as_bytes() == command);
        let known = known.ok_or(Errno::Inval)?;
        let arguments: Vec<_> = strings(arguments).collect();
        (known.run)(self, &arguments, outside)
    }

    /// The C daemon repairs its database here. There is nothing to repair in a tree
    /// that cannot have orphans; that the accounts agree with a recount is checked.
    fn check(&mut self, arguments: &[&[u8]], _: &mut Outside<'_>) -> Result<Reply, Refusal> {
        let [] = arguments else { return Err(Errno::Inval.into()) };
        self.effort += EFFORT_PER_TURN + 1;
        if self.accounts_agree() { Ok(Reply::Done) } else { Err(Errno::Io.into()) }
    }

    fn log(&mut self, arguments: &[&[u8]], outside: &mut Outside<'_>) -> Result<Reply, Refusal> {
        let named = |name: &[u8]| {
            let mut all = TraceSwitch::ALL.iter().copied();
            all.find(|switch| switch.name().as_bytes() == name).ok_or(Errno::Inval)
        };
        match arguments {
            [] => {
                let mut settings = "Log switch settings:\n".to_owned();
                for &switch in TraceSwitch::ALL {
                    let state = if self.trace.contains(&switch) { "on" } else { "off" };
                    let _ = writeln!(settings, "{:<8}: {state}", switch.name());
                }
                return Ok(Reply::text(settings));
            }
            // On and off as a whole leave the switches as they are.
            [b"on"] => outside.daemon.set_tracing(true),
            [b"off"] => outside.daemon.set_tracing(false),
            [[b'+', name @ ..]] => {
                let switch = named(name)?;
                self.trace.insert(switch);
                outside.daemon.set_trace(switch, true);
            }
            [[b'-', name @ ..]] => {
                let switch = named(name)?;
                self.trace.remove(&switch);
                outside.daemon.set_trace(switch, false);
            }
            _ => return Err(Errno::Inval.into()),
        }
        Ok(Reply::Done)
    }

    fn memreport(
        &mut self,
        arguments: &[&[u8]],
        outside: &mut Outside<'_>,
    ) -> Result<Reply, Refusal> {
        let file = match arguments {
            [] => None,
            [file] => Some(*file),
            _ => return Err(Errno::Inval.into()),
        };
        self.effort += EFFORT_PER_TURN + 1;
        let report = self.memory_report();
        if !outside.daemon.report_memory(file, &report) {
            return Err(Errno::Inval.into());
        }
        Ok(Reply::Done)
    }

    fn memory_report(&self) -> String {
        let mut report = String::from("domid      nodes    watches transactions     memory\n");
        for (domid, domain) in self.domains.iter() {
            let now = |quota| domain.usage.now(quota);
            let _ = writeln!(
                report,
                "{domid:<5} {:>10} {:>10} {:>12} {:>10}",
                now(Quota::Nodes),
                now(Quota::Watches),
                now(Quota::Transactions),
                now(Quota::Memory),
            );
        }
        report
    }

    fn quota(&mut self, arguments: &[&[u8]], _: &mut Outside<'_>) -> Result<Reply, Refusal> {
        match arguments {
            [] => Ok(self.limits("Quota settings:\n", Quota::hard())),
            [b"set", name, value] => {
                let quota = Quota::from_name(name).filter(|&quota| quota != Quota::SoftMemory);
                self.set_limit(quota, value)
            }
            [b"max"] => Ok(self.peaks()),
            [b"max", b"-r"] => {
                let peaks = self.peaks();
                self.domains.reset_peak();
                Ok(peaks)
            }
            [domid] => self.usage(Domid::parse(domid).map_err(|_| Errno::Inval)?),
            _ => Err(Errno::Inval.into()),
        }
    }

    fn quota_soft(&mut self, arguments: &[&[u8]], _: &mut Outside<'_>) -> Result<Reply, Refusal> {
        match arguments {
            [] => Ok(self.limits("Soft quota settings:\n", [Quota::SoftMemory].into_iter())),
            // The one soft quota goes by the name of the hard one here.
            [b"set", b"memory", value] => self.set_limit(Some(Quota::SoftMemory), value),
            _ => Err(Errno::Inval.into()),
        }
    }

    fn limits(&self, heading: &str, quotas: impl Iterator<Item = Quota>) -> Reply {
        let mut settings = heading.to_owned();
        for quota in quotas {
            let name = if quota == Quota::SoftMemory { "memory" } else { quota.name() };
            let limit = self.domains.defaults.get(quota);
            let _ = writeln!(settings, "{name:<17}: {limit:>8} {}", quota.meaning());
        }
        Reply::text(settings)
    }

    /// Sets the limit of all domains without one of their own. Taking a limit away is
    /// left to `SET_QUOTA`.
    fn set_limit(&mut self, quota: Option<Quota>, value: &[u8]) -> Result<Reply, Refusal> {
        let quota = quota.ok_or(Errno::Inval)?;
        match decimal(value) {
            Ok(limit @ 1..) if i32::try_from(limit).is_ok() => {
                self.domains.defaults.set(quota, limit);
                self.limits_epoch += 1;
                Ok(Reply::Done)
            }
            _ => Err(Errno::Inval.into()),
        }
    }

    fn usage(&self, domid: Domid) -> Result<Reply, Refusal> {
        let usage = &self.domains.get(domid).ok_or(Errno::NoEnt)?.usage;
        let mut lines = format!("Domain {domid}:\n");
        for quota in Quota::hard() {
            let (now, most) = (usage.now(quota), usage.most(quota));
            let _ = writeln!(lines, "{quota:<17}: {now:>8} (max {most:>8})");
        }
        Ok(Reply::text(lines))
    }

    fn peaks(&self) -> Reply {
        let mut lines = "Max. seen accounting values:\n".to_owned();
        for quota in Quota::hard() {
            let peak = self.domains.peak(quota);
            let _ = writeln!(lines, "{quota:<17}: {peak:>8}");
        }
        Reply::text(lines)
    }
}

fn help(_: &mut Engine, arguments: &[&[u8]], _: &mut Outside<'_>) -> Result<Reply, Refusal> {
    let [] = arguments else { return Err(Errno::Inval.into()) };
    let mut help = String::new();
    for Command { name, parameters, .. } in COMMANDS {
        let _ = writeln!(help, "{name:<15} {parameters}");
    }
    Ok(Reply::text(help))
}

fn logfile(
    _: &mut Engine,
    arguments: &[&[u8]],
    outside: &mut Outside<'_>,
) -> Result<Reply, Refusal> {
    let [file] = arguments else { return Err(Errno::Inval.into()) };
    outside.daemon.set_log_file(file);
    Ok(Reply::Done)
}

fn print(_: &mut Engine, arguments: &[&[u8]], outside: &mut Outside<'_>) -> Result<Reply, Refusal> {
    let [line] = arguments else { return Err(Errno::Inval.into()) };
    outside.daemon.print(line);
    Ok(Reply::Done)
}
