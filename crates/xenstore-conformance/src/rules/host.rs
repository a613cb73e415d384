//! Differences that a whole host's access log shows.

rules! {
    /// A deliberate difference from oxenstored, as a host's access log shows.
    HostRule;

    SpecialNames {
        title: "@introduceDomain and @releaseDomain are no nodes",
        c: "names to watch, with permissions, and nothing else",
        ocaml: "children of the root, with a value",
        ours: "as C",
        reason: "Listing the store shows the store. /@introduceDomain is the path of a node that \
                 is not there.",
    }
    ToldOnce {
        title: "Each place that a commit changed is told of once",
        c: "once, in the order the transaction first looked at them",
        ocaml: "once per request, in the order of requests",
        ours: "once, in the order of the last change there",
        reason: "Toolstacks make a node, write it and set its permissions in one transaction. \
                 Its watchers see the outcome, so two of three events only cost time.",
    }
    NothingWasThere {
        title: "A removal is told to watches on what was there",
        c: "those of the removed node, those above, and those on its descendants",
        ocaml: "all watches below the removed node too, whether there was anything or not",
        ours: "as C",
        reason: "Nothing changed there.",
    }
    OrderOfRemoval {
        title: "A removal is told from the bottom up",
        c: "each node after all below it, siblings in the order they were made; in a commit top \
            down",
        ocaml: "the removed node first, those below it in the order of the watched paths",
        ours: "each node after all below it, siblings in the order they were made",
        reason: "It is the order of the same removals one by one.",
    }
    Unseen {
        title: "What may not be seen is not said to be absent",
        c: "EACCES for a node that is not there, if what is above it may not be read",
        ocaml: "ENOENT",
        ours: "as C",
        reason: "Who may not read a directory is not to find out what is in it.",
    }
    Orphans {
        title: "What goes with its owner is told of",
        c: "to watches on what went, from the bottom up",
        ocaml: "to nobody",
        ours: "as C",
        reason: "Something changed there, and who watches it has to let go of it.",
    }
    CutOff {
        title: "Who goes is not told the rest",
        c: "what waits for a client when it goes is dropped",
        ocaml: "as C",
        ours: "as C",
        reason: "The log shows a client go while events were on their way to it. Lived through \
                 again, nobody goes before all is said.",
    }
    NodeSize {
        title: "The names of its children count for a node's size",
        c: "2,048 bytes for value, permissions and names together, else ENOSPC",
        ocaml: "2,048 bytes for the value, else E2BIG; any number of children",
        ours: "as C",
        reason: "What a guest may have is bounded by nodes times size only if both are.",
    }
    EndsOnce {
        title: "The end of a domain is told of once",
        c: "once",
        ocaml: "again whenever the hypervisor signals something while a domain is shut down \
                and not gone",
        ours: "as C",
        reason: "One thing happened.",
    }
}
