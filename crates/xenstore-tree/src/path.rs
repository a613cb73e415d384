//! A path that follows a walk, so that visiting a node does not allocate.

/// The text of a path, extended by a name and cut back again as a walk goes
/// down and up.
///
/// Names are joined by `/`. A text that is empty or ends in `/` gets no second
/// one, so that a walk can start from nothing (`a/b`), from a root (`/a/b`) or
/// from a directory (`/base/a/b`).
#[derive(Default)]
pub(crate) struct PathBuffer {
    text: String,
}

impl PathBuffer {
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// What [`PathBuffer::cut`] and [`PathBuffer::enter`] want to know later.
    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    /// Starts over below `prefix`.
    pub(crate) fn restart(&mut self, prefix: &str) {
        prefix.clone_into(&mut self.text);
    }

    /// Goes back up to the node whose path is `length` long.
    pub(crate) fn cut(&mut self, length: usize) {
        self.text.truncate(length);
    }

    /// Goes to the child `name` of the node whose path is `parent` long.
    pub(crate) fn enter(&mut self, parent: usize, name: &str) {
        self.cut(parent);
        if !self.text.is_empty() && !self.text.ends_with('/') {
            self.text.push('/');
        }
        self.text.push_str(name);
    }
}
