//! The places at the live stream: so many in all, for one user and for one address. A user or an
//! address that takes one more loses its own oldest, never another's. It knows nothing of what is
//! streamed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;
use uuid::Uuid;

/// How many places there are.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// In all.
    pub all_max: usize,
    /// For one user.
    pub user_max: usize,
    /// For one address (IPv6: for a /64).
    pub address_max: usize,
}

/// The places at one gateway.
pub struct Streams {
    bounds: Bounds,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    next: u64,
    /// By the order in which they came.
    by_age: BTreeMap<u64, Watcher>,
}

struct Watcher {
    user: Uuid,
    address: String,
    _end: oneshot::Sender<()>,
}

/// A place; dropping it leaves it.
pub struct Place {
    streams: Arc<Streams>,
    number: u64,
    ended: oneshot::Receiver<()>,
}

impl Streams {
    /// With these bounds.
    pub fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self { bounds, taken: Mutex::default() })
    }

    /// Takes a place for `user` at `address`, if need be that of the oldest of either. `None` if
    /// all places are others'.
    pub fn take(self: &Arc<Self>, user: Uuid, address: String) -> Option<Place> {
        let Bounds { all_max, user_max, address_max } = self.bounds;
        let mut taken = self.taken();
        taken.make_room(user_max, |watcher| watcher.user == user);
        taken.make_room(address_max, |watcher| watcher.address == address);
        if taken.by_age.len() >= all_max {
            return None;
        }
        let (_end, ended) = oneshot::channel();
        let number = taken.next;
        taken.next += 1;
        taken.by_age.insert(number, Watcher { user, address, _end });
        Some(Place { streams: self.clone(), number, ended })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// Ends the oldest of those that `own` finds until there is room for one more.
    fn make_room(&mut self, max: usize, own: impl Fn(&Watcher) -> bool) {
        let own = self.by_age.iter().filter(|(_, watcher)| own(watcher));
        let numbers: Vec<_> = own.map(|(number, _)| *number).collect();
        let excess = (numbers.len() + 1).saturating_sub(max);
        for number in &numbers[..excess.min(numbers.len())] {
            self.by_age.remove(number);
        }
    }
}

impl Place {
    /// Resolves when the place has been given to a newer stream of the same user or address.
    pub async fn lost(&mut self) {
        // Nothing is ever sent: the sender goes with the place.
        let _ = (&mut self.ended).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.streams.taken().by_age.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn lost(place: &mut Place) -> bool {
        place.lost().now_or_never().is_some()
    }

    #[test]
    fn one_user_too_often_loses_their_own_oldest() {
        let streams = Streams::new(Bounds { all_max: 4, user_max: 2, address_max: 9 });
        let (ada, bob) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let take = |user, address: &str| streams.take(user, address.to_owned()).expect("a place");
        let mut bobs = take(bob, "b");
        let (mut first, mut second) = (take(ada, "a"), take(ada, "a2"));

        let mut third = take(ada, "a3");

        assert!(lost(&mut first));
        assert!(!lost(&mut second) && !lost(&mut third) && !lost(&mut bobs));
        drop(first);
        assert_eq!(streams.taken().by_age.len(), 3, "leaving a lost place takes nobody else's");
    }

    #[test]
    fn one_address_too_often_loses_its_own_oldest_whoever_is_there() {
        let streams = Streams::new(Bounds { all_max: 9, user_max: 9, address_max: 2 });
        let take = |user, address: &str| {
            streams.take(Uuid::from_u128(user), address.to_owned()).expect("a place")
        };
        let mut elsewhere = take(1, "b");
        let (mut first, mut second) = (take(2, "a"), take(3, "a"));
        let mut third = take(4, "a");
        assert!(lost(&mut first));
        assert!(!lost(&mut second) && !lost(&mut third) && !lost(&mut elsewhere));
    }

    #[test]
    fn without_room_a_newcomer_is_turned_away_until_someone_leaves() {
        let streams = Streams::new(Bounds { all_max: 1, user_max: 2, address_max: 2 });
        let place = streams.take(Uuid::from_u128(1), "a".into()).expect("a place");
        assert!(streams.take(Uuid::from_u128(2), "b".into()).is_none());
        drop(place);
        assert!(streams.take(Uuid::from_u128(2), "b".into()).is_some());
    }
}
