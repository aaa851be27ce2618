//! What policies send to other keys: follow-ups of all contexts, and what verifies passwords.

use schemas::{Codec, CodecError, Datum, Message, Schema, email, notification, order, stock, user};

/// A record that a reaction carries.
#[derive(Clone, Debug, PartialEq)]
pub enum Out {
    /// To a user.
    User(user::FollowUp),
    /// To an address.
    Email(email::FollowUp),
    /// To an order.
    Order(order::FollowUp),
    /// To a product's stock.
    Stock(stock::FollowUp),
    /// To a notification.
    Notification(notification::FollowUp),
    /// To the compacted topic of credentials.
    Credential(user::Credential),
}

/// Does the same with whichever it is.
macro_rules! each {
    ($out:expr, $inner:ident => $do:expr) => {
        match $out {
            Out::User($inner) => $do,
            Out::Email($inner) => $do,
            Out::Order($inner) => $do,
            Out::Stock($inner) => $do,
            Out::Notification($inner) => $do,
            Out::Credential($inner) => $do,
        }
    };
}

impl Message for Out {
    fn schemas() -> &'static [&'static Schema] {
        static ALL: std::sync::LazyLock<Vec<&'static Schema>> = std::sync::LazyLock::new(|| {
            [
                user::FollowUp::schemas(),
                email::FollowUp::schemas(),
                order::FollowUp::schemas(),
                stock::FollowUp::schemas(),
                notification::FollowUp::schemas(),
                user::Credential::schemas(),
            ]
            .concat()
        });
        &ALL
    }

    fn name(&self) -> &'static str {
        each!(self, inner => inner.name())
    }

    fn encode(&self, codec: &Codec, out: &mut Vec<u8>) -> Result<(), CodecError> {
        each!(self, inner => inner.encode(codec, out))
    }

    fn from_datum(datum: &Datum<'_>) -> Result<Self, CodecError> {
        fn one_of<M: Message>(datum: &Datum<'_>) -> bool {
            M::schemas().iter().any(|schema| datum.is(schema))
        }
        if one_of::<user::FollowUp>(datum) {
            user::FollowUp::from_datum(datum).map(Out::User)
        } else if one_of::<email::FollowUp>(datum) {
            email::FollowUp::from_datum(datum).map(Out::Email)
        } else if one_of::<order::FollowUp>(datum) {
            order::FollowUp::from_datum(datum).map(Out::Order)
        } else if one_of::<stock::FollowUp>(datum) {
            stock::FollowUp::from_datum(datum).map(Out::Stock)
        } else if one_of::<notification::FollowUp>(datum) {
            notification::FollowUp::from_datum(datum).map(Out::Notification)
        } else {
            user::Credential::from_datum(datum).map(Out::Credential)
        }
    }
}
