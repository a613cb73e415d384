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

            /// The rule of that name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $(stringify!($variant) => Some(Self::$variant),)* _ => None }
            }

            /// Why.
            pub const fn reason(self) -> &'static str {
                match self { $(Self::$variant => $reason),* }
            }
        }
    };
}

mod host;

pub use host::HostRule;

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
        ocaml: "feature word 1, and no request to ask for it; watches outlast it",
        ours: "feature word 15; all that the connection had is forgotten",
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
    WholeStrings {
        title: "A permission that no NUL ends is refused",
        c: "left out",
        ocaml: "left out",
        ours: "EINVAL",
        reason: "The client meant to say more than arrived.",
    }
    LimitsInclusive {
        title: "A limit of N allows N",
        c: "N - 1, since every check refuses what reaches the limit",
        ocaml: "N nodes, but N + 1 watches and transactions",
        ours: "N",
        reason: "The least surprising reading, and nothing is refused that earlier C daemons \
                 granted.",
    }
    NodesCountedExactly {
        title: "The limit of nodes holds at each request, inside a transaction too",
        c: "compared with what is committed, plus one: a creation of several levels goes beyond \
            it, a removal inside the transaction does not count, and a commit that went beyond \
            is ENOSPC",
        ocaml: "the transaction's own count at each request",
        ours: "the transaction's own count at each request, with all levels of a creation",
        reason: "The client learns at the request that is too much, and no request leaves a \
                 domain with more than it may have.",
    }
    NodesAskedAbout {
        title: "A transaction's nodes are those it asked about",
        c: "all it came by: those above, those made on the way",
        ocaml: "a limit of requests, not of nodes",
        ours: "the paths that requests named, each counted once",
        reason: "What a client can count itself.",
    }
    LimitDoomsNothing {
        title: "A request refused for a limit has done nothing, and its transaction goes on",
        c: "ENOSPC, and ENOMEM at the end of the transaction",
        ocaml: "EQUOTA for it and all that follows, the end included",
        ours: "ENOSPC; the transaction commits what was granted",
        reason: "As with every other refusal. The client was told and decides.",
    }
    DefaultsForAll {
        title: "A new default limit holds for domains that run, unless they have their own",
        c: "for domains that come later",
        ocaml: "no such request",
        ours: "for all at once",
        reason: "An administrator who lowers a limit means the guests at hand.",
    }
    MaximaOfHoldings {
        title: "The largest seen is kept of what a domain has, not of what it asked with",
        c: "of the longest path and the largest node as well",
        ocaml: "one number, of nodes",
        ours: "of nodes, watches, outstanding requests, memory and transactions",
        reason: "Those are what adds up.",
    }
    MemoryAsTaken {
        title: "Memory is counted as the daemon takes it",
        c: "bytes of contents; over the limit ENOMEM, and requests are not read",
        ocaml: "no such quota",
        ours: "contents, what they are kept in, and room for an unread event of each watch; \
               ENOSPC before the limit is passed, and the ring is served on",
        reason: "The limit is there to protect the daemon's memory. A guest at its limit can \
                 still remove things.",
    }
    ReadAhead {
        title: "How much is read of a guest that does not take its replies",
        c: "requests one by one until 20 are outstanding",
        ocaml: "all until 1024 replies wait",
        ours: "what lies in the ring, once; 20 of the requests are answered, and none while \
               events wait in line",
        reason: "One look at the shared page instead of many. What is read and waits is bounded \
                 by the ring's size.",
    }
    WritersNotHeldUp {
        title: "Who writes does not wait for others to take their events",
        c: "a request stays outstanding until its events were taken; with 20 of them the writer \
            is not read",
        ocaml: "held up only when the queues of a thousand events are full",
        ours: "never held up",
        reason: "A guest that does not read must not stop another. Its events are bounded on its \
                 own account.",
    }
    Twins {
        title: "Equal events are put together only for a client that lags, while wholly unsent",
        c: "an event equal to one that waits is dropped, be that half sent",
        ocaml: "never put together",
        ours: "an event equal to one that waits in line is dropped; what is already on its way \
               stands for what it told of",
        reason: "A client may have looked at the node after the half it has, and before the \
                 change.",
    }
    LongEvents {
        title: "An event too long for a message names the watched path",
        c: "dropped",
        ocaml: "an error that belongs to no request",
        ours: "the event of the watched path",
        reason: "The fact that something changed is not lost, and clients are used to events for \
                 the path they watch.",
    }
    EventsInOrderOfChanges {
        title: "A commit's events come in the order of the changes",
        c: "in the order in which the transaction first looked at the nodes",
        ocaml: "in the order of the requests, each told",
        ours: "in the order of the last change of each node",
        reason: "The order in which the same requests outside a transaction would have ended.",
    }
    BottomUp {
        title: "A removal is told from the bottom up, in a commit too",
        c: "bottom up outside a transaction, top down in a commit",
        ocaml: "top down",
        ours: "bottom up",
        reason: "One order for the same change.",
    }
    Snapshot {
        title: "A transaction sees the store as it was when it began",
        c: "each node as it was when the transaction first looked at it",
        ocaml: "the store at the beginning",
        ours: "the store at the beginning",
        reason: "The specification: a transaction works on a copy of the whole store.",
    }
    DeathIsAChange {
        title: "Permissions that a domain's death took away count as changed",
        c: "not noticed by transactions",
        ocaml: "EAGAIN",
        ours: "EAGAIN for a transaction that was told of them",
        reason: "What the client was told would be told otherwise now.",
    }
    ConnectedIsTold {
        title: "A guest is told when its ring is connected",
        c: "if the ring's page asked for it",
        ocaml: "no",
        ours: "always",
        reason: "Domain 0's kernel does not look at its ring before it is told, and no guest \
                 minds a look in vain.",
    }
    BegunAnew {
        title: "INTRODUCE of a domain that is introduced begins anew in every respect",
        c: "the ring is emptied; the error word, half a request and the decision not to serve \
            the ring any more stay",
        ocaml: "only the event channel is bound again",
        ours: "ring emptied, error word cleared, half a request dropped, ring served again",
        reason: "It is how a toolstack resets a guest. What the one before left must not stop \
                 the next.",
    }
    ReuseNoticed {
        title: "A domid that belongs to another domain by now is noticed when it is named",
        c: "when the hypervisor's signal comes",
        ocaml: "when the hypervisor's signal comes",
        ours: "the old domain is released first, with its events",
        reason: "Nobody inherits nodes, watches or permissions (XSA-322).",
    }
    TargetDies {
        title: "A target's death or release is acted on at once",
        c: "when its stub domain goes",
        ocaml: "at once; the stub domain's right passes to whoever has the number next",
        ours: "at once, and the link with it; a shutdown and a death seen together are told each",
        reason: "Rights end with the domain that had them (XSA-233, XSA-322).",
    }
    SpecialOwnerDies {
        title: "A special name whose owner dies is given back to domain 0",
        c: "not recorded",
        ocaml: "the name is gone",
        ours: "domain 0 owns it, with the same default access",
        reason: "Toolstacks learn of deaths by it for as long as the host runs.",
    }
    GivenUpIsTold {
        title: "A guest whose indices make no sense is told that its ring is given up",
        c: "writes the error word",
        ocaml: "nothing",
        ours: "writes the error word and fires the event channel",
        reason: "A guest that sleeps finds out now.",
    }
    TakenAtOnce {
        title: "All that lies in a ring is taken at once",
        c: "a header, and then its payload",
        ocaml: "all",
        ours: "all",
        reason: "One look at the shared page. Where in a broken stream the index stops means \
                 nothing.",
    }
    LookedAtWhenFired {
        title: "A ring is looked at when its event channel fired",
        c: "all rings are, whenever anything happens",
        ocaml: "those that fired, and all now and then",
        ours: "those that fired",
        reason: "A thousand silent guests cost nothing. The specification has guests notify.",
    }
}
