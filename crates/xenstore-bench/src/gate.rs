//! `xenstore-bench counts`: fails if a request has become more costly.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use thiserror::Error;

use crate::campaign::Campaign;
use crate::counts::{Counts, Unreadable};
use crate::target::Target;
use crate::workload::Workload;
use crate::workloads::{calls, instructions, sizes};

/// Counts what rxenstored needs for a request, and fails if that has grown by a tenth.
#[derive(Args, Debug)]
pub struct Gate {
    /// Write down what is counted instead of comparing with it
    #[arg(long)]
    update: bool,

    /// Where it is written down
    #[arg(long, default_value_os_t = default_file())]
    file: PathBuf,
}

/// Why a gate is closed.
#[derive(Debug, Error)]
pub enum Closed {
    /// A system call failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// There is nothing to compare with.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// A workload gave nothing.
    #[error("{0}")]
    Failed(String),
    /// Counts have grown, or are missing.
    #[error("counts differ from {0}")]
    Differ(PathBuf),
}

impl Gate {
    /// Counts, and says what came of it.
    pub fn pass(&self) -> Result<(), Closed> {
        let counted = |workloads, quick| {
            let targets = &[Target::Rxenstored];
            Campaign { workloads, targets, rounds: 1, quick }.run()
        };
        let all: Vec<&'static dyn Workload> = vec![&calls::Calls, &instructions::Instructions];
        let mut sections = counted(all, false)?;
        // Of the sizes only memory is counted, and that takes just one of them.
        sections.extend(counted(vec![&sizes::Sizes], true)?);
        let mut failures = sections.iter().flat_map(|section| &section.columns);
        if let Some(failure) = failures.find_map(|column| column.failures.first()) {
            return Err(Closed::Failed(failure.clone()));
        }
        let now = Counts::of(&sections);
        print!("{now}");
        if self.update {
            return Ok(fs::write(&self.file, now.to_string())?);
        }
        let changes = now.compared_with(&Counts::read(&self.file)?);
        for change in &changes {
            eprintln!("{change}");
        }
        let failed = changes.iter().any(crate::counts::Change::fails);
        if failed { Err(Closed::Differ(self.file.clone())) } else { Ok(()) }
    }
}

/// In the sources that this program was built from.
fn default_file() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/benchmarks/counts.txt"))
}
