//! The manual pages: one of `xenstore`, and one per subcommand.
//!
//! What the command line knows comes from there. A page of a subcommand that was a
//! tool before serves that tool's name too, and tells what is different under it.

use std::fs;
use std::io;
use std::path::Path;

use clap::{Arg, Command};
use clap_mangen::Man;

use crate::old_names::Tool;

const SECTION: &str = "1";

/// Writes all pages into a directory.
pub(crate) fn write(command: Command, directory: &Path) -> io::Result<()> {
    let mut command = command;
    command.build();
    let source = format!("xenstore {}", command.get_version().unwrap_or_default());
    let shown = command.get_subcommands().filter(|found| !found.is_hide_set());
    for page in std::iter::once(&command).chain(shown) {
        let name = name(page);
        fs::write(directory.join(format!("{name}.{SECTION}")), render(page, &source)?)?;
    }
    Ok(())
}

fn render(command: &Command, source: &str) -> io::Result<String> {
    let name = name(command);
    let man = command.clone().subcommand_help_heading("COMMANDS");
    let man = Man::new(man).title(&name).section(SECTION).source(source).manual("Xen store");
    let tool = Tool::from_program(&name);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    page.extend_from_slice(synopsis(command, tool).as_bytes());
    page.extend_from_slice(description(command, tool).as_bytes());
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    page.extend_from_slice(see_also(command).as_bytes());
    Ok(tidied(&String::from_utf8_lossy(&page)))
}

fn name(command: &Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}

/// The command line with the names of values, and that of the old tool.
fn synopsis(command: &Command, tool: Option<Tool>) -> String {
    let shown = || command.get_arguments().filter(|argument| !argument.is_hide_set());
    let options = shown().filter(|argument| !argument.is_positional()).map(option);
    let operands = shown().filter(|argument| argument.is_positional()).map(operand);
    let mut words = vec![bold(command.get_bin_name().unwrap_or_else(|| command.get_name()))];
    words.extend(options.chain(operands));
    if command.has_subcommands() {
        words.push(italic("COMMAND"));
    }
    let old =
        tool.map(|tool| format!(".br\n{} {}\n", bold(&name(command)), escaped(tool.synopsis())));
    format!(".SH SYNOPSIS\n{}\n{}", words.join(" "), old.unwrap_or_default())
}

fn option(argument: &Arg) -> String {
    let short = argument.get_short().map(|short| bold(&format!("-{short}")));
    let long = argument.get_long().map(|long| bold(&format!("--{long}")));
    let spellings: Vec<_> = short.into_iter().chain(long).collect();
    let takes_value = argument.get_action().takes_values();
    let value = if takes_value { format!(" {}", values(argument)) } else { String::new() };
    format!("[{}{value}]", spellings.join("|"))
}

fn operand(argument: &Arg) -> String {
    let many = argument.get_num_args().is_some_and(|number| number.max_values() > 1);
    let operand = values(argument) + if many { "..." } else { "" };
    if argument.is_required_set() { operand } else { format!("[{operand}]") }
}

fn values(argument: &Arg) -> String {
    let names = argument.get_value_names().unwrap_or_default();
    italic(&names.iter().map(clap::builder::Str::as_str).collect::<Vec<_>>().join(" "))
}

/// What is left to say: the long help without its first line, which is the page's
/// name already, and how the old tool differs.
fn description(command: &Command, tool: Option<Tool>) -> String {
    let long = command.get_long_about().or(command.get_after_help());
    let long = long.map(ToString::to_string).unwrap_or_default();
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let rest = long.strip_prefix(&about).unwrap_or(&long);
    let mut paragraphs: Vec<_> = rest.split("\n\n").map(str::trim).map(escaped).collect();
    paragraphs.extend(tool.map(|tool| under_old_name(command, tool)));
    paragraphs.retain(|paragraph| !paragraph.is_empty());
    if paragraphs.is_empty() {
        return String::new();
    }
    format!(".SH DESCRIPTION\n{}\n", paragraphs.join("\n.PP\n"))
}

fn under_old_name(command: &Command, tool: Tool) -> String {
    let old = bold(&name(command));
    let new = bold(command.get_bin_name().unwrap_or_else(|| command.get_name()));
    if tool == Tool::Control {
        return format!(
            "This page describes {new}. Called {old} it is the old tool of that name, which \
             has no options: all words are the command and its arguments."
        );
    }
    let is_new = |argument: &&Arg| {
        !argument.is_positional()
            && !argument.is_hide_set()
            && argument.get_short().is_none_or(|short| short != 'h' && !tool.knows(short))
    };
    let missing: Vec<_> = command
        .get_arguments()
        .filter(is_new)
        .map(|argument| match (argument.get_short(), argument.get_long()) {
            (Some(short), _) => bold(&format!("-{short}")),
            (None, long) => bold(&format!("--{}", long.unwrap_or_default())),
        })
        .collect();
    let (missing, socket) = (missing.join(" and no "), bold("-s"));
    format!(
        "This page describes {new}. Called {old} it is the old tool of that name, and takes \
         only the options of that tool, by their letters: there is no {missing}, and {socket} is \
         accepted without effect."
    )
}

fn see_also(command: &Command) -> String {
    let daemon = ".BR rxenstored (8)\n";
    if command.has_subcommands() {
        format!(".SH SEE ALSO\n{daemon}")
    } else {
        format!(".SH SEE ALSO\n.BR xenstore (1),\n{daemon}")
    }
}

/// What every section begins with, to define an apostrophe.
const PREAMBLE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";

/// One preamble, names of values as in the synopsis, without brackets, and what the help
/// puts between backticks in bold.
fn tidied(page: &str) -> String {
    let page = page
        .replace(PREAMBLE, "")
        .replace("<\\fI", "\\fI")
        .replace("\\fR>", "\\fR")
        .replace("\\fI<", "\\fI")
        .replace(">\\fR", "\\fR");
    let pieces = page.split('`').enumerate();
    let pieces = pieces.map(|(index, text)| match index % 2 {
        0 => text.to_owned(),
        _ => format!("\\fB{text}\\fR"),
    });
    std::iter::once(PREAMBLE.to_owned()).chain(pieces).collect()
}

fn bold(text: &str) -> String {
    format!("\\fB{}\\fR", escaped(text))
}

fn italic(text: &str) -> String {
    format!("\\fI{}\\fR", escaped(text))
}

/// Text as roff takes it for text.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(name: &str) -> String {
        let mut command = crate::args::command();
        command.build();
        let page = match name {
            "xenstore" => &command,
            _ => command.find_subcommand(name).unwrap(),
        };
        render(page, "xenstore 9.9").unwrap()
    }

    #[test]
    fn every_page_reads_like_one() {
        let mut command = crate::args::command();
        command.build();
        let shown = command.get_subcommands().filter(|found| !found.is_hide_set());
        for name in shown.map(Command::get_name).chain(["xenstore"]) {
            let page = page(name);
            assert!(page.contains("\"xenstore 9.9\""), "{page}");
            assert_eq!(page.matches(PREAMBLE).count(), 1, "{page}");
            assert!(page.contains("[\\fB\\-\\-socket\\fR \\fIPATH\\fR]"), "{page}");
            assert!(page.contains(".SH SEE ALSO\n"), "{page}");
            assert!(!page.contains('`') && !page.contains("EXTRA"), "{page}");
        }
    }

    #[test]
    fn the_old_name_s_ways_are_told() {
        let ls = page("ls");
        assert!(ls.contains("\\fBxenstore\\-ls\\fR [\\-h] [\\-f] [\\-p] [\\-s] [PATH...]"), "{ls}");
        assert!(ls.contains("no \\fB\\-w\\fR and no \\fB\\-\\-socket\\fR"), "{ls}");
        assert!(page("control").contains("has no options"));
        assert!(!page("dump").contains("old tool"));
    }
}
