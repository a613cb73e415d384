//! The table for the terminal.

use std::fmt::{self, Write as _};

use super::{LEGEND, Report};
use crate::section::Section;

/// Width of a figure's name and of a value.
const NAME: usize = 44;
const VALUE: usize = 14;

/// All sections as text, after what is missing from them.
pub fn text(report: &Report<'_>) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{}", LEGEND.replace(". ", ".\n"));
    for (name, value) in &report.conditions {
        let _ = writeln!(out, "{name}: {value}");
    }
    for line in report.missing {
        let _ = writeln!(out, "WARNING: {line}");
    }
    for section in report.sections {
        let _ = write!(out, "\n{}", Table(section));
    }
    out
}

struct Table<'a>(&'a Section);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(section) = self;
        writeln!(f, "{}: {}", section.name, section.about)?;
        write!(f, "  {:NAME$}", "")?;
        for heading in section.headings() {
            write!(f, "{heading:>VALUE$}")?;
        }
        writeln!(f)?;
        for figure in section.figures() {
            write!(f, "  {:NAME$}", figure.name)?;
            for cell in section.cells(figure) {
                write!(f, "{cell:>VALUE$}")?;
            }
            writeln!(f)?;
        }
        for verdict in section.verdicts() {
            writeln!(f, "  goal: {}: {}", verdict.goal, verdict.said())?;
        }
        for note in section.notes() {
            writeln!(f, "  note: {note}")?;
        }
        Ok(())
    }
}
