//! A toolstack that hears of every domain that comes and goes, as xenconsoled does.
//!
//! Every such event counts by itself, so it has to be told exactly as often as the models of
//! all villages say.

use std::collections::BTreeMap;

use xenstore_model::model::Message;

use crate::failure::Failure;
use crate::foundation;
use crate::line::Line;
use crate::town::Town;
use crate::village::Village;

/// The herald.
#[derive(Debug)]
pub struct Herald {
    line: Line,
    told: BTreeMap<String, u64>,
}

impl Herald {
    /// Connects it, and has it write what is to be there before anybody comes.
    pub fn new(town: &Town) -> Result<Self, Failure> {
        let mut line = town.connect_herald()?;
        for request in foundation::requests() {
            line.queue(0, &request)?;
        }
        line.flush()?;
        Ok(Self { line, told: BTreeMap::new() })
    }

    /// Takes what it is told.
    pub fn receive(&mut self) -> Result<(), Failure> {
        for message in self.line.receive()? {
            if let Message::Event { path, .. } = message {
                *self.told.entry(path).or_default() += 1;
            }
        }
        Ok(())
    }

    /// How often it was told something.
    pub fn count(&self) -> u64 {
        self.told.values().sum()
    }

    /// Whether it was told what it should have been.
    pub fn check(&self, villages: &[Village]) -> Result<(), Failure> {
        // The first event of each watch is for its own path. Every model has both watches.
        let mut due: BTreeMap<_, _> = self.told.keys().map(|path| (path.clone(), 1)).collect();
        for (path, times) in villages.iter().flat_map(|village| village.judge.announced()) {
            *due.entry(path.clone()).or_default() += times - 1;
        }
        if due == self.told {
            return Ok(());
        }
        let what = format!("of all domains, told {:?}, due {due:?}", self.told);
        Err(Failure::Disagreement(what))
    }
}
