//! What can be asked of the store, and what can come of it.

use std::fmt::Display;

use xenstore_tree::Subtree;
use xenstore_wire::{Name, Path};

use crate::acl::Acl;
use crate::grant::Grant;
use crate::node::{NodeData, Value};

/// A request that reads or changes the store: what a transaction consists of.
#[derive(Clone, Debug)]
pub enum Operation<'a> {
    Read(Path<'a>),
    Directory(Path<'a>),
    DirectoryPart(Path<'a>, usize),
    GetPerms(Name<'a>),
    Write(Path<'a>, Value),
    Mkdir(Path<'a>),
    Rm(Path<'a>),
    SetPerms(Name<'a>, Grant),
}

impl<'a> Operation<'a> {
    /// Whether it cannot change anything.
    pub fn is_read(&self) -> bool {
        matches!(
            self,
            Self::Read(_) | Self::Directory(_) | Self::DirectoryPart(..) | Self::GetPerms(_)
        )
    }

    /// Bytes its names and values take.
    pub fn size(&self) -> usize {
        let value = match self {
            Self::Write(_, value) => value.len(),
            Self::SetPerms(_, grant) => grant.size(),
            _ => 0,
        };
        self.name().as_bytes().len() + value
    }

    /// What it acts on.
    pub fn name(&self) -> Name<'_> {
        self.on(Name::borrowed, |path| Name::Node(path.borrowed()))
    }

    /// What it acts on, for good.
    pub fn owned_name(&self) -> Name<'static> {
        let of_path = |path: &Path<'a>| Name::Node(path.clone().into_owned());
        self.on(|name| name.clone().into_owned(), of_path)
    }

    /// Nothing but what it acts on.
    pub fn into_name(self) -> Name<'a> {
        match self {
            Self::GetPerms(name) | Self::SetPerms(name, _) => name,
            Self::Read(path)
            | Self::Directory(path)
            | Self::DirectoryPart(path, _)
            | Self::Write(path, _)
            | Self::Mkdir(path)
            | Self::Rm(path) => Name::Node(path),
        }
    }

    /// The same for good: its message may go.
    pub fn into_owned(self) -> Operation<'static> {
        match self {
            Self::Read(path) => Operation::Read(path.into_owned()),
            Self::Directory(path) => Operation::Directory(path.into_owned()),
            Self::DirectoryPart(path, offset) => {
                Operation::DirectoryPart(path.into_owned(), offset)
            }
            Self::GetPerms(name) => Operation::GetPerms(name.into_owned()),
            Self::Write(path, value) => Operation::Write(path.into_owned(), value),
            Self::Mkdir(path) => Operation::Mkdir(path.into_owned()),
            Self::Rm(path) => Operation::Rm(path.into_owned()),
            Self::SetPerms(name, grant) => Operation::SetPerms(name.into_owned(), grant),
        }
    }

    /// The path of what it acts on; `None` for a special name.
    pub fn path(&self) -> Option<&Path<'a>> {
        self.on(
            |name| match name {
                Name::Node(path) => Some(path),
                Name::Special(_) => None,
            },
            Some,
        )
    }

    /// What is made of what it acts on: of a name, or of a path where there can be nothing else.
    fn on<'s, T>(
        &'s self,
        of_name: impl FnOnce(&'s Name<'a>) -> T,
        of_path: impl FnOnce(&'s Path<'a>) -> T,
    ) -> T {
        match self {
            Self::GetPerms(name) | Self::SetPerms(name, _) => of_name(name),
            Self::Read(path)
            | Self::Directory(path)
            | Self::DirectoryPart(path, _)
            | Self::Write(path, _)
            | Self::Mkdir(path)
            | Self::Rm(path) => of_path(path),
        }
    }
}

/// The answer to a request that was granted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// `OK`: it was done.
    Done,
    /// A value, shared with the node it was read from.
    Value(Value),
    /// Any other payload.
    Payload(Vec<u8>),
}

impl Reply {
    /// Bytes it takes.
    pub fn size(&self) -> usize {
        match self {
            Self::Done => 0,
            Self::Value(value) => value.len(),
            Self::Payload(payload) => payload.len(),
        }
    }

    /// A text and its NUL.
    pub fn text(text: impl Display) -> Self {
        Self::Payload(format!("{text}\0").into_bytes())
    }
}

/// What an operation did, as far as watches care.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Nothing.
    Nothing,
    /// A value was set.
    Written,
    /// A node was created.
    Created,
    /// This subtree is gone.
    Removed(Subtree<NodeData>),
    /// The permissions are others; before, they were these.
    Permissions(Acl),
}
