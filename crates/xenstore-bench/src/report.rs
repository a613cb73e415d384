//! What is written at the end: a table for the terminal, and two pages.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use crate::machine;
use crate::section::Section;
use crate::target::Target;

mod html;
mod markdown;
mod text;

/// How to read it.
const LEGEND: &str = "\
Each value is the median of the rounds; of aborts and of the most tries it is the highest. \
A worst latency is the median of the rounds' worst ones. The ratio compares rxenstored with \
the better of the other two daemons; above 1 is in its favour. Where there is an echo \
server, which only answers, `of echo` is what share of its throughput rxenstored reaches: both are \
asked in turns, many times a second. A daemon with * was measured while something else used the \
machine.";

/// All that was measured, and under what conditions.
#[derive(Debug)]
pub struct Report<'a> {
    /// The workloads.
    pub sections: &'a [Section],
    /// What is not compared, and why.
    pub missing: &'a [String],
    /// What, on what and with what; as name and value.
    pub conditions: Vec<(&'static str, String)>,
}

impl<'a> Report<'a> {
    /// What a campaign came to that took so long.
    pub fn of(
        sections: &'a [Section],
        missing: &'a [String],
        targets: &[Target],
        length: &str,
        took: Duration,
    ) -> Self {
        let mut conditions = machine::facts();
        let versions = targets.iter().map(|&target| (target.name(), machine::version(target)));
        conditions.extend(versions);
        let minutes = ((took.as_secs() + 30) / 60).max(1);
        conditions.push(("Length", format!("{length}, {minutes} min in all")));
        Self { sections, missing, conditions }
    }

    /// For the terminal.
    pub fn text(&self) -> String {
        text::text(self)
    }

    /// Writes `README.md` and `index.html` into a directory.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        fs::create_dir_all(directory)?;
        fs::write(directory.join("README.md"), markdown::page(self))?;
        fs::write(directory.join("index.html"), html::page(self))
    }
}

#[cfg(test)]
mod tests {
    use crate::section;

    use super::*;

    #[test]
    fn every_form_tells_every_figure_and_verdict() {
        let (sections, missing) = ([section::tests::section()], ["one <is> missing".to_owned()]);
        let conditions = vec![("Processor", "of <some> kind | other".to_owned())];
        let report = Report { sections: &sections, missing: &missing, conditions };
        let (text, markdown, html) = (report.text(), markdown::page(&report), html::page(&report));
        for page in [&text, &markdown, &html] {
            for part in ["100/s", "40/s", "20/s", "2.50 x", "reached", "missed", "not measured"] {
                assert!(page.to_lowercase().contains(part), "no {part} in {page}");
            }
        }
        let rows: Vec<Vec<_>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert!(rows.contains(&vec!["speed", "100/s", "40/s", "20/s", "2.50", "x"]), "{text}");
        assert!(markdown.contains("| speed | 100/s | 40/s | 20/s | 2.50 x |"), "{markdown}");
        assert!(markdown.contains("| Processor | of &lt;some&gt; kind \\| other |"), "{markdown}");
        assert!(html.contains("about &lt;this&gt; &amp; that"), "{html}");
        assert!(!html.contains("<is>") && !html.contains("<some>"), "{html}");
        assert!(!html.contains("http") && !html.contains("<script"), "a page needs no network");
    }
}
