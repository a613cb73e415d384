//! Plots as SVG, to be put into a page: bars, and lines.
//!
//! Colours are left to the page's style sheet (class `s0`, `s1`, ... for what is compared), so
//! that they suit a light and a dark page. Crates for plots write them into the SVG.

use std::fmt::Write as _;

use crate::figure::Unit;
use crate::scale::{Scale, abbreviated};

/// Width of a plot: that of a telephone's page, beside which another fits on a larger one.
const WIDTH: f64 = 440.0;
/// Where what is drawn begins and ends, left and right of it being text.
const LEFT: f64 = 92.0;
const RIGHT: f64 = 350.0;
/// Height of a line of text, and of a bar.
const LINE: f64 = 17.0;
/// Height of what lines are drawn in.
const FIELD: f64 = 170.0;

/// A value of one of those that are compared.
#[derive(Clone, Debug)]
pub struct Bar<'a> {
    /// Whose.
    pub name: &'a str,
    /// Its place among all that are compared, which decides its colour.
    pub class: usize,
    /// The value.
    pub value: f64,
    /// The lowest and the highest of its rounds.
    pub range: (f64, f64),
}

/// What several have to say to the same question.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    /// The question.
    pub name: &'a str,
    /// The answers.
    pub bars: Vec<Bar<'a>>,
}

/// One of those that are compared, at several places.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    /// Whose.
    pub name: &'a str,
    /// As for [`Bar`].
    pub class: usize,
    /// Where, and what.
    pub points: Vec<(f64, f64)>,
}

/// Draws bars, all on one scale.
pub fn bars(title: &str, unit: Unit, groups: &[Group<'_>]) -> String {
    let all = || groups.iter().flat_map(|group| &group.bars);
    let ends = all().flat_map(|bar| [bar.value, bar.range.0, bar.range.1]);
    let scale = Scale::of(ends, LEFT, RIGHT);
    let rows: usize = groups.iter().map(|group| group.bars.len() + 1).sum();
    let bottom = LINE * to_f64(rows) + 4.0 * to_f64(groups.len());
    let mut body = String::new();
    let below = |at| (at, bottom + 13.0, "middle");
    grid(&mut body, &scale, &scale.ticks(unit), unit, |at| (at, 4.0, at, bottom), below);
    let mut y = 0.0;
    for group in groups {
        y += LINE;
        text(&mut body, "name", (0.0, y - 4.0), "start", group.name);
        for bar in &group.bars {
            let (begin, end) = (scale.begin(), scale.place(bar.value));
            let (name, value) = (bar.name, unit.show(bar.value));
            let middle = y + LINE / 2.0;
            text(&mut body, "", (LEFT - 6.0, middle + 4.0), "end", name);
            let (top, width, height) = (y + 2.0, end - begin, LINE - 4.0);
            // Writing to a string cannot fail, here and below.
            let _ = writeln!(
                body,
                r#"<rect class="s{}" x="{begin:.1}" y="{top:.1}" width="{width:.1}" height="{height}"/>"#,
                bar.class
            );
            let (low, high) = (scale.place(bar.range.0), scale.place(bar.range.1));
            if high - low > 1.0 {
                let _ =
                    writeln!(body, r#"<path class="range" d="M{low:.1} {middle:.1}H{high:.1}"/>"#);
            }
            text(&mut body, "value", (end.max(high) + 5.0, middle + 4.0), "start", &value);
            y += LINE;
        }
        y += 4.0;
    }
    picture(title, &described(groups, unit), bottom + LINE, scale.remark(), &body)
}

/// Draws lines over the size of something.
pub fn lines(title: &str, unit: Unit, of: &str, lines: &[Line<'_>]) -> String {
    let points = || lines.iter().flat_map(|line| &line.points);
    let top = LINE * to_f64(lines.len().div_ceil(2)) + 6.0;
    let bottom = top + FIELD;
    let mut places: Vec<_> = points().map(|point| point.0).collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    let across = Scale::through(&places, LEFT + 10.0, WIDTH - 20.0);
    let up = Scale::of(points().map(|point| point.1), bottom, top + 10.0);
    let mut body = String::new();
    grid(
        &mut body,
        &up,
        &up.ticks(unit),
        unit,
        |at| (LEFT, at, WIDTH, at),
        |at| (LEFT - 6.0, at + 4.0, "end"),
    );
    let below = |at| (at, bottom + 14.0, "middle");
    grid(&mut body, &across, &places, Unit::Number, |at| (at, bottom, at, bottom + 3.0), below);
    text(&mut body, "", (LEFT.midpoint(WIDTH), bottom + 28.0), "middle", of);
    for (row, line) in lines.iter().enumerate() {
        let class = line.class;
        let x = if row % 2 == 0 { LEFT } else { LEFT.midpoint(WIDTH) };
        let y = LINE * to_f64(row / 2) + LINE / 2.0;
        let places: Vec<_> =
            line.points.iter().map(|&(x, y)| (across.place(x), up.place(y))).collect();
        stroke(&mut body, class, &[(x, y), (x + 30.0, y)]);
        mark(&mut body, class, (x + 15.0, y));
        text(&mut body, "", (x + 38.0, y + 4.0), "start", line.name);
        stroke(&mut body, class, &places);
        for place in places {
            mark(&mut body, class, place);
        }
    }
    let groups: Vec<_> = lines.iter().map(|line| said(line, unit, of)).collect();
    picture(title, &groups.join("; "), bottom + 2.0 * LINE, up.remark(), &body)
}

/// The scale's lines and what is written at them.
fn grid(
    body: &mut String,
    scale: &Scale,
    ticks: &[f64],
    unit: Unit,
    line: impl Fn(f64) -> (f64, f64, f64, f64),
    label: impl Fn(f64) -> (f64, f64, &'static str),
) {
    for &tick in ticks {
        let at = scale.place(tick);
        let ((x, y, x2, y2), (left, base, anchor)) = (line(at), label(at));
        let _ = writeln!(body, r#"<path class="grid" d="M{x:.1} {y:.1}L{x2:.1} {y2:.1}"/>"#);
        text(body, "tick", (left, base), anchor, &abbreviated(tick, unit));
    }
}

fn stroke(body: &mut String, class: usize, places: &[(f64, f64)]) {
    let places: Vec<_> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let places = places.join(" ");
    let _ = writeln!(body, r#"<polyline class="line s{class}" points="{places}"/>"#);
}

/// A mark of a form of its own for each that is compared: colours are not for everybody.
fn mark(body: &mut String, class: usize, (x, y): (f64, f64)) {
    let form = match class % 4 {
        0 => "m-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0",
        1 => "m-4-4h8v8h-8z",
        2 => "m0-5l5 9h-10z",
        _ => "m0-5l5 5l-5 5l-5-5z",
    };
    let _ = writeln!(body, r#"<path class="s{class}" d="M{x:.1} {y:.1}{form}"/>"#);
}

fn text(body: &mut String, class: &str, (x, y): (f64, f64), anchor: &str, text: &str) {
    let (text, class) = (escape(text), if class.is_empty() { "label" } else { class });
    let _ = writeln!(body, r#"<text class="{class} {anchor}" x="{x:.1}" y="{y:.1}">{text}</text>"#);
}

/// What there is to see, for who does not see it.
fn described(groups: &[Group<'_>], unit: Unit) -> String {
    let say = |bar: &Bar<'_>| format!("{} {}", bar.name, unit.show(bar.value));
    let group = |group: &Group<'_>| {
        format!("{}: {}", group.name, group.bars.iter().map(say).collect::<Vec<_>>().join(", "))
    };
    groups.iter().map(group).collect::<Vec<_>>().join("; ")
}

fn said(line: &Line<'_>, unit: Unit, of: &str) -> String {
    let point = |&(x, y): &(f64, f64)| format!("{} at {x} {of}", unit.show(y));
    let points: Vec<_> = line.points.iter().map(point).collect();
    format!("{}: {}", line.name, points.join(", "))
}

fn picture(title: &str, description: &str, height: f64, remark: &str, body: &str) -> String {
    let (title, description) = (escape(title), escape(description));
    let height = height + 4.0;
    let remark = if remark.is_empty() { String::new() } else { format!(" <i>{remark}</i>") };
    format!(
        "<figure><figcaption>{title}{remark}</figcaption>\n\
         <svg role=\"img\" viewBox=\"0 0 {WIDTH} {height:.0}\">\
         <title>{title}</title><desc>{description}</desc>\n{body}</svg></figure>\n"
    )
}

/// Text as it stands in HTML and SVG, in attributes too.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[expect(clippy::cast_precision_loss, reason = "a few rows of a plot")]
fn to_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_into_a_page_is_escaped() {
        assert_eq!(
            escape(r#"<a href='x'>"R&D"</a>"#),
            "&lt;a href=&#39;x&#39;&gt;&quot;R&amp;D&quot;&lt;/a&gt;"
        );
        let bar = Bar { name: "<b>", class: 0, value: 1.0, range: (1.0, 1.0) };
        let group = Group { name: "R&D", bars: vec![bar] };
        let svg = bars("a < b", Unit::Number, &[group]);
        assert!(!svg.contains("<b>") && !svg.contains("R&D") && !svg.contains("a < b"), "{svg}");
        assert!(svg.contains("<desc>R&amp;D: &lt;b&gt; 1</desc>"), "{svg}");
    }

    #[test]
    fn bars_are_as_long_as_their_values() {
        let bar = |class, value| Bar { name: "one", class, value, range: (value, value) };
        let group = Group { name: "figure", bars: vec![bar(0, 50.0), bar(1, 100.0), bar(2, 0.0)] };
        let svg = bars("title", Unit::Number, &[group]);
        for (class, width) in [(0, "129.0"), (1, "258.0"), (2, "0.0")] {
            let bar = svg.lines().find(|line| line.contains(&format!("<rect class=\"s{class}\"")));
            assert!(bar.is_some_and(|bar| bar.contains(&format!("width=\"{width}\""))), "{svg}");
        }
    }

    #[test]
    fn a_line_has_a_mark_for_each_point_and_one_in_the_legend() {
        let points = vec![(100.0, 1e-6), (1_000.0, 2e-6), (1_000_000.0, 4e-6)];
        let line = Line { name: "one", class: 0, points };
        let svg = lines("title", Unit::Time, "nodes", &[line]);
        assert_eq!(svg.matches("<path class=\"s0\"").count(), 4, "{svg}");
        assert!(svg.contains("one: 1.0 us at 100 nodes, 2.0 us at 1000 nodes"), "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
