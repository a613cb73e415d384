//! Paths as plain text.
//!
//! A *name* is the absolute path of a node (`/a/b`) or a special name (`@releaseDomain`).

const ABSOLUTE_MAX: usize = 3072;
const RELATIVE_MAX: usize = 2048;

/// What a client of domain `home` means by a spelling; `None` if it is no name.
pub fn canonical(spelling: &str, home: u16) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-/_@".contains(c);
    let ends_well = spelling == "/" || !spelling.ends_with('/');
    if spelling.is_empty()
        || !spelling.chars().all(allowed)
        || spelling.contains("//")
        || !ends_well
    {
        return None;
    }
    if is_relative(spelling) {
        return (spelling.len() <= RELATIVE_MAX).then(|| format!("{}/{spelling}", home_of(home)));
    }
    (spelling.len() <= ABSOLUTE_MAX).then(|| spelling.to_owned())
}

/// Where the nodes of a domain live.
pub fn home_of(domid: u16) -> String {
    format!("/local/domain/{domid}")
}

/// Whether a spelling is relative to its client's home.
pub fn is_relative(spelling: &str) -> bool {
    !spelling.starts_with(['/', '@'])
}

/// Whether a name is special and no node's.
pub fn is_special(name: &str) -> bool {
    name.starts_with('@')
}

/// The place that special names of one piece are in. It has no name.
pub const ABOVE_SPECIALS: &str = "";

/// The place one level up; `None` for those that have nothing above them.
pub fn parent(name: &str) -> Option<&str> {
    match name.rfind('/') {
        Some(0) => (name != "/").then_some("/"),
        Some(slash) => Some(&name[..slash]),
        None => is_special(name).then_some(ABOVE_SPECIALS),
    }
}

/// The last piece; empty for the root.
pub fn last_piece(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// How many levels `name` lies below `top`: 0 if they are equal, `None` if it does not
/// lie there.
pub fn levels_below(name: &str, top: &str) -> Option<usize> {
    if name == top {
        return Some(0);
    }
    let rest = if top == "/" { name } else { name.strip_prefix(top)? };
    rest.starts_with('/').then(|| rest.matches('/').count())
}

/// The length that counts against `path-max`: a domain's home is left out.
pub fn counted_length(path: &str) -> usize {
    let below_home = path
        .strip_prefix("/local/domain/")
        .and_then(|rest| rest.split_once('/'))
        .filter(|(domid, _)| domid.parse::<u16>().is_ok());
    below_home.map_or(path.len(), |(_, rest)| rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        assert_eq!(canonical("a/b", 3).as_deref(), Some("/local/domain/3/a/b"));
        assert_eq!(canonical("/", 3).as_deref(), Some("/"));
        assert_eq!(canonical("@x", 3).as_deref(), Some("@x"));
        for wrong in ["", "/a/", "//", "/a//b", "/a b", "@x/"] {
            assert_eq!(canonical(wrong, 0), None, "{wrong}");
        }
    }

    #[test]
    fn ways_up() {
        assert_eq!(parent("/"), None);
        assert_eq!(parent("/a"), Some("/"));
        assert_eq!(parent("/a/b"), Some("/a"));
        assert_eq!(parent("@x"), Some(""));
        assert_eq!(parent(""), None);
        assert_eq!(parent("@x/5"), Some("@x"));
        assert_eq!((last_piece("/"), last_piece("/a/b")), ("", "b"));
    }

    #[test]
    fn distances() {
        assert_eq!(levels_below("/a/b", "/"), Some(2));
        assert_eq!(levels_below("/a/b", "/a"), Some(1));
        assert_eq!(levels_below("/ab", "/a"), None);
        assert_eq!(levels_below("@x", "/"), None);
        assert_eq!(levels_below("@x/5", "@x"), Some(1));
    }

    #[test]
    fn homes_do_not_count() {
        assert_eq!(counted_length("/local/domain/3/ab"), 2);
        assert_eq!(counted_length("/local/domain/3"), 15);
        assert_eq!(counted_length("/local/domain/x/ab"), 18);
    }
}
