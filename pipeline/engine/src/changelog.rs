//! The keys of a processor's changelog: a typed key for each row that a task restores.
//!
//! `state/<context>/<key>`, `member/<context>/<key>␟<child>`, `waiting/<context>/<key>`,
//! `timer/<context>/<key>␟<name>`, `handled/<command id>`, `parked/<topic>/<key>␟<offset>` and
//! `applied/<topic>`; `applied/#transactions` counts transactions. Contexts and topics have no
//! slash and keys no control character, so every text has at most one reading. The first words are
//! part of the log's format and never change.

use std::fmt;

/// ASCII's unit separator, between an aggregate's key and the name of its child, timer or parked
/// record.
pub(crate) const NAME_SEPARATOR: char = '\u{1f}';

/// What [`Key::Applied`] has instead of a topic in the row that counts the task's transactions. No
/// topic has this name. To a version that does not know the row it is the position of an input that
/// it does not have, which it leaves as it is.
pub(crate) const TRANSACTIONS: &str = "#transactions";

/// A typed key of the changelog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key<'a> {
    /// The state of an aggregate: context and key.
    State(&'a str, &'a str),
    /// A child of an aggregate: context, and key with the child's name.
    Child(&'a str, &'a str),
    /// An aggregate's pending command: context and key.
    Waiting(&'a str, &'a str),
    /// A timer of an aggregate: context, and key with the timer's name.
    Timer(&'a str, &'a str),
    /// A command's entry for deduplication: its id.
    Dedup(&'a str),
    /// A parked record: topic, and key with offset.
    Parked(&'a str, &'a str),
    /// The position of an input topic: the topic. Also the number of transactions.
    Applied(&'a str),
}

impl<'a> Key<'a> {
    /// Parses a key. Returns `None` for a text of no known kind.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (kind, rest) = text.split_once('/')?;
        Some(match kind {
            "handled" => Self::Dedup(rest),
            "applied" => Self::Applied(rest),
            _ => {
                let (scope, key) = rest.split_once('/')?;
                match kind {
                    "state" => Self::State(scope, key),
                    "member" => Self::Child(scope, key),
                    "waiting" => Self::Waiting(scope, key),
                    "timer" => Self::Timer(scope, key),
                    "parked" => Self::Parked(scope, key),
                    _ => return None,
                }
            }
        })
    }
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State(context, key) => write!(f, "state/{context}/{key}"),
            Self::Child(context, key) => write!(f, "member/{context}/{key}"),
            Self::Waiting(context, key) => write!(f, "waiting/{context}/{key}"),
            Self::Timer(context, key) => write!(f, "timer/{context}/{key}"),
            Self::Dedup(id) => write!(f, "handled/{id}"),
            Self::Parked(topic, key) => write!(f, "parked/{topic}/{key}"),
            Self::Applied(topic) => write!(f, "applied/{topic}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Key;

    #[test]
    fn key_of_each_kind_parses_as_itself() {
        for key in [
            Key::State("order", "a/b"),
            Key::Child("stock", "SKU\u{1f}order"),
            Key::Waiting("order", "1"),
            Key::Timer("order", "1\u{1f}deadline"),
            Key::Dedup("id"),
            Key::Parked("order.followups", "1\u{1f}00000000000000000007"),
            Key::Applied("order.commands"),
        ] {
            assert_eq!(Key::parse(&key.to_string()), Some(key));
        }
    }

    #[test]
    fn text_of_no_known_kind_does_not_parse() {
        for text in ["", "state", "state/order", "other/a/b"] {
            assert_eq!(Key::parse(text), None, "{text}");
        }
    }
}
