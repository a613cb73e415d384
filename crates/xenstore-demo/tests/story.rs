//! The story comes out as it is written down in `demo/transcript.txt`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::cell::RefCell;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::rc::Rc;

use xenstore_conformance::report;
use xenstore_demo::transcript::Transcript;
use xenstore_demo::{Programs, story};

#[derive(Clone, Default)]
struct Paper(Rc<RefCell<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Tells it, ends it, and returns what was written.
fn told(all: bool) -> String {
    let paper = Paper::default();
    let transcript = Transcript::new(Box::new(paper.clone()), all, false);
    let stage = story::tell(&Programs::find().unwrap(), transcript).unwrap();
    let socket = stage.socket();
    assert!(socket.exists());
    drop(stage);
    assert!(!socket.parent().unwrap().exists(), "something is left of the host");
    String::from_utf8(paper.0.take()).unwrap()
}

/// What a domain's memory is said to be changes whenever something is charged differently.
fn without_sums(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.trim_start().starts_with("memory  ")).collect()
}

#[test]
fn it_comes_out_as_written_down() {
    let text = told(false);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../demo/transcript.txt");
    let written = fs::read_to_string(&file).unwrap_or_default();
    let current = report::check_or_write(&file, &text).unwrap()
        || without_sums(&written) == without_sums(&text);
    assert!(current, "{} is stale: run this test with UPDATE_DOCS=1", file.display());
}

/// What must be in it, however it is written down.
#[test]
fn nothing_of_it_is_missing() {
    let text = told(true);
    let lines: Vec<_> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    let times = |words: &str| {
        let words: Vec<_> = words.split_whitespace().collect();
        lines.iter().filter(|line: &&Vec<&str>| line.starts_with(&words)).count()
    };
    for domid in 1..=3 {
        assert_eq!(times(&format!("guest {domid} WATCH control/shutdown")), 1);
        assert_eq!(times(&format!("guest {domid} WRITE data/hello = \"from-{domid}\" OK")), 1);
        assert_eq!(times(&format!("xl, guest {domid} INTRODUCE {domid}")), 1);
    }
    assert_eq!(times("guest 1 READ /tool/secret EACCES"), 1);
    assert_eq!(times("guest 1 WRITE /local/domain/0/evil = \"x\" EACCES"), 1);
    assert_eq!(times("guest 1 READ /local/domain/0/backend/vbd/1/51712/state \"4\""), 1);
    assert_eq!(times("guest 1 READ /local/domain/0/backend/vif/1/0/state \"4\""), 2);
    assert_eq!(times("guest 2 <- control/shutdown"), 4, "set, told, answered, removed");
    // Stopped and gone, twice, and what a new watch is told.
    assert_eq!(times("xenconsoled <- @releaseDomain"), 5);
    assert_eq!(times("xenconsoled <- @introduceDomain"), 4);
}
