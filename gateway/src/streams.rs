//! Seats of the clients of streams, bounded in all, for one user and for one address. A user or
//! address that takes one too many loses its own oldest seat, never another one's. This module does
//! not know what is streamed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;
use uuid::Uuid;

/// How many seats there are.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Seats in all.
    pub all_max: usize,
    /// Seats of one user.
    pub user_max: usize,
    /// Seats of one address (IPv6: of a /64).
    pub address_max: usize,
}

/// The seats of one gateway.
pub struct Streams {
    bounds: Bounds,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    next_number: u64,
    /// The clients by the number of their seat, the oldest first.
    by_age: BTreeMap<u64, Client>,
}

struct Client {
    /// `None` for an anonymous one, who has only the bound of the address.
    user: Option<Uuid>,
    address: String,
    /// Dropped when the seat is lost, which ends the receiver in the seat.
    _lost: oneshot::Sender<()>,
}

/// A seat; dropping it frees it.
pub struct StreamSeat {
    streams: Arc<Streams>,
    number: u64,
    lost: oneshot::Receiver<()>,
}

impl Streams {
    /// Seats within these bounds.
    pub fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self { bounds, taken: Mutex::default() })
    }

    /// Takes a seat for `user` at `address`, if necessary the oldest seat of that user or address.
    /// Returns `None` when other users and addresses have all seats.
    pub fn take(self: &Arc<Self>, user: Option<Uuid>, address: String) -> Option<StreamSeat> {
        let Bounds { all_max, user_max, address_max } = self.bounds;
        let mut taken = self.taken();
        if user.is_some() {
            taken.make_room(user_max, |client| client.user == user);
        }
        taken.make_room(address_max, |client| client.address == address);
        if taken.by_age.len() >= all_max {
            return None;
        }
        let (_lost, lost) = oneshot::channel();
        let number = taken.next_number;
        taken.next_number += 1;
        taken.by_age.insert(number, Client { user, address, _lost });
        Some(StreamSeat { streams: self.clone(), number, lost })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// Frees the oldest seats of the clients that `is_own` selects, until one more fits.
    fn make_room(&mut self, max: usize, is_own: impl Fn(&Client) -> bool) {
        let own = self.by_age.iter().filter(|(_, client)| is_own(client));
        let numbers: Vec<_> = own.map(|(number, _)| *number).collect();
        let excess = (numbers.len() + 1).saturating_sub(max);
        for number in &numbers[..excess.min(numbers.len())] {
            self.by_age.remove(number);
        }
    }
}

impl StreamSeat {
    /// Resolves when a newer stream of the same user or address has taken the seat.
    pub async fn lost(&mut self) {
        // Nothing is ever sent; the receiver ends when the sender is dropped.
        let _ = (&mut self.lost).await;
    }
}

impl Drop for StreamSeat {
    fn drop(&mut self) {
        self.streams.taken().by_age.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn is_lost(seat: &mut StreamSeat) -> bool {
        seat.lost().now_or_never().is_some()
    }

    #[test]
    fn user_with_one_stream_too_many_loses_their_own_oldest() {
        let streams = Streams::new(Bounds { all_max: 4, user_max: 2, address_max: 9 });
        let (ada, bob) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let take =
            |user, address: &str| streams.take(Some(user), address.to_owned()).expect("a seat");
        let mut bobs = take(bob, "b");
        let (mut first, mut second) = (take(ada, "a"), take(ada, "a2"));

        let mut third = take(ada, "a3");

        assert!(is_lost(&mut first));
        assert!(!is_lost(&mut second) && !is_lost(&mut third) && !is_lost(&mut bobs));
        drop(first);
        assert_eq!(streams.taken().by_age.len(), 3, "dropping a lost seat frees no other one");
    }

    #[test]
    fn address_with_one_stream_too_many_loses_its_own_oldest() {
        let streams = Streams::new(Bounds { all_max: 9, user_max: 9, address_max: 2 });
        let take = |user, address: &str| {
            streams.take(Some(Uuid::from_u128(user)), address.to_owned()).expect("a seat")
        };
        let mut elsewhere = take(1, "b");
        let (mut first, mut second) = (take(2, "a"), take(3, "a"));
        let mut third = take(4, "a");
        assert!(is_lost(&mut first));
        assert!(!is_lost(&mut second) && !is_lost(&mut third) && !is_lost(&mut elsewhere));
    }

    #[test]
    fn anonymous_clients_of_different_addresses_take_nothing_from_each_other() {
        let streams = Streams::new(Bounds { all_max: 9, user_max: 1, address_max: 2 });
        let take = |address: &str| streams.take(None, address.to_owned()).expect("a seat");
        let (mut elsewhere, mut first, mut second) = (take("b"), take("a"), take("a"));
        assert!(!is_lost(&mut first) && !is_lost(&mut second));
        let _third = take("a");
        assert!(is_lost(&mut first) && !is_lost(&mut second) && !is_lost(&mut elsewhere));
    }

    #[test]
    fn take_returns_none_while_all_slots_are_taken() {
        let streams = Streams::new(Bounds { all_max: 1, user_max: 2, address_max: 2 });
        let seat = streams.take(Some(Uuid::from_u128(1)), "a".into()).expect("a seat");
        assert!(streams.take(Some(Uuid::from_u128(2)), "b".into()).is_none());
        drop(seat);
        assert!(streams.take(Some(Uuid::from_u128(2)), "b".into()).is_some());
    }
}
