//! The table in `docs/security.md` is that of the tests there are. `UPDATE_DOCS=1` writes it
//! anew.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use std::collections::BTreeSet;
use std::path::Path;
use std::{env, fs};

use xenstore_security::advisories::{CLASSES, tables};

const CRATE: &str = env!("CARGO_MANIFEST_DIR");

/// Where the tables are.
const BEGIN: &str = "<!-- from the tests -->\n";
const END: &str = "<!-- end -->\n";

/// The names of the tests in a file.
fn tests_in(file: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(file).unwrap();
    let after = text.split("#[test]\nfn ").skip(1);
    after.map(|rest| rest.split('(').next().unwrap().to_owned()).collect()
}

#[test]
fn every_row_has_its_tests_and_every_test_its_row() {
    for class in CLASSES {
        let file = Path::new(CRATE).join("tests").join(class.file).with_extension("rs");
        let named: Vec<_> = class.rows.iter().flat_map(|row| row.tests).copied().collect();
        let set: BTreeSet<_> = named.iter().map(|&name| name.to_owned()).collect();
        assert_eq!(set.len(), named.len(), "a test is named twice in {}", class.title);
        assert_eq!(set, tests_in(&file), "{}", class.title);
        for row in class.rows {
            assert!(!row.tests.is_empty() && !row.places.is_empty(), "{}", row.advisory);
            for place in row.places {
                assert!(Path::new(CRATE).join("..").join(place).is_file(), "{place}");
            }
            // A test bears the number of its row.
            if let Some(number) = row.advisory.strip_prefix("XSA-") {
                let prefix = format!("xsa_{number}_");
                assert!(row.tests.iter().all(|test| test.starts_with(&prefix)), "{}", row.advisory);
            }
        }
    }
}

#[test]
fn every_file_of_tests_is_a_class() {
    let classes: BTreeSet<_> = CLASSES.iter().map(|class| class.file.to_owned()).collect();
    let files = fs::read_dir(Path::new(CRATE).join("tests")).unwrap();
    let files = files.map(|file| file.unwrap().path().file_stem().unwrap().to_owned());
    let files: BTreeSet<_> = files.map(|stem| stem.into_string().unwrap()).collect();
    assert_eq!(&classes | &BTreeSet::from(["document".to_owned()]), files);
}

#[test]
fn the_document_is_up_to_date() {
    let document = Path::new(CRATE).join("../../docs/security.md");
    let before = fs::read_to_string(&document).unwrap();
    let (above, rest) = before.split_once(BEGIN).unwrap();
    let (_, below) = rest.split_once(END).unwrap();
    let now = format!("{above}{BEGIN}{}{END}{below}", tables());
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(document, now).unwrap();
    } else {
        assert!(now == before, "docs/security.md says otherwise: run this with UPDATE_DOCS=1");
    }
}
