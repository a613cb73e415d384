//! What those in a village do next who have nothing to do.

use std::time::{Duration, Instant};

use crate::actor::Actor;
use crate::failure::Failure;
use crate::habits::{self, Circumstances};
use crate::house::{House, Phase};
use crate::town::Town;
use crate::village::{Mood, Village};

impl Village {
    /// The next domains are begun to be made where it is time.
    pub(crate) fn begin_lives(
        &mut self,
        mood: Mood,
        town: &mut Town,
        now: Instant,
    ) -> Result<(), Failure> {
        for number in 0..self.houses.len() {
            if self.houses[number].is_due(now) && mood == Mood::Live {
                self.move_in(number, town)?;
            }
        }
        Ok(())
    }

    /// Gives those something to do who have nothing to do; when it is time for more.
    pub(crate) fn fill_scripts(&mut self, mood: Mood, town: &mut Town, now: Instant) -> Instant {
        let mut at = now + Duration::from_secs(1);
        for part in self.parts() {
            let house = &self.houses[part.house];
            let Some(actor) = self.actor(part) else { continue };
            let idle = actor.script.is_empty() && !actor.frozen && !actor.is_waiting();
            let Phase::Living { until } = house.phase else { continue };
            if !idle || mood == Mood::Rest {
                continue;
            }
            if !part.is_guest && (now >= until || mood == Mood::Leave) {
                self.begin_to_die(part.house, town);
                continue;
            }
            let is_wild = house.hostile.is_some();
            if is_wild || mood != Mood::Live {
                continue;
            }
            if now < self.rest_until {
                at = at.min(self.rest_until);
                continue;
            }
            if self.random.chance(3) {
                self.begin_contest(house.domain.domid, now);
                continue;
            }
            let house = &self.houses[part.house];
            let neighbours = self.domids();
            let here = Circumstances { domain: house.domain, neighbours: &neighbours };
            // One of them, then it is quiet for a while.
            if self.random.chance(50) {
                continue;
            }
            let next = if part.is_guest { habits::guests_next } else { habits::toolstacks_next };
            let steps = next(&mut self.random, &here);
            self.rest(now);
            if let Some(actor) = self.actor_mut(part) {
                actor.script.extend(steps);
            }
        }
        at
    }

    fn rest(&mut self, now: Instant) {
        let micros = usize::try_from(self.pace.as_micros() * 2).unwrap_or(1).max(1);
        self.rest_until = now + Duration::from_micros(self.random.below(micros) as u64);
    }

    /// Everybody who has nothing else to do wants something of the same nodes.
    fn begin_contest(&mut self, domid: u16, now: Instant) {
        for part in self.parts() {
            let lives = matches!(self.houses[part.house].phase, Phase::Living { .. });
            let idle = |actor: &Actor| actor.script.is_empty() && !actor.frozen;
            if lives && self.actor(part).is_some_and(idle) {
                let step = habits::contest(&mut self.random, domid);
                self.actor_mut(part).into_iter().for_each(|it| it.script.push_back(step.clone()));
            }
        }
        self.rest(now);
    }

    fn begin_to_die(&mut self, number: usize, town: &mut Town) {
        let House { domain, hostile, .. } = &self.houses[number];
        let (fate, steps) = habits::death(&mut self.random, *domain);
        town.tally.fate(if hostile.is_some() { "hostile guests destroyed" } else { fate });
        let house = &mut self.houses[number];
        house.phase = Phase::Dying;
        if let Some(toolstack) = &mut house.toolstack {
            toolstack.script.extend(steps);
        }
    }
}
