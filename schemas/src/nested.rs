//! Messages of messages: an enum over the message types of several contexts, such as every command
//! that the gateway may write. The macro has no list of records, so a new record needs no edit
//! where it is used.

/// The context of a record by its full name: `user` for `millrace.user.EndSession`. It is the first
/// part of the names of the record's topics. `None` for a record that belongs to no context.
pub fn context(record: &'static str) -> Option<&'static str> {
    let (context, _) = record.strip_prefix("millrace.")?.split_once('.')?;
    Some(context)
}

/// Defines an enum with a variant for each of several [`Message`](crate::Message) types, which is a
/// message itself:
///
/// ```
/// schemas::nested_messages! {
///     /// A command for a user or an order.
///     pub enum Command {
///         User(schemas::user::Command),
///         Order(schemas::order::Command),
///     }
/// }
/// ```
///
/// No record may be in two of them.
#[macro_export]
macro_rules! nested_messages {
    (
        $(#[$attribute:meta])*
        $visibility:vis enum $name:ident { $($variant:ident($message:ty)),+ $(,)? }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, PartialEq)]
        #[allow(clippy::large_enum_variant, clippy::derive_partial_eq_without_eq)]
        $visibility enum $name {
            $(
                #[doc = concat!("One of [`", stringify!($message), "`].")]
                $variant($message),
            )+
        }

        $(
            impl From<$message> for $name {
                fn from(message: $message) -> Self {
                    Self::$variant(message)
                }
            }
        )+

        impl $crate::Message for $name {
            fn schemas() -> &'static [&'static $crate::Schema] {
                static ALL: std::sync::LazyLock<Vec<&'static $crate::Schema>> =
                    std::sync::LazyLock::new(|| {
                        [$(<$message as $crate::Message>::schemas()),+].concat()
                    });
                &ALL
            }

            fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(message) => $crate::Message::name(message),)+
                }
            }

            fn encode(
                &self,
                codec: &$crate::Codec,
                out: &mut Vec<u8>,
            ) -> Result<(), $crate::CodecError> {
                match self {
                    $(Self::$variant(message) => $crate::Message::encode(message, codec, out),)+
                }
            }

            fn from_datum(datum: &$crate::Datum<'_>) -> Result<Self, $crate::CodecError> {
                $(
                    let schemas = <$message as $crate::Message>::schemas();
                    if schemas.iter().any(|schema| datum.is(schema)) {
                        return <$message as $crate::Message>::from_datum(datum).map(Self::$variant);
                    }
                )+
                Err(datum.unexpected(<Self as $crate::Message>::schemas()))
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::context;
    use crate::{Codec, Message, order, user};

    crate::nested_messages! {
        /// A command for a user or an order.
        enum Command {
            User(user::Command),
            Order(order::Command),
        }
    }

    #[test]
    fn written_message_is_read_as_the_same_variant() {
        let id = uuid::Uuid::from_u128(1);
        let cancel = order::CancelOrder { order_id: id, user_id: id, expected_version: None };
        let command = Command::from(order::Command::from(cancel));
        let codec = Codec::local();
        let mut bytes = Vec::new();
        command.encode(&codec, &mut bytes).expect("bytes");

        assert_eq!(command.name(), "millrace.order.CancelOrder");
        let datum = codec.open(&bytes).expect("a datum");
        assert_eq!(Command::from_datum(&datum).expect("a command"), command);
        assert_eq!(
            Command::schemas().len(),
            user::Command::schemas().len() + order::Command::schemas().len()
        );
    }

    #[test]
    fn context_is_the_part_between_the_namespace_and_the_record() {
        assert_eq!(context("millrace.user.EndSession"), Some("user"));
        assert_eq!(context("millrace.Outcome"), None);
        assert_eq!(context("other.user.EndSession"), None);
    }
}
