//! Bringing a daemon back to the store every sequence starts from.

use xenstore_wire::MessageType as T;

use crate::message::Message;
use crate::target::{Link, Target};

/// Domains that sequences introduce.
const DOMAINS: [u16; 3] = [1, 2, 3];

/// A connection that cleans up between sequences.
pub struct Caretaker {
    link: Box<dyn Link>,
}

impl Caretaker {
    /// Connects to a daemon.
    pub fn new(target: &dyn Target) -> Self {
        Self { link: target.connect() }
    }

    /// Makes the store what it is at the start of every sequence: `/` and `/local`,
    /// both of domain 0 and closed to others, as are the special names.
    pub fn reset(&mut self) {
        for domid in DOMAINS {
            self.ask(T::Release, format!("{domid}\0").as_bytes());
        }
        for child in self.children("/") {
            self.ask(T::Rm, format!("/{child}\0").as_bytes());
        }
        self.ask(T::Write, b"/\0");
        self.ask(T::SetPerms, b"/\0n0\0");
        for name in ["@introduceDomain", "@releaseDomain"] {
            // Some daemons keep these in the tree, where they were just removed;
            // the others refuse.
            self.ask(T::Write, format!("{name}\0").as_bytes());
            self.ask(T::SetPerms, format!("{name}\0n0\0").as_bytes());
        }
        self.ask(T::Mkdir, b"/local\0");
    }

    /// All nodes with values and permissions, for comparison; special names left out.
    pub fn dump(&mut self) -> Vec<(String, Vec<u8>, Vec<u8>)> {
        let mut nodes = Vec::new();
        let mut open = vec!["/".to_owned()];
        while let Some(path) = open.pop() {
            let spelt = format!("{path}\0");
            let value = self.ask(T::Read, spelt.as_bytes()).payload;
            let permissions = self.ask(T::GetPerms, spelt.as_bytes()).payload;
            let mut children = self.children(&path);
            children.retain(|name| !name.starts_with('@'));
            children.sort();
            let stem = path.trim_end_matches('/');
            open.extend(children.iter().rev().map(|name| format!("{stem}/{name}")));
            nodes.push((path, value, permissions));
        }
        nodes
    }

    fn children(&mut self, path: &str) -> Vec<String> {
        let reply = self.ask(T::Directory, format!("{path}\0").as_bytes());
        let list = if reply.is_error() { self.long_list(path) } else { reply.payload };
        let names = list.split(|&byte| byte == 0).filter(|name| !name.is_empty());
        names.map(|name| String::from_utf8_lossy(name).into_owned()).collect()
    }

    /// A list too long for one message.
    fn long_list(&mut self, path: &str) -> Vec<u8> {
        let mut list = Vec::new();
        while !list.ends_with(b"\0\0") {
            let question = format!("{path}\0{}\0", list.len());
            let part = self.ask(T::DirectoryPart, question.as_bytes());
            let generation = part.payload.iter().position(|&byte| byte == 0);
            let names = generation.and_then(|at| part.payload.get(at + 1..)).unwrap_or_default();
            if part.is_error() || names.is_empty() {
                break;
            }
            list.extend_from_slice(names);
        }
        list
    }

    fn ask(&mut self, kind: T, payload: &[u8]) -> Message {
        self.link.send(&Message::new(kind.number(), 0, 0, payload).encode());
        let reply = self.link.receive();
        reply.unwrap_or_else(|| panic!("a daemon died of {kind} \"{}\"", payload.escape_ascii()))
    }
}
