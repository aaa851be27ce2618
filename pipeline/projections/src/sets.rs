//! Which projections each service runs.

/// The live stream's projections: their names, and the topics of each.
pub(crate) const LIVE: [(&str, &[&str]); 3] = [
    ("live-user", &["user.events", "email.events"]),
    ("live-order", &["order.events", "stock.events"]),
    ("live-notification", &["notification.events"]),
];
