//! The way of a request: from its header to its reply.
//!
//! The order of checks is the order of errors (`xenstore.txt` leaves it open; this is
//! what clients know from the C daemon): unknown type, privilege, transaction, form of
//! the payload, then what the operation itself finds.

use std::iter;
use std::sync::Arc;

use xenstore_tree::names;
use xenstore_wire::permission::PermissionError;
use xenstore_wire::request::{Sender, WatchKey};
use xenstore_wire::{Errno, Header, Malformed, MessageType, Name, Path, PathError};
use xenstore_wire::{Permissions, Request};

use crate::acl::Caller;
use crate::charges::signed;
use crate::context::Context;
use crate::domains::Identity;
use crate::engine::{EFFORT_PER_TURN, Engine, WORK_PER_EFFORT, find, put_out};
use crate::footprint::Disturbance;
use crate::grant::Grant;
use crate::ids::ConnectionId;
use crate::ids::WatchId;
use crate::node::Value;
use crate::operation::{Effect, Operation, Reply};
use crate::outbox::Outbox;
use crate::outside::{Daemon, Incident, Outside};
use crate::protection::Rank;
use crate::quota::{Ledger, Quota};
use crate::refusal::Refusal;
use crate::transaction::replaced_by_path;
use crate::watch::{self, Watch};

/// What a granted request leads to: its reply, and what to tell others after it.
pub(crate) struct Granted<'a> {
    pub reply: Reply,
    pub then: Then<'a>,
}

pub(crate) enum Then<'a> {
    Nothing,
    /// A change of the store outside any transaction, to be told to watches.
    Tell(Name<'a>, Effect),
    /// A new watch, to be fired once.
    Greet(WatchId),
    /// This transaction was begun.
    Begun(u32),
}

impl From<Reply> for Granted<'_> {
    fn from(reply: Reply) -> Self {
        Self { reply, then: Then::Nothing }
    }
}

impl From<Malformed> for Refusal {
    fn from(_: Malformed) -> Self {
        Self::Errno(Errno::Inval)
    }
}

/// Why a request is not granted.
pub(crate) enum Hindrance {
    /// It is refused.
    Refused(Refusal),
    /// It is not decided yet: it waits for the end of another client's transaction.
    Held,
}

impl<T: Into<Refusal>> From<T> for Hindrance {
    fn from(refusal: T) -> Self {
        Self::Refused(refusal.into())
    }
}

pub(crate) type Outcome<'a> = Result<Granted<'a>, Hindrance>;

impl Engine {
    /// Answers one request, unless it has to wait. One that had to before was asked when no
    /// other domains than these were `known`.
    pub(crate) fn answer(
        &mut self,
        id: ConnectionId,
        header: Header,
        payload: &[u8],
        known: Option<Identity>,
        outside: &mut Outside<'_>,
    ) {
        let kind = MessageType::from_number(header.kind).filter(|kind| kind.is_request());
        let request = || Incident::Request { kind, payload };
        // The start of a transaction is told with the number it gets.
        if kind != Some(MessageType::TransactionStart) && known.is_none() {
            self.observe(id, header.transaction_id, outside.daemon, request);
        }
        let outcome = match kind {
            Some(kind) => self.decide(id, kind, &header, payload, known, outside),
            None => Err(Errno::NoSys.into()),
        };
        // Looked at where it is: it is much to move.
        let granted = match &outcome {
            Ok(Granted { reply, then }) => {
                let kind = kind.unwrap_or(MessageType::Error);
                self.reply(id, kind, &header, reply).map(|()| then)
            }
            Err(Hindrance::Refused(refusal)) => Err(*refusal),
            Err(Hindrance::Held) => {
                let known = known.unwrap_or(self.domains.latest());
                return self.put_off(id, header, payload, known);
            }
        };
        if kind == Some(MessageType::TransactionStart) {
            let number = match granted {
                Ok(Then::Begun(number)) => *number,
                _ => header.transaction_id,
            };
            self.observe(id, number, outside.daemon, request);
        }
        match granted {
            Ok(Then::Nothing | Then::Begun(_)) => {}
            Ok(Then::Tell(name, effect)) => {
                self.tell_change(name, effect, outside.daemon);
                if let Effect::Removed(subtree) = effect {
                    let subtree = subtree.clone();
                    // Else it would be freed here.
                    drop(outcome);
                    self.discard_removed(subtree);
                }
            }
            Ok(Then::Greet(watch)) => self.greet(*watch, outside.daemon),
            Err(refusal) => self.refuse(id, kind, &header, refusal, outside),
        }
    }

    fn reply(
        &mut self,
        id: ConnectionId,
        kind: MessageType,
        header: &Header,
        reply: &Reply,
    ) -> Result<(), Refusal> {
        let payload = match reply {
            Reply::Done => b"OK\0",
            Reply::Value(value) => value.as_bytes(),
            Reply::Payload(payload) => payload,
        };
        let Header { request_id, transaction_id, .. } = *header;
        let Some(connection) = find(&mut self.connections, id) else {
            return Ok(());
        };
        let put = |outbox: &mut Outbox| outbox.reply(kind, request_id, transaction_id, payload);
        if !put_out(connection, id, &mut self.spares, &mut self.outgoing, put) {
            return Err(Errno::TooBig.into());
        }
        Ok(())
    }

    fn refuse(
        &mut self,
        id: ConnectionId,
        kind: Option<MessageType>,
        header: &Header,
        refusal: Refusal,
        outside: &mut Outside<'_>,
    ) {
        if let Refusal::Limit(over) = refusal {
            outside.daemon.limit_refused(over.domid, over.what, over.wanted, over.limit);
        }
        let errno = refusal.errno();
        let incident = || Incident::Refused { kind, errno };
        self.observe(id, header.transaction_id, outside.daemon, incident);
        // An error's name is shorter than any limit.
        let _ = self.reply(id, MessageType::Error, header, &Reply::text(errno.name()));
    }

    fn decide<'a>(
        &mut self,
        id: ConnectionId,
        kind: MessageType,
        header: &Header,
        payload: &'a [u8],
        known: Option<Identity>,
        outside: &mut Outside<'_>,
    ) -> Outcome<'a> {
        let Some(connection) = self.connection(id) else {
            return Err(Errno::Io.into());
        };
        let caller = connection.caller;
        if !caller.privileged && kind.is_privileged() {
            return Err(Errno::Acces.into());
        }
        let transaction = header.transaction_id;
        if transaction != 0
            && !matches!(kind, MessageType::Watch | MessageType::Unwatch)
            && !connection.transactions.contains_key(&transaction)
        {
            return Err(Errno::NoEnt.into());
        }
        let sender = Sender { home: caller.domid, features: caller.features };
        let request = Request::parse(kind, payload, sender)?;
        self.grant(id, caller, transaction, request, known, outside)
    }

    #[expect(clippy::inline_always, reason = "called once: 2 % of a READ's instructions")]
    #[inline(always)]
    fn grant<'a>(
        &mut self,
        id: ConnectionId,
        mut caller: Caller,
        transaction: u32,
        request: Request<'a>,
        known: Option<Identity>,
        outside: &mut Outside<'_>,
    ) -> Outcome<'a> {
        let operation = match request {
            Request::Read(path) => Operation::Read(path),
            Request::Directory(path) => Operation::Directory(path),
            Request::DirectoryPart { path, offset } => Operation::DirectoryPart(path, offset),
            Request::GetPerms(name) => Operation::GetPerms(name),
            Request::Write { path, value } => Operation::Write(path, Value::new(value)),
            Request::Mkdir(path) => Operation::Mkdir(path),
            Request::Rm(path) => Operation::Rm(path),
            Request::SetPerms { name, count, permissions } => {
                let operation =
                    self.grant_permissions(caller, count, name, permissions, known, outside)?;
                // On the way came perhaps the news that the sender is dead, or its target.
                caller = self.connection(id).ok_or(Errno::Io)?.caller;
                operation
            }
            Request::Watch(key, depth) => return self.watch(id, caller, key, depth),
            Request::Unwatch(key) => return self.unwatch(id, caller, &key),
            Request::ResetWatches => {
                self.reset(id);
                return Ok(Reply::Done.into());
            }
            Request::TransactionStart => return self.start(id, caller, transaction),
            Request::TransactionEnd { commit } => {
                return self.end(id, caller, transaction, commit, outside);
            }
            other => {
                // What a domain leaves behind is removed with it.
                if matches!(other, Request::Release(_))
                    && self.holds_back(id, caller, &[Disturbance::Any], outside.daemon)
                {
                    return Err(Hindrance::Held);
                }
                return Ok(self.administer(caller, &other, outside)?.into());
            }
        };
        self.operate(id, caller, transaction, operation, outside.daemon)
    }

    /// A `SET_PERMS`. Its list is looked at before its path: first how long it is, then
    /// its form, then who it names.
    fn grant_permissions<'a>(
        &mut self,
        caller: Caller,
        count: usize,
        name: Result<Name<'a>, PathError>,
        permissions: Result<Permissions, PermissionError>,
        known: Option<Identity>,
        outside: &mut Outside<'_>,
    ) -> Result<Operation<'a>, Refusal> {
        self.domains.check(&caller, Quota::NodePermissions, count as u64)?;
        let permissions = permissions.map_err(Malformed::from)?;
        // Without that limit there may be a thousand domains to be asked about.
        self.effort += count / WORK_PER_EFFORT;
        for permission in permissions.iter() {
            // A number may belong to another domain by now, and the news be still to come.
            self.domain_changed(permission.domid, outside);
        }
        let Outside { hypervisor, .. } = outside;
        let grant = Grant::bind(&permissions, &caller, known, &mut self.domains, *hypervisor);
        grant.acl(&self.domains)?;
        Ok(Operation::SetPerms(name.map_err(Malformed::from)?, grant))
    }

    fn operate<'a>(
        &mut self,
        id: ConnectionId,
        caller: Caller,
        transaction: u32,
        operation: Operation<'a>,
        daemon: &mut dyn Daemon,
    ) -> Outcome<'a> {
        if !caller.privileged
            && let Some(path) = operation.path()
        {
            self.check_path(caller, path)?;
        }
        if !operation.is_read() {
            self.make_room(iter::once_with(|| operation.name()));
        }
        if transaction != 0 {
            return self.operate_inside(id, caller, transaction, operation.into_owned());
        }
        if !operation.is_read()
            && self.protection.is_active(Rank::of(&caller))
            && self.would_do(caller, &operation)
            && let Some(disturbance) = Disturbance::by(&operation, &self.store)
            && self.holds_back(id, caller, &[disturbance], daemon)
        {
            return Err(Hindrance::Held);
        }
        let (store, mut context) = self.context(caller);
        let (reply, effect) = store.execute(&operation, &mut context)?;
        if matches!(effect, Effect::Nothing) {
            return Ok(reply.into());
        }
        self.versions.note(|| replaced_by_path(&operation.name()) + operation.size());
        self.book();
        self.effort += match &effect {
            Effect::Removed(subtree) => subtree.descendants().take(EFFORT_PER_TURN).count(),
            // It may have been made with all above it.
            Effect::Created => names(&operation.name()).count() / WORK_PER_EFFORT,
            _ => 0,
        };
        Ok(Granted { reply, then: Then::Tell(operation.into_name(), effect) })
    }

    /// Whether an operation outside transactions would be granted: who is refused does
    /// not have to wait for it.
    fn would_do(&mut self, caller: Caller, operation: &Operation<'_>) -> bool {
        let mut ledger = Ledger::default();
        let (store, context) = self.context(caller);
        let mut context = Context { ledger: &mut ledger, ..context };
        store.clone().execute(operation, &mut context).is_ok()
    }

    fn check_path(&self, caller: Caller, path: &Path<'_>) -> Result<(), Refusal> {
        // Hardly a path is as long as the limit, and what counts is never more than the whole.
        let whole = path.as_bytes().len() as u64;
        if self.domains.check(&caller, Quota::PathMax, whole).is_ok() {
            return Ok(());
        }
        self.domains.check(&caller, Quota::PathMax, path.quota_length() as u64)
    }

    fn watch(
        &mut self,
        id: ConnectionId,
        caller: Caller,
        key: WatchKey<'_>,
        depth: Option<u32>,
    ) -> Outcome<'static> {
        if let Name::Node(path) = &key.name {
            self.check_path(caller, path)?;
        }
        let token: Arc<[u8]> = key.token.into();
        let name = key.name.into_owned();
        let connection = self.connection(id).ok_or(Errno::Io)?;
        let is_known = |place| connection.watches.contains_key(&(place, token.clone()));
        if self.watches.place(&name).is_some_and(is_known) {
            return Err(Errno::Exist.into());
        }
        let registered = self.domains.usage(caller.domid, Quota::Watches);
        self.domains.check(&caller, Quota::Watches, registered + 1)?;
        let weight = watch::weight(&name, &token);
        let used = self.domains.usage(caller.domid, Quota::Memory);
        self.domains.check(&caller, Quota::Memory, used + weight as u64)?;
        let relative_to = key.relative.then_some(caller.domid);
        let (watch, place) = self.watches.add(Watch {
            connection: id,
            name,
            relative_to,
            token: token.clone(),
            depth,
        });
        if !caller.privileged {
            self.domains.charge(caller.domid, Quota::Watches, 1);
            self.domains.charge(caller.domid, Quota::Memory, signed(weight));
        }
        self.connection_mut(id).ok_or(Errno::Io)?.watches.insert((place, token), watch);
        Ok(Granted { reply: Reply::Done, then: Then::Greet(watch) })
    }

    fn unwatch(
        &mut self,
        id: ConnectionId,
        caller: Caller,
        key: &WatchKey<'_>,
    ) -> Outcome<'static> {
        let place = self.watches.place(&key.name).ok_or(Errno::NoEnt)?;
        let connection = self.connection_mut(id).ok_or(Errno::Io)?;
        let watch = connection.watches.remove(&(place, key.token.into())).ok_or(Errno::NoEnt)?;
        self.watches.remove(watch);
        if !caller.privileged {
            let weight = watch::weight(&key.name, key.token);
            self.domains.charge(caller.domid, Quota::Watches, -1);
            self.domains.charge(caller.domid, Quota::Memory, -signed(weight));
        }
        Ok(Reply::Done.into())
    }
}
