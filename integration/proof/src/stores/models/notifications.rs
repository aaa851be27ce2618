//! Inboxes: the notifications in MongoDB, and the counters of unread ones in Redis.

use std::time::{Duration, Instant};

use redis::{AsyncCommands as _, aio::MultiplexedConnection};
use schemas::notification::{Mail, State};
use serde_json::{Value, json};

use super::{Fields, Rows, collection, differences, fields};
use crate::ledger::{Ledger, Violation};

/// A notification must be projected this long after its events were read. Unlike all others, these
/// events come also while the system is judged, so the suite can't wait until none is to come.
const PROJECTED_MAX: Duration = Duration::from_secs(1);

/// Compares the notifications in MongoDB with the ledger.
pub(super) async fn compare(
    mongo: &mongodb::Database,
    ledger: &Ledger,
) -> anyhow::Result<Vec<Violation>> {
    let (begun, folded) = (Instant::now(), folded(ledger));
    loop {
        let broken = broken(collection(mongo, "notifications").await?, folded.clone());
        if broken.is_empty() || begun.elapsed() > PROJECTED_MAX {
            return Ok(broken);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The documents that the events give.
fn folded(ledger: &Ledger) -> Rows {
    let notifications = ledger.folds.notifications.aggregates.iter();
    let folded = notifications.filter_map(|(id, (version, state))| {
        let State::Raised(raised) = state.as_ref()?;
        let mail = (raised.mail != Mail::None).then(|| raised.mail.as_str().to_lowercase());
        let object = json!({
            "_id": id, "user_id": raised.user_id, "kind": raised.kind.as_str().to_lowercase(),
            "title": raised.title, "body": raised.body, "order_id": raised.order_id,
            "raised_at": raised.raised_at, "read_at": raised.read_at, "mail": mail,
            "version": version,
        });
        Some((id.clone(), fields(object)))
    });
    folded.collect()
}

/// The differences of the documents. A document may be newer than what was read of the topics if
/// its mail was under way then: of such a document, what the mail changes is not compared.
fn broken(mut stored: Rows, mut folded: Rows) -> Vec<Violation> {
    for (id, expected) in &mut folded {
        let Some(found) = stored.get_mut(id) else { continue };
        let is_under_way = expected.get("mail").and_then(Value::as_str) == Some("requested");
        if is_under_way && version(found) > version(expected) {
            for document in [found, expected] {
                document.retain(|name, _| name != "mail" && name != "version");
            }
        }
    }
    differences("notification", "MongoDB", &stored, &folded)
}

fn version(document: &Fields) -> Option<i64> {
    document.get("version")?.as_i64()
}

/// The counters that the events give, by user. A counter of zero has no key.
pub(super) fn unread(ledger: &Ledger) -> Rows {
    let mut users = std::collections::BTreeMap::<String, i64>::new();
    for (_, state) in ledger.folds.notifications.aggregates.values() {
        if let Some(State::Raised(raised)) = state
            && raised.read_at.is_none()
        {
            *users.entry(raised.user_id.to_string()).or_default() += 1;
        }
    }
    users.into_iter().map(|(user, unread)| (user, fields(json!({ "unread": unread })))).collect()
}

/// The counters in Redis, by user.
pub(super) async fn counters(redis: &mut MultiplexedConnection) -> anyhow::Result<Rows> {
    let keys: Vec<String> = redis.keys("unread:*").await?;
    // Redis refuses a command without keys.
    if keys.is_empty() {
        return Ok(Rows::new());
    }
    let values: Vec<Option<i64>> = redis.mget(&keys).await?;
    let counters = keys.iter().zip(values).map(|(key, unread)| {
        let user = key.strip_prefix("unread:").unwrap_or(key);
        (user.to_owned(), fields(json!({ "unread": unread })))
    });
    Ok(counters.collect())
}

#[cfg(test)]
mod tests {
    use schemas::notification::{
        Event, Kind, MailRequested, MailSent, NotificationRaised, NotificationRead,
    };
    use uuid::Uuid;

    use super::*;
    use crate::{ledger::testing::Log, stores::models::one_row};

    const NOTIFICATION: Uuid = Uuid::from_u128(1);
    const USER: Uuid = Uuid::from_u128(2);
    const ORDER: Uuid = Uuid::from_u128(3);

    fn event(log: &mut Log, version: i64, message: impl Into<Event>) {
        let (key, id) = (NOTIFICATION.to_string(), 100 + version.unsigned_abs());
        let message: Event = message.into();
        log.event("notification.events", &key, version, id.into(), 9, &message);
    }

    /// A notification whose mail is requested.
    fn requested() -> Log {
        let mut log = Log::default();
        let raised = NotificationRaised {
            notification_id: NOTIFICATION,
            user_id: USER,
            kind: Kind::OrderConfirmed,
            title: "Confirmed".to_owned(),
            body: "Your order is confirmed.".to_owned(),
            order_id: Some(ORDER),
            raised_at: 10,
        };
        let requested = MailRequested {
            notification_id: NOTIFICATION,
            user_id: USER,
            attempt: 1,
            message_id: "m".to_owned(),
            title: raised.title.clone(),
            body: raised.body.clone(),
        };
        event(&mut log, 1, raised);
        event(&mut log, 2, requested);
        log
    }

    fn stored(read_at: Option<i64>, mail: &str, version: i64) -> Rows {
        let document = json!({
            "_id": NOTIFICATION, "user_id": USER, "kind": "order_confirmed", "title": "Confirmed",
            "body": "Your order is confirmed.", "order_id": ORDER, "raised_at": 10,
            "read_at": read_at, "mail": mail, "version": version,
        });
        one_row(&NOTIFICATION.to_string(), document)
    }

    #[test]
    fn inbox_has_who_has_read_what_and_the_state_of_the_mail() {
        let mut log = requested();
        let (notification_id, user_id) = (NOTIFICATION, USER);
        event(&mut log, 3, NotificationRead { notification_id, user_id, read_at: 30 });
        event(&mut log, 4, MailSent { notification_id, user_id, attempt: 1 });
        let found = |stored: Rows| broken(stored, folded(&log.ledger)).len();
        assert_eq!(found(stored(Some(30), "sent", 4)), 0);
        assert_eq!(found(stored(None, "sent", 4)), 1, "it is not read");
        assert_eq!(found(stored(Some(30), "requested", 4)), 1, "its mail is not sent");
        assert_eq!(found(stored(Some(30), "sent", 5)), 1, "no event of it is to come");
        assert_eq!(found(Rows::new()), 1);
        let mut more = stored(Some(30), "sent", 4);
        more.extend(one_row("another", json!({ "version": 1 })));
        assert_eq!(found(more), 1);
    }

    #[test]
    fn mail_that_is_under_way_may_be_newer_than_what_was_read_but_not_older() {
        let log = requested();
        let found = |stored: Rows| broken(stored, folded(&log.ledger)).len();
        assert_eq!(found(stored(None, "requested", 2)), 0);
        assert_eq!(found(stored(None, "sent", 3)), 0);
        assert_eq!(found(stored(Some(30), "sent", 3)), 1, "no mail reads it");
        assert_eq!(found(stored(None, "sent", 2)), 1, "no newer event says so");
        assert_eq!(found(stored(None, "requested", 1)), 1);
    }

    #[test]
    fn notification_that_is_read_leaves_the_counter() {
        let mut log = requested();
        let counter = one_row(&USER.to_string(), json!({ "unread": 1 }));
        assert_eq!(unread(&log.ledger), counter);
        let (notification_id, user_id) = (NOTIFICATION, USER);
        event(&mut log, 3, NotificationRead { notification_id, user_id, read_at: 30 });
        assert_eq!(unread(&log.ledger), Rows::new());
    }
}
