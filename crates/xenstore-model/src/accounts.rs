//! What domains have: counted anew whenever somebody wants to know.

use std::fmt::Write;

use xenstore_wire::Errno;

use crate::domains::QUOTAS;
use crate::model::Model;
use crate::operation::Answer;

impl Model {
    /// How much a domain has of something. The control domain's own watches and
    /// transactions have no account.
    pub(crate) fn usage(&self, domid: u16, quota: &str) -> usize {
        let mine = |client: usize| domid != 0 && self.clients[client].domid == domid;
        match quota {
            "nodes" => self.store.count_of(domid),
            "watches" => self.watches.iter().filter(|watch| mine(watch.client)).count(),
            "transactions" => {
                let clients = self.clients.iter().enumerate().filter(|&(client, _)| mine(client));
                clients.map(|(_, client)| client.transactions.len()).sum()
            }
            _ => 0,
        }
    }

    /// Takes note of what every domain has, in case it never had so much. To be called
    /// after each change of an account.
    pub(crate) fn note_peaks(&mut self) {
        let domids: Vec<u16> = self.domains.records.keys().copied().collect();
        for domid in domids {
            for (quota, _) in QUOTAS {
                let now = self.usage(domid, quota);
                if let Some(domain) = self.domains.records.get_mut(&domid) {
                    let most = domain.most.entry(quota).or_default();
                    *most = now.max(*most);
                }
            }
        }
    }

    /// What `CONTROL quota <domid>` shows.
    pub(crate) fn account(&self, domid: u16) -> Answer {
        let known = self.domains.records.get(&domid).ok_or(Errno::NoEnt)?;
        let mut lines = format!("Domain {domid}:\n");
        for quota in hard_quotas() {
            let now = self.usage(domid, quota);
            let most = known.most.get(quota).copied().unwrap_or(0);
            let _ = writeln!(lines, "{quota:<17}: {now:>8} (max {most:>8})");
        }
        Ok(lines + "\0")
    }

    /// What `CONTROL quota max` shows.
    pub(crate) fn peaks(&mut self, reset: bool) -> String {
        let mut lines = "Max. seen accounting values:\n".to_owned();
        for quota in hard_quotas() {
            let guests = self.domains.records.iter().filter(|&(&domid, _)| domid != 0);
            let living = guests.filter_map(|(_, domain)| domain.most.get(quota));
            let most = living.chain(self.domains.most_of_the_dead.get(quota)).max();
            let _ = writeln!(lines, "{quota:<17}: {:>8}", most.unwrap_or(&0));
        }
        if reset {
            self.domains.most_of_the_dead.clear();
            for domain in self.domains.records.values_mut() {
                domain.most.clear();
            }
            self.note_peaks();
        }
        lines + "\0"
    }
}

/// What the model has no account of: bytes of memory, and what is in buffers. Whether the
/// engine's own are right, its own recount says.
const UNKNOWN: [&str; 3] = ["memory", "soft-memory", "outstanding"];

fn hard_quotas() -> impl Iterator<Item = &'static str> {
    QUOTAS.into_iter().map(|(quota, _)| quota).filter(|quota| !UNKNOWN.contains(quota))
}

/// An account as the engine shows it without what the model has no account of.
pub fn known_lines(account: &str) -> String {
    let quota = |line: &str| line.split_once(':').map(|(quota, _)| quota.trim_end().to_owned());
    let is_known = |line: &&str| quota(line).is_none_or(|it| !UNKNOWN.contains(&it.as_str()));
    account.split_inclusive('\n').filter(is_known).collect()
}

/// The same without the most that there ever was, which depends on the order of requests that
/// were under way at the same time.
pub fn current_lines(account: &str) -> String {
    let current = |line: &str| line.split(" (max").next().unwrap_or_default().to_owned() + "\n";
    known_lines(account).lines().map(current).collect()
}
