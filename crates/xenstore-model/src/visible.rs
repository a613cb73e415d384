//! All of a model that clients can find out, now or later.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::domains::Domain;
use crate::model::Model;
use crate::path::parent;
use crate::store::Store;

impl Model {
    /// All that clients can find out of it, but for the most that domains ever had. Two models
    /// of which it is the same go on alike.
    pub fn visible(&self) -> String {
        let mut text = String::new();
        show(&self.store, &mut text);
        for (number, client) in self.clients.iter().enumerate() {
            for (transaction, open) in &client.transactions {
                let _ = writeln!(text, "{number} in {transaction} since {}", open.moment());
                show(open.store(), &mut text);
            }
        }
        for watch in &self.watches {
            let _ = writeln!(text, "{:?}", (watch.client, &watch.name, &watch.token, watch.depth));
        }
        let _ = writeln!(text, "{:?}", self.domains.defaults);
        for (domid, domain) in &self.domains.records {
            let _ =
                writeln!(text, "{domid}: {:?}", Domain { most: BTreeMap::new(), ..domain.clone() });
        }
        text
    }
}

/// Nodes, siblings in the order in which they are listed.
fn show(store: &Store, text: &mut String) {
    let mut nodes: Vec<_> = store.nodes.iter().collect();
    nodes.sort_by_cached_key(|(name, node)| (parent(name), node.created));
    for (name, node) in nodes {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{name} = {:?} {:?}", node.value, node.acl);
    }
}
