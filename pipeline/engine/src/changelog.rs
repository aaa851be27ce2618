//! The keys of a processor's changelog: one typed key for each thing that a task has to remember.
//!
//! `state/<context>/<key>`, `member/<context>/<key>␟<member>`, `waiting/<context>/<key>`,
//! `timer/<context>/<key>␟<name>`, `handled/<command id>`, `parked/<topic>/<key>␟<offset>` and
//! `applied/<topic>`. Contexts and topics hold no slash, keys no control character, so no key has
//! two readings.

use std::fmt;

/// What parts an aggregate's key from the name of what belongs to it: ASCII's unit separator.
pub(crate) const MEMBER_SEPARATOR: char = '\u{1f}';

/// A typed key of the changelog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key<'a> {
    /// The state of an aggregate: context and key.
    State(&'a str, &'a str),
    /// A member of an aggregate: context, and key with member.
    Member(&'a str, &'a str),
    /// The command that an aggregate has still to conclude: context and key.
    Waiting(&'a str, &'a str),
    /// A timer of an aggregate: context, and key with the timer's name.
    Timer(&'a str, &'a str),
    /// What became of a command: its id.
    Handled(&'a str),
    /// A record that waits behind a failed one of its key: topic, and key with offset.
    Parked(&'a str, &'a str),
    /// How far an input topic has been applied: the topic.
    Applied(&'a str),
}

impl<'a> Key<'a> {
    /// Reads a key; `None` where it is none.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (kind, rest) = text.split_once('/')?;
        Some(match kind {
            "handled" => Self::Handled(rest),
            "applied" => Self::Applied(rest),
            _ => {
                let (place, key) = rest.split_once('/')?;
                match kind {
                    "state" => Self::State(place, key),
                    "member" => Self::Member(place, key),
                    "waiting" => Self::Waiting(place, key),
                    "timer" => Self::Timer(place, key),
                    "parked" => Self::Parked(place, key),
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
            Self::Member(context, key) => write!(f, "member/{context}/{key}"),
            Self::Waiting(context, key) => write!(f, "waiting/{context}/{key}"),
            Self::Timer(context, key) => write!(f, "timer/{context}/{key}"),
            Self::Handled(id) => write!(f, "handled/{id}"),
            Self::Parked(topic, key) => write!(f, "parked/{topic}/{key}"),
            Self::Applied(topic) => write!(f, "applied/{topic}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Key;

    #[test]
    fn every_key_reads_back_as_itself() {
        for key in [
            Key::State("order", "a/b"),
            Key::Member("stock", "SKU\u{1f}order"),
            Key::Waiting("order", "1"),
            Key::Timer("order", "1\u{1f}deadline"),
            Key::Handled("id"),
            Key::Parked("order.followups", "1\u{1f}00000000000000000007"),
            Key::Applied("order.commands"),
        ] {
            assert_eq!(Key::parse(&key.to_string()), Some(key));
        }
    }

    #[test]
    fn other_keys_are_none() {
        for text in ["", "state", "state/order", "other/a/b"] {
            assert_eq!(Key::parse(text), None, "{text}");
        }
    }
}
