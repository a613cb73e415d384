//! What nodes cost their owners, and whether a caller may have more.
//!
//! A node costs itself, its path, and its own name in its parent's list. Charging the
//! name to the node and not to its parent keeps every change of an account local.

use std::mem;

use xenstore_tree::{Node, Subtree};
use xenstore_wire::{Domid, Path};

use crate::acl::Acl;
use crate::context::Context;
use crate::node::{NodeData, Value};
use crate::quota::{Charge, Ledger, Quota};
use crate::refusal::Refusal;

/// Whether the caller may own so many nodes more. The transaction's own removals and
/// creations count (XSA-421).
pub fn check_nodes(more: usize, cx: &Context<'_>) -> Result<(), Refusal> {
    let owned = cx.domains.usage(cx.caller.domid, Quota::Nodes);
    let pending = cx.ledger.of(cx.caller.domid).nodes.saturating_add(signed(more));
    cx.domains.check(&cx.caller, Quota::Nodes, owned.saturating_add_signed(pending))
}

/// Whether a domain's nodes may take so many bytes more. Who is privileged may have
/// everything, for others too.
pub fn check_memory(owner: Domid, more: i64, cx: &Context<'_>) -> Result<(), Refusal> {
    if more <= 0 || cx.caller.privileged {
        return Ok(());
    }
    // What a transaction made before is in its record, which its own domain is charged for.
    let noted = if owner == cx.caller.domid { 0 } else { cx.ledger.of(owner).bytes };
    let wanted = cx.domains.usage(owner, Quota::Memory).saturating_add_signed(noted + more);
    cx.domains.check_of(owner, &cx.caller, Quota::Memory, wanted)
}

/// Whether domains may have what was noted for them, all of it together.
pub fn check_ledger(ledger: &Ledger, cx: &Context<'_>) -> Result<(), Refusal> {
    if cx.caller.privileged {
        return Ok(());
    }
    ledger.charged().filter(|(_, charge)| charge.bytes > 0).try_for_each(|(owner, charge)| {
        let used = cx.domains.usage(owner, Quota::Memory).saturating_add_signed(charge.bytes);
        cx.domains.check_of(owner, &cx.caller, Quota::Memory, used)
    })
}

/// Whether a node of the caller's may become so large.
pub fn check_size(
    node: &Node<NodeData>,
    entries: usize,
    value: usize,
    more: usize,
    cx: &Context<'_>,
) -> Result<(), Refusal> {
    if cx.caller.privileged {
        return Ok(());
    }
    let limit = cx.domains.limit(cx.caller.domid, Quota::NodeSize) as usize;
    let mut size = NODE_HEADER + ENTRY * entries + value + more;
    for child in node.children() {
        // Every child counts at least two bytes: this looks at no more than the limit.
        if limit == 0 || size > limit {
            break;
        }
        size += child.name().len() + 1;
    }
    cx.domains.check(&cx.caller, Quota::NodeSize, size as u64)
}

/// The same for nodes about to be created, each but the last the parent of the next.
pub fn check_new_sizes(
    names: &[&[u8]],
    entries: usize,
    value: &Value,
    cx: &Context<'_>,
) -> Result<(), Refusal> {
    let children = names.iter().skip(1).map(|name| name.len() + 1);
    let largest = children.chain([value.len()]).max().unwrap_or(0);
    let size = NODE_HEADER + ENTRY * entries + largest;
    cx.domains.check(&cx.caller, Quota::NodeSize, size as u64)
}

/// Bytes a node counts beside what it holds when its size is limited, as toolstacks know
/// from the C daemon.
const NODE_HEADER: usize = 16;
/// Bytes an entry of its permission list counts then.
const ENTRY: usize = 8;

/// Bytes of memory a node takes beside what it holds: itself, its place in its parent's
/// list, and a permission list of one entry (`examples/footprint.rs`).
const NODE_COST: usize = 208;
/// Bytes of memory that a further entry of its permission list takes, beside the path that
/// `estates` may keep for it: where its domain is named.
const ENTRY_COST: usize = 64;

/// Bytes of memory that a permission list of so many entries takes.
pub fn entries_cost(entries: usize, path_length: usize) -> i64 {
    signed((ENTRY_COST + path_length) * entries.saturating_sub(1))
}

/// What a node costs its owner: itself, its path, and its name in its parent's list.
pub fn charge_of(acl: &Acl, value: &Value, path_length: usize, name_length: usize) -> Charge {
    let bytes = NODE_COST + value.len() + path_length + name_length + 1;
    Charge { nodes: 1, bytes: signed(bytes) + entries_cost(acl.count(), path_length) }
}

/// Notes what each node of a subtree at `path` costs its owner; `sign` says whether it
/// comes or goes. Returns whether none concerns anybody whom its parent does not, which is
/// found on the way.
pub fn charge_all(
    subtree: &Subtree<NodeData>,
    path: &Path<'_>,
    ledger: &mut Ledger,
    sign: fn(Charge) -> Charge,
) -> bool {
    let top = &subtree.value().acl;
    // Most nodes have the owner of the one before: what they cost is noted together.
    let (mut owner, mut together) = (top.owner(), Charge::default());
    let mut charge = |node: &Node<NodeData>, length: usize| {
        let NodeData { acl, value } = node.value();
        if acl.owner() != owner {
            ledger.note(owner, sign(mem::take(&mut together)));
            owner = acl.owner();
        }
        together += charge_of(acl, value, length, node.name().len());
    };
    let mut way = vec![(path.as_bytes().len(), top)];
    let mut alike = true;
    charge(subtree, path.as_bytes().len());
    for (depth, node) in subtree.descendants() {
        way.truncate(depth);
        let Some(&(above, parent)) = way.last() else {
            break;
        };
        let (length, acl) = (above + 1 + node.name().len(), &node.value().acl);
        if node.has_children() {
            way.push((length, acl));
        }
        charge(node, length);
        alike = alike && (acl.is_shared_with(parent) || !acl.adds_to(parent));
    }
    ledger.note(owner, sign(together));
    alike
}

/// Sizes are bounded by messages of 4096 bytes and by memory: they fit.
pub fn signed(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
