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
}
