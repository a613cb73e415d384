//! Requests about domains and the daemon itself; transactions mean nothing to them.

use xenstore_host::Hypervisor;
use xenstore_wire::Errno;

use crate::acl::ALL_FEATURES;
use crate::domains::{Domain, QUOTAS};
use crate::model::Model;
use crate::operation::{Answer, OK};
use crate::path::home_of;
use crate::request::{Command, Request};

impl Model {
    pub(crate) fn administer(
        &mut self,
        client: usize,
        request: &Request,
        hypervisor: &mut dyn Hypervisor,
    ) -> Answer {
        match *request {
            Request::Introduce(domid, port) => self.introduce(domid, port, hypervisor),
            Request::Release(domid) => self.release(domid, hypervisor),
            Request::Resume(domid) => self.resume(domid),
            Request::SetTarget(domid, target) => self.set_target(domid, target, hypervisor),
            Request::GetDomainPath(domid) => Ok(home_of(domid) + "\0"),
            Request::IsIntroduced(domid) => Ok(self.is_introduced(domid)),
            Request::GetFeature(domid) => self.get_feature(client, domid, hypervisor),
            Request::SetFeature(domid, features) => self.set_feature(domid, features, hypervisor),
            Request::QuotaNames => Ok(QUOTAS.map(|(name, _)| name).join(" ") + "\0"),
            Request::GetQuota(domid, ref name) => self.get_quota(domid, name, hypervisor),
            Request::SetQuota(domid, ref name, limit) => {
                self.set_quota(domid, name, limit, hypervisor)
            }
            Request::Control(Command::Check) => Ok(OK.to_owned()),
            Request::Control(Command::Account(domid)) => self.account(domid),
            Request::Control(Command::Peaks { reset }) => Ok(self.peaks(reset)),
            _ => Err(Errno::Inval),
        }
    }

    /// The record of the domain that has a number now.
    fn domain_now(
        &mut self,
        domid: u16,
        hypervisor: &mut dyn Hypervisor,
    ) -> Result<&mut Domain, Errno> {
        self.domain_changed(domid, hypervisor);
        self.domains.acquaint(domid, hypervisor).ok_or(Errno::NoEnt)
    }

    fn is_introduced(&self, domid: u16) -> String {
        let known = self.domains.records.get(&domid);
        let introduced = domid == 32752 || known.is_some_and(|known| known.introduced);
        (if introduced { "T\0" } else { "F\0" }).to_owned()
    }

    fn get_feature(
        &mut self,
        client: usize,
        domid: Option<u16>,
        hypervisor: &mut dyn Hypervisor,
    ) -> Answer {
        let caller = self.caller(client);
        let features = match domid {
            None => caller.features,
            Some(_) if !caller.privileged => return Err(Errno::Acces),
            Some(domid) => self.domain_now(domid, hypervisor)?.features.unwrap_or(ALL_FEATURES),
        };
        Ok(format!("{features}\0"))
    }

    fn set_feature(
        &mut self,
        domid: u16,
        features: u32,
        hypervisor: &mut dyn Hypervisor,
    ) -> Answer {
        if features > ALL_FEATURES {
            return Err(Errno::Inval);
        }
        let known = self.domain_now(domid, hypervisor)?;
        if known.introduced {
            return Err(Errno::Busy);
        }
        known.features = Some(features);
        Ok(OK.to_owned())
    }

    fn get_quota(
        &mut self,
        domid: Option<u16>,
        name: &str,
        hypervisor: &mut dyn Hypervisor,
    ) -> Answer {
        let default = *self.domains.defaults.get(name).ok_or(Errno::Inval)?;
        let limit = match domid {
            None => default,
            Some(domid) => {
                self.domain_now(domid, hypervisor)?;
                self.domains.limit(domid, name).unwrap_or(default)
            }
        };
        Ok(format!("{limit}\0"))
    }

    fn set_quota(
        &mut self,
        domid: Option<u16>,
        name: &str,
        limit: u32,
        hypervisor: &mut dyn Hypervisor,
    ) -> Answer {
        if !self.domains.defaults.contains_key(name) {
            return Err(Errno::Inval);
        }
        let limits = match domid {
            None => &mut self.domains.defaults,
            Some(domid) => &mut self.domain_now(domid, hypervisor)?.limits,
        };
        limits.insert(name.to_owned(), limit);
        self.version += 1;
        Ok(OK.to_owned())
    }
}
