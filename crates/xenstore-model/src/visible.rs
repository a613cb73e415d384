//! All of a model that clients can find out, now or later.

use std::fmt::Write;

use crate::model::Model;
use crate::store::Store;

impl Model {
    /// All that clients can find out of it: what lists and orders say is in it, and what
    /// merely counts is not. Two models of which it is the same go on alike.
    pub fn visible(&self) -> String {
        let mut text = String::new();
        show(&self.store, &mut text);
        for (number, client) in self.clients.iter().enumerate() {
            for (transaction, open) in &client.transactions {
                let _ = writeln!(text, "{number} in {transaction} since {}", open.moment());
                show(open.base(), &mut text);
                show(open.store(), &mut text);
            }
        }
        for watch in &self.watches {
            let _ = writeln!(text, "{:?}", (watch.client, &watch.name, &watch.token, watch.depth));
        }
        let _ = writeln!(text, "{:?}", self.domains);
        text
    }
}

/// Nodes in the order in which they are listed.
fn show(store: &Store, text: &mut String) {
    let specials = store.nodes.keys().filter(|name| name.starts_with('@')).cloned();
    for name in store.top_down("/").into_iter().chain(specials) {
        if let Some(node) = store.get(&name) {
            // Writing into a string cannot fail.
            let _ = writeln!(text, "{name} = {:?} {:?}", node.value, node.acl);
        }
    }
}
