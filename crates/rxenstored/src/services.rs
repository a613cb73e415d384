//! What the engine asks of the daemon around it: logs.

use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use xenstore_engine::{Daemon, Incident, Origin, TraceSwitch};
use xenstore_host::ConnectError;
use xenstore_wire::Domid;

use crate::access_log::AccessLog;
use crate::log_file;
use crate::rate_limit::RateLimit;

/// Where relative log names lie (as with C xenstored).
const LIBRARY_DIRECTORY: &str = "/var/lib/xen/xenstore";

/// The daemon as the engine sees it.
#[derive(Debug)]
pub struct Services {
    access_log: Option<AccessLog>,
    /// Whether there is a trace at all (`CONTROL log on|off`).
    tracing: bool,
    /// Whether requests are in it (`CONTROL log +io|-io`).
    requests: bool,
    limit_messages: RateLimit<(Domid, &'static str)>,
}

impl Services {
    /// With an access log or without.
    pub fn new(access_log: Option<AccessLog>) -> Self {
        Self { access_log, tracing: true, requests: true, limit_messages: RateLimit::default() }
    }

    /// Opens the access log anew.
    pub fn reopen(&mut self) {
        if let Some(log) = &mut self.access_log {
            log.reopen();
        }
    }

    /// A guest's ring is not served any more. A guest can have that as often as it likes.
    pub fn ring_given_up(&mut self, domid: Domid, why: &dyn Display) {
        if let Some(suppressed) = self.limit_messages.check((domid, "ring"), Instant::now()) {
            tracing::warn!(domid = domid.get(), %why, suppressed, "ring given up");
        }
    }

    /// The event channels refuse something, perhaps in every round; there is nobody to tell
    /// it to.
    pub fn event_channels_refuse(&mut self, what: &'static str, error: &io::Error) {
        if let Some(suppressed) = self.limit_messages.check((Domid::SELF, what), Instant::now()) {
            tracing::error!(%error, suppressed, "event channels {what}");
        }
    }

    /// Writes out what was logged in this turn.
    pub fn flush(&mut self) {
        if let Some(log) = &mut self.access_log {
            log.flush();
        }
    }
}

/// A file as a client names it.
fn log_path(name: &[u8]) -> PathBuf {
    Path::new(LIBRARY_DIRECTORY).join(std::ffi::OsStr::from_bytes(name))
}

impl Daemon for Services {
    fn print(&mut self, text: &[u8]) {
        tracing::info!(text = %text.escape_ascii(), "print");
        if let Some(log) = &mut self.access_log {
            log.print(text);
        }
    }

    fn set_log_file(&mut self, file: &[u8]) {
        // An empty name is how a script says "nowhere".
        self.access_log = match file {
            [] => None,
            _ => Some(AccessLog::trace(&log_path(file))),
        };
    }

    fn report_memory(&mut self, file: Option<&[u8]>, report: &str) -> bool {
        let Some(file) = file else {
            let Some(log) = &mut self.access_log else {
                return false;
            };
            report.lines().for_each(|line| log.print(line.as_bytes()));
            return true;
        };
        let path = log_path(file);
        let opened = log_file::open(&path);
        let written = opened.and_then(|mut file| file.write_all(report.as_bytes()));
        written
            .inspect_err(|error| tracing::warn!(%error, ?path, "memory report cannot be written"))
            .is_ok()
    }

    fn set_tracing(&mut self, on: bool) {
        self.tracing = on;
    }

    fn set_trace(&mut self, switch: TraceSwitch, on: bool) {
        // Requests and replies are what the access log has; the other switches are
        // remembered for whoever asks, and choose nothing.
        if switch == TraceSwitch::Io {
            self.requests = on;
        }
    }

    fn limit_refused(&mut self, domid: Domid, what: &'static str, wanted: u64, limit: u32) {
        if let Some(suppressed) = self.limit_messages.check((domid, what), Instant::now()) {
            tracing::warn!(domid = domid.get(), what, wanted, limit, suppressed, "limit refused");
        }
    }

    fn soft_limit(&mut self, domid: Domid, used: u64, limit: u32, over: bool) {
        if let Some(suppressed) = self.limit_messages.check((domid, "soft-memory"), Instant::now())
        {
            let what = if over { "soft memory limit exceeded" } else { "soft memory limit kept" };
            tracing::warn!(domid = domid.get(), used, limit, suppressed, "{what}");
        }
    }

    fn held_back(&mut self, held: Domid, holder: Domid) {
        if let Some(suppressed) = self.limit_messages.check((held, "held back"), Instant::now()) {
            let (domid, holder) = (held.get(), holder.get());
            tracing::debug!(domid, holder, suppressed, "request held back");
        }
    }

    fn protection_expired(&mut self, holder: Domid) {
        let what = "longest-protection";
        if let Some(suppressed) = self.limit_messages.check((holder, what), Instant::now()) {
            tracing::warn!(
                domid = holder.get(),
                suppressed,
                "a protected transaction took too long, others wait for it no more"
            );
        }
    }

    fn not_connected(&mut self, error: &ConnectError) {
        let error: &dyn Error = error;
        tracing::warn!(error, "domain cannot be introduced");
    }

    fn transaction_expired(&mut self, domid: Domid) {
        let what = "longest-transaction";
        if let Some(suppressed) = self.limit_messages.check((domid, what), Instant::now()) {
            tracing::warn!(
                domid = domid.get(),
                suppressed,
                "a transaction was open for too long and is gone (--longest-transaction)"
            );
        }
    }

    fn transaction_cast_off(&mut self, domid: Domid) {
        if let Some(suppressed) = self.limit_messages.check((domid, "cast off"), Instant::now()) {
            tracing::warn!(
                domid = domid.get(),
                suppressed,
                "too much is kept for open transactions of guests: one sees the newest store now"
            );
        }
    }

    fn observes(&self) -> bool {
        self.tracing && self.requests && self.access_log.is_some()
    }

    fn observe(&mut self, origin: &Origin, incident: &Incident<'_>) {
        if let Some(log) = &mut self.access_log {
            log.note(origin, incident);
        }
    }
}
