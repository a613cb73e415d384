//! The way down to the node at hand of a walk.

use xenstore_wire::Path;

/// The path of the node at hand, in a walk below a place that shows parents before their
/// children.
#[derive(Debug)]
pub struct Way {
    text: Vec<u8>,
    /// How long the path is of each node on the way.
    lengths: Vec<usize>,
}

impl Way {
    /// From a place on.
    pub fn from(place: &Path<'_>) -> Self {
        let text = if place.is_root() { Vec::new() } else { place.as_bytes().to_owned() };
        Self { lengths: vec![text.len()], text }
    }

    /// Goes to a node so deep below the place; its path. The place itself has depth 0.
    pub fn go(&mut self, depth: usize, name: &[u8]) -> &[u8] {
        if depth > 0 {
            self.lengths.truncate(depth);
            self.text.truncate(self.lengths.last().copied().unwrap_or(0));
            self.text.push(b'/');
            self.text.extend_from_slice(name);
            self.lengths.push(self.text.len());
        }
        if self.text.is_empty() { b"/" } else { &self.text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_goes_down_and_up_again() {
        for (place, expected) in
            [("/", ["/", "/a", "/a/b", "/c"]), ("/x", ["/x", "/x/a", "/x/a/b", "/x/c"])]
        {
            let mut way = Way::from(&Path::absolute(place).unwrap());
            let steps = [(0, ""), (1, "a"), (2, "b"), (1, "c")];
            let paths = steps.map(|(depth, name)| way.go(depth, name.as_bytes()).to_owned());
            assert_eq!(paths, expected.map(str::as_bytes));
        }
    }
}
