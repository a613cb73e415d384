//! The report as Markdown, for who reads it beside the sources.

use std::fmt::Write as _;

use super::{LEGEND, Report};
use crate::section::Section;

/// The page.
pub fn page(report: &Report<'_>) -> String {
    let mut out = String::from(
        "# How fast it is\n\n<!-- Written by cargo run --release -p xenstore-bench -- --write \
         docs/benchmarks -->\n\nThe same with plots: [index.html](index.html).\n\n",
    );
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(out, "{LEGEND}\n\n| | |\n|---|---|");
    for (name, value) in &report.conditions {
        let _ = writeln!(out, "| {name} | {} |", cell(value));
    }
    for line in report.missing {
        let _ = writeln!(out, "\n**{}**", cell(line));
    }
    goals(&mut out, report.sections);
    report.sections.iter().for_each(|section| tell(&mut out, section));
    out
}

fn goals(out: &mut String, sections: &[Section]) {
    let _ = writeln!(out, "\n## Goals\n\n| workload | goal | rxenstored |\n|---|---|---|");
    for section in sections {
        for verdict in section.verdicts() {
            let (name, goal) = (section.name, cell(&verdict.goal));
            let _ = writeln!(out, "| [{name}](#{name}) | {goal} | {} |", verdict.said());
        }
    }
}

fn tell(out: &mut String, section: &Section) {
    let _ = writeln!(out, "\n## {}\n\n{}.\n", section.name, cell(section.about));
    let headings: Vec<_> = section.headings().iter().map(|text| cell(text)).collect();
    let _ = writeln!(out, "| | {} |", headings.join(" | "));
    let _ = writeln!(out, "|---|{}", "---:|".repeat(headings.len()));
    for figure in section.figures() {
        let _ = writeln!(out, "| {} | {} |", cell(&figure.name), section.cells(figure).join(" | "));
    }
    let goals = section.verdicts().into_iter();
    let goals = goals.map(|verdict| format!("Goal: {}: {}", cell(&verdict.goal), verdict.said()));
    let notes = section.notes().into_iter().map(|note| cell(&note));
    for (number, line) in goals.chain(notes).enumerate() {
        let _ = writeln!(out, "{}* {line}", if number == 0 { "\n" } else { "" });
    }
}

/// Text that means nothing else in a cell of a table.
fn cell(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('|', "\\|").replace('*', "\\*").replace('\n', " ")
}
