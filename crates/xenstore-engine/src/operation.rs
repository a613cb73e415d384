//! What can be asked of the store, and what can come of it.

use std::fmt::Display;

use xenstore_tree::Subtree;
use xenstore_wire::{Name, Path};

use crate::acl::Acl;
use crate::grant::Grant;
use crate::node::NodeData;
use crate::value::Value;

/// A request that reads or changes the store: what a transaction consists of.
#[derive(Clone, Debug)]
pub enum Operation {
    Read(Path),
    Directory(Path),
    DirectoryPart(Path, usize),
    GetPerms(Name),
    Write(Path, Value),
    Mkdir(Path),
    Rm(Path),
    SetPerms(Name, Grant),
}

impl Operation {
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
        self.name().as_str().len() + value
    }

    /// What it acts on.
    pub fn name(&self) -> Name {
        match self {
            Self::GetPerms(name) | Self::SetPerms(name, _) => name.clone(),
            Self::Read(path)
            | Self::Directory(path)
            | Self::DirectoryPart(path, _)
            | Self::Write(path, _)
            | Self::Mkdir(path)
            | Self::Rm(path) => Name::Node(path.clone()),
        }
    }

    /// The path of what it acts on; `None` for a special name.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::GetPerms(Name::Special(_)) | Self::SetPerms(Name::Special(_), _) => None,
            Self::GetPerms(Name::Node(path))
            | Self::SetPerms(Name::Node(path), _)
            | Self::Read(path)
            | Self::Directory(path)
            | Self::DirectoryPart(path, _)
            | Self::Write(path, _)
            | Self::Mkdir(path)
            | Self::Rm(path) => Some(path),
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
