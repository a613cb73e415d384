//! The text of a path or a special name: still in a message, or kept.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Mostly a request is over before its message is: then nothing of it is copied. All kinds
/// are the same if their letters are.
pub(super) enum Text<'a> {
    /// As it lies in a message.
    Borrowed(&'a str),
    /// Made for one request, of a relative spelling.
    Built(String),
    /// Kept.
    Shared(Arc<str>),
}

impl Text<'_> {
    pub fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Built(text) => text,
            Self::Shared(text) => text,
        }
    }

    /// The same for as long as this one is there.
    pub fn borrowed(&self) -> Text<'_> {
        Text::Borrowed(self.as_str())
    }

    /// The same for good, and cheap to clone.
    pub fn into_owned(self) -> Text<'static> {
        Text::Shared(match self {
            Self::Borrowed(text) => text.into(),
            Self::Built(text) => text.into(),
            Self::Shared(text) => text,
        })
    }
}

impl Clone for Text<'_> {
    fn clone(&self) -> Self {
        match self {
            Self::Borrowed(text) => Self::Borrowed(text),
            // Who wants two of it keeps one.
            Self::Built(text) => Self::Shared(text.as_str().into()),
            Self::Shared(text) => Self::Shared(text.clone()),
        }
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text<'_> {}

impl PartialOrd for Text<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for Text<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}
