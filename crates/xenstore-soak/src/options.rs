//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// Good and hostile guests on one rxenstored for a long time, beside the model of a store.
#[derive(Parser, Clone, Debug)]
#[command(name = "xenstore-soak", version)]
pub struct Options {
    /// How long
    #[arg(long, value_name = "NUMBER", default_value_t = 30.0)]
    pub minutes: f64,

    /// Good guests there are at any time
    #[arg(long, value_name = "NUMBER", default_value_t = 200)]
    pub good: usize,

    /// Hostile guests there are at any time
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    pub hostile: usize,

    /// What every village decides by; another one each time if it is not given
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,

    /// Mean time from one thing a good guest or its toolstack does to the next
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 100)]
    pub pace: u64,

    /// Mean time from a guest's birth to its death
    #[arg(long, value_name = "SECONDS", default_value_t = 20.0)]
    pub lifetime: f64,

    /// The longest that a good client may wait for one request. A protected transaction of a
    /// guest and one of a toolstack can be in the way, 500 ms each; the rest is for a busy
    /// machine. Who lost a transaction may wait 15 times as long for its turn
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    pub longest_wait: f64,

    /// Where to write the report, in Markdown; without, it is printed
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

impl Options {
    /// How long guests come and go.
    pub fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.minutes.max(0.0) * 60.0)
    }

    /// The mean time from one thing done to the next.
    pub fn pace(&self) -> Duration {
        Duration::from_millis(self.pace)
    }

    /// The longest that a good client may wait for one request.
    pub fn longest_wait(&self) -> Duration {
        Duration::from_secs_f64(self.longest_wait.max(0.0))
    }

    /// The longest that who lost a transaction may wait for its turn to begin the next: others
    /// that lost come before it, and may take a second each (docs/transactions.md).
    pub fn longest_turn(&self) -> Duration {
        self.longest_wait() * 15
    }

    /// The mean time from birth to death.
    pub fn lifetime(&self) -> Duration {
        Duration::from_secs_f64(self.lifetime.max(0.1))
    }
}
