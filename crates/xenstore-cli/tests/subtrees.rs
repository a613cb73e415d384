//! `dump`, `load` and `diff`, the program as people run it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    unreachable_pub,
    dead_code,
    missing_docs,
    reason = "support code of tests, shared by path"
)]

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

mod support;

use support::fake_store;
use support::runner::reset;

/// A store with the table's nodes, and the program to run on it.
struct Setting {
    directory: TempDir,
    socket: PathBuf,
}

impl Setting {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("socket");
        fake_store::serve(&socket);
        reset(&socket);
        Self { directory, socket }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xenstore"));
        command.args(words).arg("--socket").arg(&self.socket);
        command.stdin(Stdio::null());
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// What a run that succeeds prints.
    fn printed(&self, words: &[&str]) -> String {
        let output = self.run(words);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {complaint}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// A run's exit code and what it prints.
    fn ended(&self, words: &[&str]) -> (i32, String) {
        let output = self.run(words);
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(text).unwrap())
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.directory.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

#[test]
fn a_dump_loads_back_exactly() {
    let store = Setting::new();
    let before = store.printed(&["dump", "/t"]);
    assert!(before.contains(r#"{"path":"/t/one","value":"1","permissions":["n0","r5"]}"#));
    assert!(before.contains(r#""value":{"hex":"000107080b1f7f80ff656e6433"}"#));
    let file = store.file("dump.json", &before);

    store.printed(&["rm", "/t"]);
    store.printed(&["load", &file]);
    assert_eq!(store.printed(&["dump", "/t"]), before);

    // Again, from standard input, in pieces, onto what is there already.
    let mut load = store.command(&["load", "--replace", "--batch", "3"]);
    let mut child = load.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(before.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(store.printed(&["dump", "/t"]), before);
}

#[test]
fn the_old_tool_s_text_loads_back_exactly() {
    let store = Setting::new();
    let text = store.printed(&["ls", "-fp", "/t"]);
    assert_eq!(store.printed(&["dump", "--format", "text", "-p", "/t"]), text);
    let file = store.file("dump.txt", &text);
    store.printed(&["rm", "/t"]);
    store.printed(&["load", &file]);
    assert_eq!(store.printed(&["ls", "-fp", "/t"]), text);
}

#[test]
fn replace_removes_what_merge_leaves() {
    let store = Setting::new();
    let file = store.file("dump.json", &store.printed(&["dump", "/t"]));
    store.printed(&["write", "/t/new", "1", "/t/new/below", "2", "/t/one", "other"]);
    store.printed(&["load", &file]);
    assert_eq!(store.printed(&["read", "/t/one", "/t/new/below"]), "1\n2\n");
    store.printed(&["load", "--replace", &file]);
    assert_eq!(store.ended(&["exists", "/t/new"]), (1, String::new()));
    assert_eq!(store.ended(&["diff", &file]), (0, String::new()));
}

#[test]
fn some_lines_of_a_dump_do_not_replace_a_subtree() {
    let store = Setting::new();
    let before = store.printed(&["dump", "/t"]);
    let text = "/t/one = \"1\"\n/t/two/deep/deeper = \"bottom\"\n";
    let file = store.file("some.txt", text);
    let (code, complaint) = store.ended(&["load", "--replace", &file]);
    assert_eq!(code, 1);
    assert!(complaint.contains("/t/two/deep/deeper"), "{complaint}");
    assert_eq!(store.printed(&["dump", "/t"]), before);
    store.printed(&["load", &file]);
    assert_eq!(store.printed(&["dump", "/t"]), before);
}

#[test]
fn what_holds_no_node_replaces_nothing() {
    let store = Setting::new();
    let before = store.printed(&["dump", "/"]);
    // A leaf has nothing below it that the text could show.
    let leaf = store.printed(&["dump", "--format", "text", "/t/one"]);
    assert_eq!(leaf, "");
    let json = r#"{"format":"xenstore-dump","version":1,"root":"/","nodes":[]}"#;
    for text in [&*leaf, "\n \n", json] {
        let file = store.file("nothing", text);
        let complaint = format!("xenstore: {file}: expected a dump, found no node\n");
        for words in [
            &["load", "--replace", &file][..],
            &["load", &file],
            &["diff", &file],
            &["diff", &file, &file],
        ] {
            assert_eq!(store.ended(words), (2, complaint.clone()), "{words:?} {text:?}");
        }
    }
    for format in ["json", "text"] {
        let complaint = "xenstore: standard input: expected a dump, found no node\n";
        let words = ["load", "--replace", "--format", format];
        assert_eq!(store.ended(&words), (2, complaint.to_owned()));
    }
    assert_eq!(store.printed(&["dump", "/"]), before);
}

#[test]
fn differences_have_a_line_and_an_exit_code() {
    let store = Setting::new();
    let old = store.file("old.json", &store.printed(&["dump", "/t"]));
    assert_eq!(store.ended(&["diff", &old]), (0, String::new()));
    store.printed(&["rm", "/t/empty"]);
    store.printed(&["write", "/t/one", "uno", "/t/w", "\\x01"]);
    store.printed(&["chmod", "/t/two", "n0", "r1"]);
    let lines = "- /t/empty = \"\"   (n0)\n\
                 ~ /t/one = \"1\" -> \"uno\"\n\
                 ~ /t/two   (b0) -> (n0,r1)\n\
                 + /t/w = \"\\001\"   (n0)\n";
    assert_eq!(store.ended(&["diff", &old]), (1, lines.to_owned()));

    let new = store.file("new.json", &store.printed(&["dump", "/t"]));
    assert_eq!(store.ended(&["diff", &old, &new]), (1, lines.to_owned()));
    let (code, json) = store.ended(&["diff", "--json", &old, &new]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, json.as_array().unwrap().len()), (1, 4));
    assert_eq!(json[1]["change"], "value");
    assert_eq!(json[1]["new"], "uno");

    for words in [
        &["diff", "/nonexistent"][..],
        &["diff", &old, "/nonexistent"],
        &["diff"],
        &["diff", &store.file("no.json", "{}")],
        &["diff", &store.file("no.txt", "neither\n")],
    ] {
        let (code, text) = store.ended(words);
        assert_eq!(code, 2, "{words:?}: {text}");
        assert!(!text.is_empty());
    }
}

#[test]
fn what_cannot_be_loaded_changes_nothing() {
    let store = Setting::new();
    let before = store.printed(&["dump", "/t"]);
    // The stand-in knows domain 0 alone.
    let text = "/t/fresh = \"1\"\n/t/guest = \"2\"   (n7)\n";
    let file = store.file("dump.txt", text);
    let (code, complaint) = store.ended(&["load", &file]);
    assert_eq!(code, 1);
    assert_eq!(
        complaint,
        "xenstore: could not give /t/guest to domain 7, which does not exist \
         (--no-permissions leaves permissions out)\n"
    );
    assert_eq!(store.printed(&["dump", "/t"]), before);
    store.printed(&["load", "--no-permissions", &file]);
    assert_eq!(store.printed(&["read", "/t/guest"]), "2\n");
}

#[test]
fn a_store_that_is_not_there_is_named() {
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xenstore"));
        let output = command.env("XENSTORED_PATH", "/nowhere/else").args(words).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    for (words, place) in [
        (&["--socket", "/nowhere/socket", "ls"][..], "/nowhere/socket"),
        (&["load", "/dev/null"], "/nowhere/else"),
        (&["read", "/t"], "/nowhere/else"),
    ] {
        let (status, complaint) = run(words);
        assert_eq!(status, 1, "{words:?}");
        assert!(complaint.contains(place), "{complaint}");
        assert!(complaint.contains("No such file or directory"), "{complaint}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_quietly() {
    let store = Setting::new();
    let mut ls = store.command(&["ls", "-f", "/"]);
    // A pipe whose other end is closed before the first byte.
    let mut child = ls.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(141));
    assert!(output.stderr.is_empty());
}

#[test]
fn manual_pages_are_those_of_this_command_line() {
    let directory = tempfile::tempdir().unwrap();
    let status =
        Command::new(env!("CARGO_BIN_EXE_xenstore")).arg("man").arg(directory.path()).status();
    assert!(status.unwrap().success());
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/man");
    for page in fs::read_dir(directory.path()).unwrap() {
        let page = page.unwrap();
        let name = page.file_name();
        let ours = fs::read_to_string(PathBuf::from(kept).join(&name)).unwrap_or_default();
        assert!(
            ours == fs::read_to_string(page.path()).unwrap(),
            "{name:?} is out of date: run `xenstore man docs/man`"
        );
    }
}
