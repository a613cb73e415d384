//! What is known of each domain, found by its number.

use crate::Domid;

/// A map from domids.
///
/// A lookup is one step, however many domains there are; there are few enough numbers for
/// a place each (8 bytes up to the highest that was ever used).
#[derive(Debug)]
pub struct DomidMap<T> {
    places: Vec<Option<Box<T>>>,
}

impl<T> Default for DomidMap<T> {
    fn default() -> Self {
        Self { places: Vec::new() }
    }
}

impl<T> DomidMap<T> {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// What is known of a domain.
    pub fn get(&self, domid: Domid) -> Option<&T> {
        self.places.get(usize::from(domid.get()))?.as_deref()
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, domid: Domid) -> Option<&mut T> {
        self.places.get_mut(usize::from(domid.get()))?.as_deref_mut()
    }

    /// Takes note of a domain; what was known of it before.
    pub fn insert(&mut self, domid: Domid, value: T) -> Option<T> {
        let index = usize::from(domid.get());
        if self.places.len() <= index {
            self.places.resize_with(index + 1, || None);
        }
        let place = self.places.get_mut(index)?;
        place.replace(Box::new(value)).map(|before| *before)
    }

    /// Forgets a domain; what was known of it.
    pub fn remove(&mut self, domid: Domid) -> Option<T> {
        self.places.get_mut(usize::from(domid.get()))?.take().map(|before| *before)
    }

    /// All domains of which something is known, by number.
    pub fn iter(&self) -> impl Iterator<Item = (Domid, &T)> {
        (0..=u16::MAX).map(Domid::new).zip(&self.places).filter_map(|(domid, place)| {
            let value = place.as_deref()?;
            Some((domid, value))
        })
    }

    /// What is known of all, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.places.iter_mut().flatten().map(|value| &mut **value)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((any::<bool>(), 0..40_u16, any::<u8>()), 0..200)) {
            let (mut map, mut model) = (DomidMap::new(), BTreeMap::new());
            for (insert, number, value) in steps {
                let domid = Domid::new(number);
                prop_assert_eq!(map.get(domid), model.get(&domid));
                if insert {
                    prop_assert_eq!(map.insert(domid, value), model.insert(domid, value));
                } else {
                    prop_assert_eq!(map.remove(domid), model.remove(&domid));
                }
                prop_assert_eq!(map.get_mut(domid), model.get_mut(&domid));
                prop_assert!(map.iter().eq(model.iter().map(|(&domid, value)| (domid, value))));
            }
            prop_assert!(map.values_mut().eq(model.values_mut()));
        }
    }

    #[test]
    fn every_number_has_a_place() {
        let mut map = DomidMap::new();
        map.insert(Domid::new(u16::MAX), 1);
        assert_eq!(map.iter().collect::<Vec<_>>(), [(Domid::new(u16::MAX), &1)]);
    }
}
