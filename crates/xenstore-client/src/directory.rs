//! Lists of children longer than a message.
//!
//! The plain request comes first, since nearly every list fits. A daemon that says
//! `E2BIG` is asked part by part; if the node changes meanwhile, from the start.

use xenstore_wire::{Errno, MessageType};

use crate::call::{Call, Part, malformed, split_names};
use crate::error::{Error, Result};

/// A list being put together.
#[derive(Debug)]
pub(crate) struct PartialList {
    path: String,
    generation: Vec<u8>,
    /// Names so far, each with its NUL.
    list: Vec<u8>,
}

impl PartialList {
    /// Begins where a plain `DIRECTORY` was refused; returns the refusal if another
    /// reason than the length was behind it.
    pub(crate) fn after(refusal: Error, path: &str) -> Result<Self> {
        if refusal.errno() != Some(Errno::TooBig) {
            return Err(refusal);
        }
        Ok(Self { path: path.to_owned(), generation: Vec::new(), list: Vec::new() })
    }

    /// What to ask next.
    pub(crate) fn ask(&self) -> Result<Call<Part>> {
        Call::directory_part(&self.path, self.list.len())
    }

    /// Takes an answer; the whole list if that was the last part.
    pub(crate) fn take(&mut self, answer: Result<Part>) -> Result<Option<Vec<String>>> {
        let part = answer.map_err(|error| self.without_parts(error))?;
        if !self.list.is_empty() && part.generation != self.generation {
            self.list.clear();
            return Ok(None);
        }
        self.generation = part.generation;
        self.list.extend_from_slice(&part.names);
        // The last name's NUL and one more. An empty list is that one alone.
        if self.list != [0] && !self.list.ends_with(&[0, 0]) {
            if part.names.is_empty() {
                let found = malformed(MessageType::DirectoryPart, "at least one name", b"");
                return Err(found.into());
            }
            return Ok(None);
        }
        self.list.pop();
        split_names(&self.list)
            .map(Some)
            .ok_or_else(|| malformed(MessageType::DirectoryPart, "names", &self.list).into())
    }

    /// A daemon without the request leaves us with the first refusal.
    fn without_parts(&self, error: Error) -> Error {
        if error.errno() != Some(Errno::NoSys) {
            return error;
        }
        Error::Refused {
            request: MessageType::Directory,
            path: Some(self.path.clone()),
            errno: Errno::TooBig,
            unlisted: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(errno: Errno) -> Error {
        Error::Refused { request: MessageType::Directory, path: None, errno, unlisted: None }
    }

    #[expect(clippy::unnecessary_wraps, reason = "as answers come")]
    fn part(generation: &str, names: &[u8]) -> Result<Part> {
        Ok(Part { generation: generation.into(), names: names.to_vec() })
    }

    fn list() -> PartialList {
        PartialList::after(refusal(Errno::TooBig), "/a").unwrap()
    }

    #[test]
    fn parts_are_joined_until_two_nuls() {
        let mut list = list();
        assert_eq!(list.take(part("1", b"a\0bc\0")).unwrap(), None);
        assert_eq!(list.ask().unwrap().payload, b"/a\x005\0");
        assert_eq!(list.take(part("1", b"d\0\0")).unwrap().unwrap(), ["a", "bc", "d"]);
    }

    #[test]
    fn a_list_that_ends_on_a_part_is_closed_by_a_nul_of_its_own() {
        let mut list = list();
        assert_eq!(list.take(part("1", b"a\0")).unwrap(), None);
        assert_eq!(list.take(part("1", b"\0")).unwrap().unwrap(), ["a"]);
    }

    #[test]
    fn a_node_that_changed_is_listed_from_the_start() {
        let mut list = list();
        assert_eq!(list.take(part("1", b"a\0")).unwrap(), None);
        assert_eq!(list.take(part("2", b"x\0\0")).unwrap(), None);
        assert_eq!(list.ask().unwrap().payload, b"/a\x000\0");
        assert_eq!(list.take(part("2", b"b\0\0")).unwrap().unwrap(), ["b"]);
    }

    #[test]
    fn an_emptied_node_has_an_empty_list() {
        assert!(list().take(part("1", b"\0")).unwrap().unwrap().is_empty());
    }

    #[test]
    fn a_daemon_without_parts_or_without_progress_ends_the_loop() {
        let error = list().take(Err(refusal(Errno::NoSys))).unwrap_err();
        assert_eq!(error.errno(), Some(Errno::TooBig));
        assert!(list().take(part("1", b"")).is_err());
        assert!(PartialList::after(refusal(Errno::NoEnt), "/a").is_err());
    }
}
