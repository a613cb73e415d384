//! Where one guest after another lives, each with a toolstack of its own.

use std::fmt;
use std::time::{Duration, Instant};

use xenstore_guests::Guest;
use xenstore_host::ring::Field;
use xenstore_host::sim::State;
use xenstore_model::act::Act;
use xenstore_model::operation::Action;
use xenstore_model::request::Request;
use xenstore_wire::Domid;

use crate::actor::{Actor, Deed, Step};
use crate::failure::Failure;
use crate::habits::{self, Circumstances};
use crate::hostile::{Hostile, Kind};
use crate::judge::node;
use crate::libxl::{DEVICES, Domain};
use crate::line::Line;
use crate::tally::Who;
use crate::town::Town;
use crate::village::Village;

/// A client of a village.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part {
    /// Where it lives.
    pub house: usize,
    /// Whether it is the guest; else it is the guest's toolstack.
    pub is_guest: bool,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = if self.is_guest { "guest" } else { "toolstack" };
        write!(f, "{who} {}", self.house)
    }
}

/// How far the life in a house is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Nobody is there, until then.
    Empty {
        /// When the next domain comes.
        until: Instant,
    },
    /// A domain is being made.
    Coming,
    /// It runs.
    Living {
        /// When it is to die.
        until: Instant,
    },
    /// It ends.
    Dying,
}

/// Where one guest after another lives.
#[derive(Debug)]
pub struct House {
    /// The numbers its domains have.
    domids: [u16; 2],
    /// The domain that is there, or was there last.
    pub domain: Domain,
    /// How far its life is.
    pub phase: Phase,
    /// Who made it.
    pub toolstack: Option<Actor>,
    /// The guest, if it is a good one.
    pub guest: Option<Actor>,
    /// The guest, if it is a hostile one.
    pub hostile: Option<Hostile>,
    /// What its hostile guests do; those of a house without are good.
    kinds: Vec<Kind>,
    /// The domain, before it runs.
    made: Option<Guest>,
    /// Its ring is to begin anew, and did not yet.
    pub reconnecting: bool,
    /// The toolstack does nothing until then.
    pub paused_until: Instant,
    lifetime: Duration,
}

impl House {
    /// One whose domains have these numbers, and live for so long in the mean. `kinds` says
    /// what they are up to; if there are none, they are good.
    pub fn new(domids: [u16; 2], kinds: Vec<Kind>, lifetime: Duration, opens: Instant) -> Self {
        Self {
            domids,
            domain: Domain { domid: domids[0], life: 0 },
            phase: Phase::Empty { until: opens },
            toolstack: None,
            guest: None,
            hostile: None,
            kinds,
            made: None,
            reconnecting: false,
            paused_until: opens,
            lifetime,
        }
    }

    /// The numbers its domains have.
    pub fn domids(&self) -> [u16; 2] {
        self.domids
    }

    /// Whether the next domain is to come.
    pub fn is_due(&self, now: Instant) -> bool {
        matches!(self.phase, Phase::Empty { until } if until <= now)
    }

    /// Whether a good guest runs in it.
    pub fn has_good_guest(&self) -> bool {
        self.guest.is_some()
    }

    fn domid(&self) -> Domid {
        Domid::new(self.domain.domid)
    }
}

impl Village {
    /// The next domain is begun to be made.
    pub(crate) fn move_in(&mut self, number: usize, town: &mut Town) -> Result<(), Failure> {
        let part = Part { house: number, is_guest: false };
        let line = town.connect(self.number, part)?;
        let client = self.judge.connect();
        let house = &mut self.houses[number];
        // Mostly the same number again.
        let domid = house.domids[usize::from(self.random.chance(30))];
        house.domain = Domain { domid, life: house.domain.life + 1 };
        house.phase = Phase::Coming;
        let mut toolstack = Actor::new(Who::Toolstack, client, line);
        toolstack.script.extend(habits::birth(house.domain));
        house.toolstack = Some(toolstack);
        Ok(())
    }

    /// Does something to a domain; whether it is done, or is to be tried again.
    pub(crate) fn perform(
        &mut self,
        number: usize,
        deed: Deed,
        town: &mut Town,
        now: Instant,
    ) -> Result<bool, Failure> {
        let neighbours = self.domids();
        let house = &mut self.houses[number];
        let (domid, domain) = (house.domid(), house.domain);
        match deed {
            Deed::Create => {
                house.made = Some(town.host.create(domid)?);
                self.judge.create(domain.domid);
            }
            Deed::Boot => {
                let Some(made) = house.made.take() else { return Ok(true) };
                if let Some(kind) = house.kinds.first().copied() {
                    house.kinds.rotate_left(1);
                    house.hostile = Some(Hostile::new(kind, made, self.random.bits()));
                    return Ok(true);
                }
                let ring = self.judge.model().domains().records.get(&domain.domid);
                let client = ring.and_then(|known| known.ring).unwrap_or_default();
                let mut guest = Actor::new(Who::Guest, client, Line::Ring(Box::new(made)));
                let here = Circumstances { domain, neighbours: &neighbours };
                guest.script.extend(habits::boot(&here));
                house.guest = Some(guest);
            }
            Deed::Live => {
                let millis = usize::try_from(house.lifetime.as_millis()).unwrap_or(1).max(1);
                let life = Duration::from_millis(
                    (millis / 4 + self.random.below(millis * 3 / 2 + 1)) as u64,
                );
                house.phase = Phase::Living { until: now + life };
            }
            Deed::Halt => {
                if house.guest.as_ref().is_some_and(Actor::is_inside) {
                    return Ok(false);
                }
                town.host.shut_down(domid)?;
                town.host.raise()?;
                house.guest.iter_mut().for_each(|guest| guest.frozen = true);
                self.judge.happen(&Act::ShutDown(domain.domid), domain.domid, now);
            }
            Deed::Continue => {
                town.host.set_state(domid, State::EXISTS)?;
                house.guest.iter_mut().for_each(|guest| guest.frozen = false);
            }
            Deed::Retire => drop((house.guest.take(), house.hostile.take())),
            Deed::Reconnect => {
                if let Some(Actor { line: Line::Ring(guest), frozen, .. }) = &mut house.guest {
                    guest.page().set_field(Field::Connection, 1);
                    guest.fire()?;
                    *frozen = true;
                    house.reconnecting = true;
                }
            }
            Deed::Reintroduce => {
                house.guest.iter_mut().for_each(|guest| guest.frozen = true);
                town.tally.fate("introduced again");
            }
            Deed::Welcome => {
                if let Some(guest) = &mut house.guest {
                    guest.renew();
                    guest.frozen = false;
                    self.judge.forget(guest.client);
                }
            }
            Deed::VanishAsking => {
                self.ask_and_die(number)?;
                return self.perform(number, Deed::Vanish, town, now);
            }
            Deed::Vanish => {
                town.host.remove(domid)?;
                town.host.raise()?;
                drop((house.guest.take(), house.hostile.take()));
                self.judge.happen(&Act::Vanish(domain.domid), domain.domid, now);
            }
            Deed::Replace => {
                drop((house.guest.take(), house.hostile.take()));
                drop(town.host.create(domid)?);
                town.host.raise()?;
                self.judge.happen(&Act::Create(domain.domid), domain.domid, now);
            }
            Deed::Await => {
                let told = |toolstack: &Actor| self.judge.is_told(toolstack.client);
                return Ok(house.toolstack.as_ref().is_none_or(told));
            }
            Deed::CheckGone => {
                let (bound, maps) = (town.host.bound_port(domid)?, town.host.maps(domid)?);
                if bound.is_some() || maps != 0 {
                    let what = format!("{domid} is gone, and bound {bound:?}, mapped {maps} times");
                    return Err(Failure::Broken(what));
                }
            }
            Deed::Audit => self.audit(number),
            Deed::Pause(time) => house.paused_until = now + time,
            Deed::Leave => {
                if let Some(toolstack) = house.toolstack.take() {
                    self.judge.disconnect(toolstack.client);
                }
                let pause = Duration::from_millis(self.random.below(300) as u64);
                house.phase = Phase::Empty { until: now + pause };
            }
        }
        Ok(true)
    }

    /// A guest asks something and is gone before it can have been answered.
    fn ask_and_die(&mut self, number: usize) -> Result<(), Failure> {
        let House { guest, .. } = &mut self.houses[number];
        let Some(guest) = guest else { return Ok(()) };
        let write = |place: &str| node(place, Action::Write("last words".to_owned()));
        let batch = vec![write("data/x1"), node("data/x2", Action::Rm), write("data/shared/mine")];
        let now = Instant::now();
        guest.send(Step::Batch(batch), &mut self.judge, now)?;
        let client = guest.client;
        self.judge.abandon(client, now);
        Ok(())
    }

    /// Has the toolstack look at all there is of its domain.
    fn audit(&mut self, number: usize) {
        let house = &mut self.houses[number];
        let domain = house.domain;
        let backends = DEVICES.map(|(class, _)| domain.backend(class));
        let mut batches = Vec::new();
        for top in [domain.home(), domain.vm(), domain.libxl()].iter().chain(&backends) {
            let store = self.judge.model().store();
            let names = if store.has(top) { store.top_down(top) } else { Vec::new() };
            let looks = |name: &String| {
                [Action::Read, Action::Directory, Action::GetPerms].map(|action| node(name, action))
            };
            let requests: Vec<Request> = names.iter().flat_map(looks).collect();
            batches.extend(requests.chunks(60).map(|chunk| Step::Batch(chunk.to_vec())));
        }
        if let Some(toolstack) = &mut house.toolstack {
            toolstack.prepend(batches);
        }
    }

    /// Whether a guest's ring was to begin anew; if it did, the guest goes on.
    pub(crate) fn finish_reconnection(&mut self, number: usize) -> bool {
        let House { guest, reconnecting, .. } = &mut self.houses[number];
        let Some(actor) = guest.as_mut().filter(|_| *reconnecting) else { return false };
        if let Line::Ring(ring) = &actor.line
            && ring.page().field(Field::Connection) == 0
        {
            actor.renew();
            actor.frozen = false;
            *reconnecting = false;
            self.judge.reconnect(actor.client);
        }
        true
    }
}
