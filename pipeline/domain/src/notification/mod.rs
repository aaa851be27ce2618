//! A notification: what somebody is told, in their inbox always, and by mail where there is a mail
//! server.

mod decider;
pub mod policy;

pub use decider::Notification;
