//! What reactions send, and the topic of each message type: the one table for both. A new context
//! with follow-ups adds a line here.

use schemas::{email, notification, order, stock, user};

use crate::decision::Addressed;

/// Defines [`Out`] and the topic of each of its message types.
macro_rules! outgoing {
    (
        $(#[$attribute:meta])*
        pub enum $name:ident { $($variant:ident($message:ty) => $topic:literal),+ $(,)? }
    ) => {
        schemas::nested_messages! {
            $(#[$attribute])*
            pub enum $name { $($variant($message)),+ }
        }

        $(
            impl Addressed for $message {
                const TOPIC: &'static str = $topic;
            }
        )+
    };
}

outgoing! {
    /// A message that a reaction sends.
    pub enum Out {
        User(user::FollowUp) => "user.followups",
        Email(email::FollowUp) => "email.followups",
        Order(order::FollowUp) => "order.followups",
        Stock(stock::FollowUp) => "stock.followups",
        Notification(notification::FollowUp) => "notification.followups",
        Credential(user::Credential) => "user.credentials",
    }
}
