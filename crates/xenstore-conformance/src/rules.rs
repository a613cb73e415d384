//! Where rxenstored does otherwise than the daemons that were recorded, and why.

macro_rules! rules {
    ($(#[$doc:meta])* $name:ident; $($variant:ident {
        title: $title:literal, c: $c:literal, ocaml: $ocaml:literal, ours: $ours:literal,
        reason: $reason:literal $(,)?
    })*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $name {
            $(#[doc = $title] $variant,)*
        }

        impl $name {
            /// Every rule, in the order they are explained.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// What it is about, in a line.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),* }
            }

            /// What C xenstored does.
            pub const fn c(self) -> &'static str {
                match self { $(Self::$variant => $c),* }
            }

            /// What oxenstored does.
            pub const fn ocaml(self) -> &'static str {
                match self { $(Self::$variant => $ocaml),* }
            }

            /// What rxenstored does.
            pub const fn ours(self) -> &'static str {
                match self { $(Self::$variant => $ours),* }
            }

            /// Why.
            pub const fn reason(self) -> &'static str {
                match self { $(Self::$variant => $reason),* }
            }
        }
    };
}

rules! {
    /// A deliberate difference from C xenstored, as its conversations show.
    Rule;

    ReplyFirst {
        title: "A simple change is answered before its events are sent",
        c: "events first",
        ocaml: "reply first",
        ours: "reply first",
        reason: "A client that waits for its reply and nothing else is not led into its own \
                 events half-way. Both orders are in the field, so no client relies on either.",
    }
    ReleaseTellsFirst {
        title: "RELEASE is answered after its events are sent",
        c: "depends on the order in which clients connected",
        ocaml: "events first",
        ours: "events first",
        reason: "As with commits and INTRODUCE, where all daemons agree: once the toolstack has \
                 its answer, everybody was told.",
    }
    ReadOnlyCommits {
        title: "A transaction that changed nothing always commits",
        c: "EAGAIN if anything it read was changed meanwhile",
        ocaml: "commits",
        ours: "commits",
        reason: "All its answers are those of the moment it began; it is as if it had run then.",
    }
    SiblingsMerge {
        title: "Nodes made or removed side by side do not conflict",
        c: "EAGAIN, since a list of children is part of its node",
        ocaml: "merges",
        ours: "merges",
        reason: "Domains started in parallel all make nodes in the same few directories. Nobody \
                 was told the list of children, so no answer is wrong.",
    }
    BlindChangesMerge {
        title: "A change that tells its client nothing does not conflict",
        c: "EAGAIN if the node, or one above it that was looked at, was changed meanwhile",
        ocaml: "merges, or does the requests again with the same answers",
        ours: "does the requests again with the same answers",
        reason: "Each request gets the same answer when done on the store as it is now, so the \
                 transaction is as if it had run in one moment, this one.",
    }
    SameAnswersCommit {
        title: "A commit fails only if an answer already given would be another now",
        c: "EAGAIN if a node that was read was written at all, be it with the same value, or \
            if another part of it was changed than the one that was read",
        ocaml: "merges, or does the requests again with the same answers",
        ours: "does the requests again with the same answers",
        reason: "What the client knows is true. A needless EAGAIN costs it the whole transaction.",
    }
    PathLimit {
        title: "No path is longer than 3072 bytes",
        c: "no limit on sockets but the message's",
        ocaml: "2048, or what the configuration says, beyond the domain's home",
        ours: "EINVAL",
        reason: "It is the limit the public headers give for absolute paths. It bounds the depth \
                 of the store, whoever writes it.",
    }
    StrictNumbers {
        title: "Numbers are decimal digits and nothing else",
        c: "strtoul, strtol and atoi: blanks, signs, hexadecimal, trailing junk, or nothing at \
            all pass in one place or another, and what is too large wraps",
        ocaml: "literals of the language: 0x10, 0b1, 1_000",
        ours: "EINVAL",
        reason: "Everything clients send is plain decimal. A number that was garbled on its way \
                 must not become another domain's.",
    }
    FeatureWord {
        title: "Connections can be made anew by the guest",
        c: "feature word 14: no reconnection",
        ocaml: "feature word 1, and no request to ask for it",
        ours: "feature word 15",
        reason: "Firmware and operating system use one ring one after the other; with \
                 reconnection the second finds no leftovers of the first.",
    }
    NoLiveUpdate {
        title: "No live update in this version",
        c: "CONTROL live-update",
        ocaml: "CONTROL live-update, with another protocol",
        ours: "not a command, and not listed",
        reason: "To come. An unknown command is EINVAL, upon which tools ask for help.",
    }
}

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
