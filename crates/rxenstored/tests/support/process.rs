//! A process as the kernel sees it.

use std::fs;
use std::time::Duration;

use rustix::process::Pid;

use super::{Foreground, eventually};

/// What the kernel counts for a process.
pub struct Process(pub Pid);

impl Process {
    pub fn of(daemon: &Foreground) -> Self {
        Self(Pid::from_child(&daemon.0))
    }

    pub fn word(&self, file: &str, label: &str) -> String {
        let path = format!("/proc/{}/{file}", self.0.as_raw_nonzero());
        let text = fs::read_to_string(path).unwrap();
        let rest = text.lines().find_map(|line| line.strip_prefix(label)).unwrap();
        rest.split_whitespace().next().unwrap().to_owned()
    }

    pub fn number(&self, file: &str, label: &str) -> u64 {
        self.word(file, label).parse().unwrap()
    }

    pub fn resident_kib(&self) -> u64 {
        self.number("status", "VmRSS:")
    }

    pub fn reads(&self) -> u64 {
        self.number("io", "syscr:")
    }

    /// How often it went to sleep, or was made to make room for others.
    pub fn switches(&self) -> u64 {
        self.number("status", "voluntary_ctxt_switches:")
            + self.number("status", "nonvoluntary_ctxt_switches:")
    }

    /// It sleeps, and is woken so many times at most.
    pub fn assert_asleep(&self, wake_ups: u64) {
        eventually("sleep", || {
            let before = self.switches();
            std::thread::sleep(Duration::from_millis(20));
            self.switches() == before && self.word("status", "State:") == "S"
        });
        let before = self.switches();
        std::thread::sleep(Duration::from_millis(300));
        let woken = self.switches() - before;
        // Once more if memory of somebody who left is given back just now.
        assert!(woken <= wake_ups + 1, "woken {woken} times");
    }
}
