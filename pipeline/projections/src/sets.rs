//! Which projections each service runs. All of them run `outcomes`, in one group: any that lives is
//! enough.

use crate::{mongo::Mongo, postgres::Postgres, projection::Projection, redis::Redis};

/// The live stream's projections: their names, and the topics of each.
pub(crate) const LIVE: [(&str, &[&str]); 3] = [
    ("live-user", &["user.events", "email.events"]),
    ("live-order", &["order.events", "stock.events"]),
    ("live-notification", &["notification.events"]),
];

/// The projections of the user service: users and sessions, credentials, outcomes, and its part of
/// the live stream.
pub fn user(postgres: &Postgres, redis: &Redis) -> Vec<Box<dyn Projection>> {
    vec![postgres.users(), postgres.credentials(), postgres.outcomes(redis), live(redis, 0)]
}

/// The projections of the order service: orders, products in two stores, outcomes, and its part of
/// the live stream.
pub fn order(postgres: &Postgres, mongo: &Mongo, redis: &Redis) -> Vec<Box<dyn Projection>> {
    vec![
        mongo.orders(),
        mongo.products(),
        redis.hot_products(),
        postgres.outcomes(redis),
        live(redis, 1),
    ]
}

/// The projections of the notification service: the inbox, its counters, mail's recipients,
/// outcomes, and its part of the live stream.
pub fn notification(postgres: &Postgres, mongo: &Mongo, redis: &Redis) -> Vec<Box<dyn Projection>> {
    vec![
        mongo.notifications(),
        mongo.recipients(),
        redis.unread(),
        postgres.outcomes(redis),
        live(redis, 2),
    ]
}

fn live(redis: &Redis, part: usize) -> Box<dyn Projection> {
    let (name, topics) = LIVE[part];
    redis.live(name, topics)
}
