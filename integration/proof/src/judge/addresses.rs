//! Invariant A for e-mail addresses: each belongs to at most one active user, who holds the claim
//! on it, and nobody holds a claim without a need for it.

use std::collections::HashMap;

use schemas::{email, user};
use uuid::Uuid;

use crate::ledger::{Damage, Ledger, Violation};

/// A: an address belongs to one active user.
pub(super) fn shared(ledger: &Ledger) -> Vec<Violation> {
    let mut owners: HashMap<&str, Vec<&str>> = HashMap::new();
    for (id, (_, state)) in &ledger.folds.users.aggregates {
        if let Some(user::State::Active(user)) = state {
            owners.entry(&user.email_fingerprint).or_default().push(id);
        }
    }
    let shared = owners.into_iter().filter(|(_, users)| users.len() > 1);
    let violation = |(address, users): (&str, Vec<&str>)| {
        let what = format!("the address {address} belongs to all of {users:?}");
        Violation::new('A', Damage::Doubled, what)
    };
    shared.map(violation).collect()
}

/// A: an active user holds the claim on their address, and who holds a claim has the address or
/// waits for it. Otherwise another user could get an address that is in use, or nobody could ever
/// get one that is not.
pub(super) fn claims(ledger: &Ledger) -> Vec<Violation> {
    let torn = |what: String| Violation::new('A', Damage::Torn, what);
    let mut broken = Vec::new();
    for (id, (_, state)) in &ledger.folds.users.aggregates {
        let Some(user::State::Active(user)) = state else { continue };
        let address = &user.email_fingerprint;
        let holder = holder(ledger, address);
        if holder != Some(user.user_id) {
            broken.push(torn(format!(
                "user {id} has the address {address}, and the claim on it belongs to {holder:?}"
            )));
        }
    }
    for (address, (_, state)) in &ledger.folds.emails.aggregates {
        let Some(email::State::Claimed(claimed)) = state else { continue };
        let id = claimed.user_id.to_string();
        if !needs(ledger, &id, address) {
            broken.push(torn(format!("user {id} has a claim on {address} without a need for it")));
        }
    }
    broken
}

/// The user who holds the claim on an address.
fn holder(ledger: &Ledger, address: &str) -> Option<Uuid> {
    let (_, state) = ledger.folds.emails.aggregates.get(address)?;
    match state {
        Some(email::State::Claimed(claimed)) => Some(claimed.user_id),
        Some(email::State::Free(_)) | None => None,
    }
}

/// Whether a user has this address, or waits for it.
fn needs(ledger: &Ledger, id: &str, address: &str) -> bool {
    match ledger.folds.users.aggregates.get(id).and_then(|(_, state)| state.as_ref()) {
        Some(user::State::Active(user)) => {
            let pending = user.pending_email.as_ref();
            user.email_fingerprint == address
                || pending.is_some_and(|pending| pending.email_fingerprint == address)
        }
        Some(user::State::Registering(user)) => user.email_fingerprint == address,
        Some(user::State::Deactivated(_)) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use schemas::{
        email::{EmailClaimed, EmailReleased},
        user::{
            EmailChangeStarted, EmailChanged, RegistrationStarted, Role, UserDeactivated,
            UserRegistered,
        },
    };

    use super::*;
    use crate::ledger::testing::Log;

    const USER: Uuid = Uuid::from_u128(1);

    /// What the violations are, in order.
    fn letters(broken: &[Violation]) -> Vec<(char, Damage)> {
        broken.iter().map(|one| (one.invariant, one.damage)).collect()
    }

    /// Adds the next event of a user.
    fn user_event(log: &mut Log, user_id: Uuid, version: i64, event: impl Into<user::Event>) {
        let (key, id) = (user_id.to_string(), user_id.as_u128() * 100);
        let event: user::Event = event.into();
        let id = id + u128::from(version.unsigned_abs());
        log.event("user.events", &key, version, id, 9, &event);
    }

    /// Adds the next event of an address.
    fn address_event(log: &mut Log, address: &str, version: i64, event: impl Into<email::Event>) {
        let id = Uuid::new_v5(&USER, format!("{address} {version}").as_bytes()).as_u128();
        let event: email::Event = event.into();
        log.event("email.events", address, version, id, 9, &event);
    }

    fn registered(user_id: Uuid, address: &str) -> UserRegistered {
        UserRegistered {
            user_id,
            email: String::new(),
            email_fingerprint: address.to_owned(),
            name: String::new(),
            role: Role::User,
            registered_at: 0,
        }
    }

    fn claimed(user_id: Uuid, address: &str) -> EmailClaimed {
        EmailClaimed { email_fingerprint: address.to_owned(), user_id, user_version: None }
    }

    fn released(user_id: Uuid, address: &str) -> EmailReleased {
        EmailReleased { email_fingerprint: address.to_owned(), user_id }
    }

    #[test]
    fn address_of_two_active_users_is_doubled() {
        let mut log = Log::default();
        for id in [1, 2] {
            let user_id = Uuid::from_u128(id);
            let own = registered(user_id, &format!("address-{id}"));
            user_event(&mut log, user_id, 1, own);
            assert_eq!(shared(&log.ledger), []);
            user_event(&mut log, user_id, 2, registered(user_id, "address"));
        }
        assert_eq!(letters(&shared(&log.ledger)), [('A', Damage::Doubled)]);
    }

    #[test]
    fn active_user_without_the_claim_on_the_address_is_torn() {
        let mut log = Log::default();
        user_event(&mut log, USER, 1, registered(USER, "old"));
        assert_eq!(letters(&claims(&log.ledger)), [('A', Damage::Torn)], "nobody has claimed it");
        address_event(&mut log, "old", 1, claimed(USER, "old"));
        assert_eq!(claims(&log.ledger), []);

        address_event(&mut log, "old", 2, released(USER, "old"));
        assert_eq!(letters(&claims(&log.ledger)), [('A', Damage::Torn)], "it was released");
        address_event(&mut log, "old", 3, claimed(Uuid::from_u128(2), "old"));
        assert_eq!(letters(&claims(&log.ledger)), [('A', Damage::Torn); 2], "it is another's");
    }

    #[test]
    fn claim_that_its_user_does_not_need_is_torn() {
        let mut log = Log::default();
        let started = RegistrationStarted {
            user_id: USER,
            email_fingerprint: "old".to_owned(),
            email: String::new(),
            name: String::new(),
            role: Role::User,
            started_at: 0,
        };
        user_event(&mut log, USER, 1, started);
        address_event(&mut log, "old", 1, claimed(USER, "old"));
        assert_eq!(claims(&log.ledger), [], "the user is about to be registered");
        user_event(&mut log, USER, 2, registered(USER, "old"));
        let (email, email_fingerprint) = (String::new(), "new".to_owned());
        let claim_id = Uuid::nil();
        let change = EmailChangeStarted { user_id: USER, email, email_fingerprint, claim_id };
        user_event(&mut log, USER, 3, change);
        address_event(&mut log, "new", 1, claimed(USER, "new"));
        assert_eq!(claims(&log.ledger), [], "the user is about to change to it");

        let changed = EmailChanged {
            user_id: USER,
            email: String::new(),
            email_fingerprint: "new".to_owned(),
            former_fingerprint: "old".to_owned(),
        };
        user_event(&mut log, USER, 4, changed);
        assert_eq!(letters(&claims(&log.ledger)), [('A', Damage::Torn)], "the old one is kept");
        address_event(&mut log, "old", 2, released(USER, "old"));
        assert_eq!(claims(&log.ledger), []);

        let (email_fingerprint, deactivated_at) = ("new".to_owned(), 0);
        let left = UserDeactivated { user_id: USER, email_fingerprint, deactivated_at };
        user_event(&mut log, USER, 5, left);
        assert_eq!(letters(&claims(&log.ledger)), [('A', Damage::Torn)], "the user has left");
        address_event(&mut log, "new", 2, released(USER, "new"));
        assert_eq!(claims(&log.ledger), []);
    }
}
