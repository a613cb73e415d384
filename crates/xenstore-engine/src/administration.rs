//! Requests about domains and the daemon itself; transactions mean nothing to them.

use xenstore_wire::request::QuotaQuestion;
use xenstore_wire::{Domid, Errno, Features, Path, Request};

use crate::acl::Caller;
use crate::domains::Domain;
use crate::engine::Engine;
use crate::operation::Reply;
use crate::outside::Outside;
use crate::quota::Quota;
use crate::refusal::Refusal;

impl Engine {
    /// Answers one of them.
    pub(crate) fn administer(
        &mut self,
        caller: Caller,
        request: &Request<'_>,
        outside: &mut Outside<'_>,
    ) -> Result<Reply, Refusal> {
        match *request {
            Request::Control { command, arguments } => self.control(command, arguments, outside),
            Request::GetDomainPath(domid) => Ok(Reply::text(Path::of_domain(domid))),
            Request::IsDomainIntroduced(domid) => {
                Ok(Reply::text(if self.is_introduced(domid) { "T" } else { "F" }))
            }
            Request::Introduce { domid, port } => self.introduce(domid, port, outside),
            Request::Release(domid) => self.release(domid, outside),
            Request::Resume(domid) => self.resume(domid),
            Request::SetTarget { domid, target } => self.set_target(domid, target, outside),
            Request::GetFeature(domid) => self.get_feature(caller, domid, outside),
            Request::SetFeature { domid, features } => self.set_feature(domid, features, outside),
            Request::GetQuota(question) => self.get_quota(question, outside),
            Request::SetQuota { domid, name, value } => self.set_quota(domid, name, value, outside),
            _ => Err(Errno::NoSys.into()),
        }
    }

    /// The record of the domain that has a number now. A toolstack sets features and limits
    /// before it introduces a domain, when the news that its predecessor died may be still to
    /// come.
    pub(crate) fn domain_now(
        &mut self,
        domid: Domid,
        outside: &mut Outside<'_>,
    ) -> Result<&mut Domain, Errno> {
        self.domain_changed(domid, outside);
        self.domains.acquaint(domid, outside.hypervisor).ok_or(Errno::NoEnt)
    }

    fn get_feature(
        &mut self,
        caller: Caller,
        domid: Option<Domid>,
        outside: &mut Outside<'_>,
    ) -> Result<Reply, Refusal> {
        let features = match domid {
            None => caller.features,
            Some(_) if !caller.privileged => return Err(Errno::Acces.into()),
            Some(domid) => self.domain_now(domid, outside)?.features.unwrap_or(Features::ALL),
        };
        Ok(Reply::text(features.bits()))
    }

    fn set_feature(
        &mut self,
        domid: Domid,
        features: Features,
        outside: &mut Outside<'_>,
    ) -> Result<Reply, Refusal> {
        let domain = self.domain_now(domid, outside)?;
        if domain.introduced {
            return Err(Errno::Busy.into());
        }
        domain.features = Some(features);
        Ok(Reply::Done)
    }

    fn get_quota(
        &mut self,
        question: QuotaQuestion<'_>,
        outside: &mut Outside<'_>,
    ) -> Result<Reply, Refusal> {
        let quota = |name| Quota::from_name(name).ok_or(Errno::Inval);
        match question {
            QuotaQuestion::Names => {
                let names: Vec<_> = Quota::ALL.iter().map(|quota| quota.name()).collect();
                Ok(Reply::text(names.join(" ")))
            }
            QuotaQuestion::Default(name) => {
                Ok(Reply::text(self.domains.defaults.get(quota(name)?)))
            }
            QuotaQuestion::Domain(domid, name) => {
                let quota = quota(name)?;
                self.domain_now(domid, outside)?;
                Ok(Reply::text(self.domains.limit(domid, quota)))
            }
        }
    }

    fn set_quota(
        &mut self,
        domid: Option<Domid>,
        name: &[u8],
        value: u32,
        outside: &mut Outside<'_>,
    ) -> Result<Reply, Refusal> {
        let quota = Quota::from_name(name).ok_or(Errno::Inval)?;
        match domid {
            None => self.domains.defaults.set(quota, value),
            Some(domid) => {
                self.domain_now(domid, outside)?.limits.insert(quota, value);
            }
        }
        self.limits_epoch += 1;
        Ok(Reply::Done)
    }
}
