//! The report as one page with plots, which needs nothing but itself: no network, no scripts.

use std::fmt::Write as _;

use super::{LEGEND, Report};
use crate::figure::{Better, Figure, Unit};
use crate::plot::{Bar, Group, Line, bars, escape, lines};
use crate::section::{Column, Section};

const STYLE: &str = include_str!("style.css");

/// The page.
pub fn page(report: &Report<'_>) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>How fast rxenstored is</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <main>\n<h1>How fast rxenstored is</h1>\n<p>{}</p>",
        escape(LEGEND)
    );
    out.push_str("<table>\n");
    for (name, value) in &report.conditions {
        let _ = writeln!(
            out,
            "<tr><th scope=\"row\">{}</th><td class=\"text\">{}</td></tr>",
            escape(name),
            escape(value)
        );
    }
    out.push_str("</table>\n");
    for line in report.missing {
        let _ = writeln!(out, "<p><strong>{}</strong></p>", escape(line));
    }
    goals(&mut out, report.sections);
    report.sections.iter().for_each(|section| tell(&mut out, section));
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

/// All verdicts in one table, which is also the way to the sections.
fn goals(out: &mut String, sections: &[Section]) {
    out.push_str("<h2>Goals</h2>\n<div class=\"goals\">\n");
    begin_table(out, "Goals", &["goal".to_owned(), "rxenstored".to_owned()]);
    for section in sections {
        for verdict in section.verdicts() {
            let class = match verdict.found {
                Some((_, true)) => "reached",
                Some((_, false)) => "missed",
                None => "open",
            };
            let _ = writeln!(
                out,
                "<tr><th scope=\"row\"><a href=\"#{0}\">{0}</a></th><td class=\"text\">{1}</td>\
                 <td class=\"{class}\">{2}</td></tr>",
                escape(section.name),
                escape(&verdict.goal),
                escape(&verdict.said())
            );
        }
    }
    out.push_str("</tbody></table></div></div>\n");
}

fn tell(out: &mut String, section: &Section) {
    let (name, about) = (escape(section.name), escape(section.about));
    let _ = writeln!(out, "<section>\n<h2 id=\"{name}\">{name}</h2>\n<p>{about}.</p>");
    let _ =
        writeln!(out, "<div class=\"plots\">\n{}{}</div>", line_plots(section), bar_plots(section));
    begin_table(out, section.name, &section.headings());
    for figure in section.figures() {
        let _ = write!(out, "<tr><th scope=\"row\">{}</th>", escape(&figure.name));
        for cell in section.cells(figure) {
            let _ = write!(out, "<td>{}</td>", escape(&cell));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
    let goals = section.verdicts().into_iter();
    let goals = goals.map(|verdict| format!("Goal: {}: {}", verdict.goal, verdict.said()));
    let lines: Vec<_> = goals.chain(section.notes()).collect();
    if !lines.is_empty() {
        let items = lines.iter().map(|line| format!("<li>{}</li>\n", escape(line)));
        let _ = writeln!(out, "<ul>\n{}</ul>", items.collect::<String>());
    }
    out.push_str("</section>\n");
}

fn begin_table(out: &mut String, name: &str, headings: &[String]) {
    let headings = headings.iter().map(|text| format!("<th scope=\"col\">{}</th>", escape(text)));
    let _ = writeln!(
        out,
        "<div class=\"wide\" role=\"region\" aria-label=\"{}\" tabindex=\"0\"><table>\n\
         <thead><tr><td></td>{}</tr></thead><tbody>",
        escape(name),
        headings.collect::<String>()
    );
}

/// A plot with lines for each series of figures.
fn line_plots(section: &Section) -> String {
    let figures = section.figures();
    let mut series: Vec<(&str, Unit, &str)> = Vec::new();
    for figure in &figures {
        if let Some(point) = &figure.point
            && !series.iter().any(|(name, ..)| *name == point.series)
        {
            series.push((&point.series, figure.unit, point.place.of));
        }
    }
    let plots = series.into_iter().map(|(name, unit, of)| {
        let at = |figure: &&Figure| {
            let point = figure.point.as_ref().filter(|point| point.series == name)?;
            Some((f64::from(point.place.x), figure.name.clone()))
        };
        let places: Vec<_> = figures.iter().filter_map(at).collect();
        let line = |(class, column): (usize, &'_ Column)| {
            let point = |(x, name): &(f64, String)| Some((*x, column.value(name)?));
            let points: Vec<_> = places.iter().filter_map(point).collect();
            (!points.is_empty()).then(|| Line { name: column.target.name(), class, points })
        };
        let drawn: Vec<_> = section.columns.iter().enumerate().filter_map(line).collect();
        lines(name, unit, of, &drawn)
    });
    plots.collect()
}

/// A plot with bars for all other figures of the same unit, but for those that only explain.
fn bar_plots(section: &Section) -> String {
    let compared = |figure: &&Figure| figure.point.is_none() && figure.better != Better::Neither;
    let figures: Vec<_> = section.figures().into_iter().filter(compared).collect();
    let mut kinds: Vec<(Unit, Better)> = Vec::new();
    for figure in &figures {
        if !kinds.contains(&(figure.unit, figure.better)) {
            kinds.push((figure.unit, figure.better));
        }
    }
    let plots = kinds.into_iter().map(|kind| {
        let alike = figures.iter().filter(|figure| (figure.unit, figure.better) == kind);
        let groups = alike.map(|figure| group(section, figure));
        // Where all have 0, the table says so.
        let seen = |group: &Group<'_>| group.bars.iter().any(|bar| bar.range.1 > 0.0);
        let groups: Vec<_> = groups.filter(seen).collect();
        if groups.is_empty() {
            return String::new();
        }
        let (unit, better) = kind;
        let better = if better == Better::High { "more is better" } else { "less is better" };
        bars(&format!("{}: {better}", unit.name()), unit, &groups)
    });
    plots.collect()
}

fn group<'a>(section: &'a Section, figure: &'a Figure) -> Group<'a> {
    let bar = |(class, column): (usize, &'a Column)| {
        let (value, range) = (column.value(&figure.name)?, column.range(&figure.name)?);
        Some(Bar { name: column.target.name(), class, value, range })
    };
    let bars: Vec<_> = section.columns.iter().enumerate().filter_map(bar).collect();
    Group { name: &figure.name, bars }
}
