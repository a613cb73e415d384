//! What can be asked of the nodes, and doing it.

use xenstore_wire::{Errno, PAYLOAD_MAX};

use crate::acl::{Acl, Caller, Entry, Permission, Right};
use crate::domains::{Domains, Holder};
use crate::path::parent;
use crate::store::Store;

/// What is to be done at a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Read the value.
    Read,
    /// List the children.
    Directory,
    /// List them from this byte on.
    DirectoryPart(usize),
    /// Read the permissions.
    GetPerms,
    /// Set the value, creating what is missing.
    Write(String),
    /// Create what is missing.
    Mkdir,
    /// Remove it with all below.
    Rm,
    /// Replace the permissions.
    SetPerms(Vec<Permission>),
}

/// An action whose checks that need no node are behind it.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Where.
    pub name: String,
    /// What.
    pub action: Action,
    /// Whom each entry of a permission list meant when it came.
    pub holders: Vec<Holder>,
}

/// What a client is told: a payload or an error.
pub type Answer = Result<String, Errno>;

/// What an operation did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Nothing.
    Nothing,
    /// The node is another, or there now.
    Changed,
    /// The node is gone, with all below it.
    Removed,
}

type Outcome = Result<(String, Effect), Errno>;

/// The answer when there is nothing more to say.
pub const OK: &str = "OK\0";

/// For whom an operation is done.
#[derive(Clone, Copy, Debug)]
pub struct Behalf<'a> {
    /// Who asks.
    pub caller: Caller,
    /// The domains as they are now, and their limits.
    pub domains: &'a Domains,
    /// How many nodes the caller owns that this copy of the store does not show (or, if
    /// negative, shows too many): what others did to its account since the copy was made.
    pub elsewhere: i64,
}

impl Behalf<'_> {
    fn check(&self, quota: &str, wanted: usize) -> Result<(), Errno> {
        if self.domains.permits(&self.caller, quota, wanted) { Ok(()) } else { Err(Errno::NoSpc) }
    }

    /// Whether the caller has a right at a place that is there.
    fn permit(&self, store: &Store, place: &str, right: Right) -> Result<(), Errno> {
        let allowed = store.acl(place).is_some_and(|acl| acl.allows(&self.caller, right));
        if allowed { Ok(()) } else { Err(Errno::Acces) }
    }
}

impl Store {
    /// Does an operation; one that is refused changes nothing.
    pub fn execute(&mut self, operation: &Operation, behalf: &Behalf<'_>) -> (Answer, Effect) {
        match self.attempt(operation, behalf) {
            Ok((payload, effect)) => (Ok(payload), effect),
            Err(errno) => (Err(errno), Effect::Nothing),
        }
    }

    fn attempt(&mut self, operation: &Operation, behalf: &Behalf<'_>) -> Outcome {
        let name = &operation.name;
        match &operation.action {
            Action::Write(value) => self.write(name, value, behalf),
            Action::Mkdir => self.mkdir(name, behalf),
            Action::Rm => self.rm(name, behalf),
            Action::SetPerms(list) => self.set_perms(name, list, &operation.holders, behalf),
            Action::Read => self.look(name, behalf, |store| Ok(store.nodes[name].value.clone())),
            Action::Directory => self.look(name, behalf, |store| {
                Some(store.list(name)).filter(|list| list.len() <= PAYLOAD_MAX).ok_or(Errno::TooBig)
            }),
            Action::DirectoryPart(from) => {
                self.look(name, behalf, |store| Ok(part(&store.list(name), *from)))
            }
            Action::GetPerms => {
                self.look(name, behalf, |store| Ok(store.nodes[name].acl.texts().join("\0") + "\0"))
            }
        }
    }

    fn look(
        &self,
        name: &str,
        behalf: &Behalf<'_>,
        answer: impl FnOnce(&Self) -> Answer,
    ) -> Outcome {
        self.find(name, Right::Read, behalf)?;
        Ok((answer(self)?, Effect::Nothing))
    }

    /// Whether there is a node and the caller has the right. Who has not even the right to
    /// look, or create, where it would be is not told that it is missing.
    fn find(&self, name: &str, right: Right, behalf: &Behalf<'_>) -> Result<(), Errno> {
        if self.has(name) {
            return behalf.permit(self, name, right);
        }
        let right = if right == Right::Own { Right::Write } else { right };
        behalf.permit(self, self.nearest(name), right)?;
        Err(Errno::NoEnt)
    }

    fn write(&mut self, name: &str, value: &str, behalf: &Behalf<'_>) -> Outcome {
        behalf.permit(self, self.nearest(name), Right::Write)?;
        let Some(node) = self.get(name) else {
            return self.create(name, value, behalf);
        };
        behalf.check("node-size", self.size(name) - node.value.len() + value.len())?;
        self.set_value(name, value);
        Ok((OK.to_owned(), Effect::Changed))
    }

    fn mkdir(&mut self, name: &str, behalf: &Behalf<'_>) -> Outcome {
        behalf.permit(self, self.nearest(name), Right::Write)?;
        if self.has(name) {
            return Ok((OK.to_owned(), Effect::Nothing));
        }
        self.create(name, "", behalf)
    }

    /// Creates a node and the ancestors it lacks, all with the permissions of the nearest
    /// that there is; what an unprivileged caller makes is its own.
    fn create(&mut self, name: &str, value: &str, behalf: &Behalf<'_>) -> Outcome {
        let above = self.nearest(name);
        let mut acl = self.nodes[above].acl.clone();
        if !behalf.caller.privileged {
            acl.owner.domid = behalf.caller.domid;
        }
        let mut missing = Vec::new();
        let mut place = Some(name);
        while let Some(new) = place.filter(|place| *place != above) {
            missing.insert(0, new);
            place = parent(new);
        }

        let owned = signed(self.count_of(behalf.caller.domid)) + behalf.elsewhere;
        let wanted = owned + signed(missing.len());
        behalf.check("nodes", usize::try_from(wanted).unwrap_or(0))?;
        // Trying is the plainest way to know how large each node would be.
        let before = self.clone();
        for new in &missing {
            self.insert(new, if *new == name { value } else { "" }, acl.clone());
        }
        let mut grown = [above].into_iter().chain(missing.iter().copied());
        if grown.any(|place| behalf.check("node-size", self.size(place)).is_err()) {
            *self = before;
            return Err(Errno::NoSpc);
        }
        Ok((OK.to_owned(), Effect::Changed))
    }

    fn rm(&mut self, name: &str, behalf: &Behalf<'_>) -> Outcome {
        if name == "/" {
            return Err(if behalf.caller.privileged { Errno::Inval } else { Errno::Acces });
        }
        behalf.permit(self, self.nearest(name), Right::Write)?;
        if self.has(name) {
            self.remove(name);
            return Ok((OK.to_owned(), Effect::Removed));
        }
        // It is as if it had been removed before, if only its parent is there.
        let has_parent = parent(name).is_some_and(|parent| self.has(parent));
        if has_parent { Ok((OK.to_owned(), Effect::Nothing)) } else { Err(Errno::NoEnt) }
    }

    fn set_perms(
        &mut self,
        name: &str,
        list: &[Permission],
        holders: &[Holder],
        behalf: &Behalf<'_>,
    ) -> Outcome {
        let entries = list.iter().zip(holders).map(|(&permission, holder)| {
            let stale = !behalf.domains.is_there(permission.domid, *holder);
            Entry { permission, stale }
        });
        let mut entries: Vec<_> = entries.collect();
        let owner = entries.remove(0);
        if owner.stale {
            return Err(Errno::NoEnt);
        }
        self.find(name, Right::Own, behalf)?;
        if !behalf.caller.privileged && owner.permission.domid != self.nodes[name].acl.owner.domid {
            return Err(Errno::Perm);
        }
        let before = self.clone();
        self.set_acl(name, Acl { owner: owner.permission, others: entries });
        if let Err(errno) = behalf.check("node-size", self.size(name)) {
            *self = before;
            return Err(errno);
        }
        Ok((OK.to_owned(), Effect::Changed))
    }
}

/// Whole names of a list from a byte on, as they fit beside the longest generation; after
/// the last one comes an empty name.
fn part(list: &str, from: usize) -> String {
    const ROOM: usize = PAYLOAD_MAX - 22;
    let rest = list.get(from..).unwrap_or_default();
    let mut part = String::new();
    for name in rest.split_inclusive('\0') {
        if part.len() + name.len() > ROOM {
            return part;
        }
        part.push_str(name);
    }
    part + "\0"
}

/// What an operation changes at a name beside what it answers, for whoever wants to know.
pub fn changes(operation: &Operation, effect: Effect) -> Option<(String, bool)> {
    let removed = match effect {
        Effect::Nothing => return None,
        Effect::Changed => false,
        Effect::Removed => true,
    };
    Some((operation.name.clone(), removed))
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_in_parts_ends_in_an_empty_name() {
        assert_eq!(part("a\0bc\0", 0), "a\0bc\0\0");
        assert_eq!(part("a\0bc\0", 2), "bc\0\0");
        assert_eq!(part("a\0bc\0", 9), "\0");
        let long = format!("{}\0", "x".repeat(1000)).repeat(5);
        assert_eq!(part(&long, 0).len(), 4 * 1001);
    }
}
