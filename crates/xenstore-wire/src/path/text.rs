//! The text of a path or a special name: still in a message, or kept.
//!
//! As bytes, which is all that finding a node and telling of it need: to look at each once more,
//! lest one is no text, took 62 instructions of a READ's 2210.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Mostly a request is over before its message is: then nothing of it is copied. All kinds
/// are the same if their letters are, which are all ASCII.
pub(super) enum Text<'a> {
    /// As it lies in a message.
    Borrowed(&'a [u8]),
    /// Made for one request, of a relative spelling.
    Built(Vec<u8>),
    /// Kept.
    Shared(Arc<[u8]>),
}

impl Text<'_> {
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Borrowed(text) => text,
            Self::Built(text) => text,
            Self::Shared(text) => text,
        }
    }

    /// Looks at each byte. All are ASCII, so this cannot fail; written so that it need not be
    /// argued.
    pub fn as_str(&self) -> &str {
        str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The same for as long as this one is there.
    pub fn borrowed(&self) -> Text<'_> {
        Text::Borrowed(self.as_bytes())
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
            Self::Built(text) => Self::Shared(text.as_slice().into()),
            Self::Shared(text) => Self::Shared(text.clone()),
        }
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
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
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for Text<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}
