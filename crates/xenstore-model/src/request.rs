//! Requests, and the bytes they are sent as.

use xenstore_wire::MessageType;

use crate::operation::Action;

/// A request and what it comes with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asked {
    /// Whose it is.
    pub client: usize,
    /// In which transaction; 0 outside.
    pub transaction: u32,
    /// What.
    pub request: Request,
    /// Whether that transaction is protected.
    pub protected: bool,
}

/// What a client can ask.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// Something of a node or special name, spelled so.
    Node(String, Action),
    /// Register a watch: path, token, depth.
    Watch(String, String, Option<usize>),
    /// Remove one: path, token.
    Unwatch(String, String),
    /// Drop all watches and transactions.
    ResetWatches,
    /// Open a transaction.
    Start,
    /// End one, and whether to keep what it did.
    End(bool),
    /// Connect a domain: number, port.
    Introduce(u16, u32),
    /// Forget a domain.
    Release(u16),
    /// A domain runs again.
    Resume(u16),
    /// Give a domain another's rights.
    SetTarget(u16, u16),
    /// Where a domain lives.
    GetDomainPath(u16),
    /// Whether a domain is connected.
    IsIntroduced(u16),
    /// Features of a domain, or one's own.
    GetFeature(Option<u16>),
    /// Set features.
    SetFeature(u16, u32),
    /// The names of all quotas.
    QuotaNames,
    /// A limit: of a domain, or for all.
    GetQuota(Option<u16>, String),
    /// Set a limit: of a domain, or for all.
    SetQuota(Option<u16>, String, u32),
    /// A command to the daemon.
    Control(Command),
}

/// Commands to the daemon.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// Do the accounts agree with a recount?
    Check,
    /// What does a domain have?
    Account(u16),
    /// What is the most that domains had, and should it be forgotten?
    Peaks {
        /// Forget it.
        reset: bool,
    },
    /// One that does not exist.
    Unknown,
}

impl Request {
    /// Its message type.
    pub const fn kind(&self) -> MessageType {
        use MessageType as T;
        match self {
            Self::Node(_, action) => match action {
                Action::Read => T::Read,
                Action::Directory => T::Directory,
                Action::DirectoryPart(_) => T::DirectoryPart,
                Action::GetPerms => T::GetPerms,
                Action::Write(_) => T::Write,
                Action::Mkdir => T::Mkdir,
                Action::Rm => T::Rm,
                Action::SetPerms(_) => T::SetPerms,
            },
            Self::Watch(..) => T::Watch,
            Self::Unwatch(..) => T::Unwatch,
            Self::ResetWatches => T::ResetWatches,
            Self::Start => T::TransactionStart,
            Self::End(_) => T::TransactionEnd,
            Self::Introduce(..) => T::Introduce,
            Self::Release(_) => T::Release,
            Self::Resume(_) => T::Resume,
            Self::SetTarget(..) => T::SetTarget,
            Self::GetDomainPath(_) => T::GetDomainPath,
            Self::IsIntroduced(_) => T::IsDomainIntroduced,
            Self::GetFeature(_) => T::GetFeature,
            Self::SetFeature(..) => T::SetFeature,
            Self::QuotaNames | Self::GetQuota(..) => T::GetQuota,
            Self::SetQuota(..) => T::SetQuota,
            Self::Control(_) => T::Control,
        }
    }

    /// Its payload.
    pub fn payload(&self) -> String {
        match self {
            Self::Node(path, action) => node_payload(path, action),
            Self::Watch(path, token, depth) => {
                let depth = depth.map(|depth| format!("{depth}\0")).unwrap_or_default();
                format!("{path}\0{token}\0{depth}")
            }
            Self::Unwatch(path, token) => format!("{path}\0{token}\0"),
            Self::ResetWatches | Self::Start => "\0".to_owned(),
            Self::End(commit) => (if *commit { "T\0" } else { "F\0" }).to_owned(),
            Self::Introduce(domid, port) => format!("{domid}\x001\0{port}\0"),
            Self::Release(domid)
            | Self::Resume(domid)
            | Self::GetDomainPath(domid)
            | Self::IsIntroduced(domid)
            | Self::GetFeature(Some(domid)) => format!("{domid}\0"),
            Self::SetTarget(domid, target) => format!("{domid}\0{target}\0"),
            Self::SetFeature(domid, features) => format!("{domid}\0{features}\0"),
            Self::GetFeature(None) | Self::QuotaNames => String::new(),
            Self::GetQuota(domid, name) => format!("{}{name}\0", prefix(*domid)),
            Self::SetQuota(domid, name, limit) => format!("{}{name}\0{limit}\0", prefix(*domid)),
            Self::Control(command) => match command {
                Command::Check => "check\0".to_owned(),
                Command::Account(domid) => format!("quota\0{domid}\0"),
                Command::Peaks { reset: false } => "quota\0max\0".to_owned(),
                Command::Peaks { reset: true } => "quota\0max\0-r\0".to_owned(),
                Command::Unknown => "sing\0".to_owned(),
            },
        }
    }
}

fn node_payload(path: &str, action: &Action) -> String {
    match action {
        Action::DirectoryPart(from) => format!("{path}\0{from}\0"),
        Action::Write(value) => format!("{path}\0{value}"),
        Action::SetPerms(list) => {
            let list: Vec<_> = list.iter().map(ToString::to_string).collect();
            format!("{path}\0{}\0", list.join("\0"))
        }
        Action::Read | Action::Directory | Action::GetPerms | Action::Mkdir | Action::Rm => {
            format!("{path}\0")
        }
    }
}

fn prefix(domid: Option<u16>) -> String {
    domid.map(|domid| format!("{domid}\0")).unwrap_or_default()
}
