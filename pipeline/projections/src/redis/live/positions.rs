//! The position of a reader of the live stream, and its text, which is the id of a server-sent
//! event. It reads nothing.

use std::{collections::BTreeMap, fmt, str::FromStr};

use super::entry::Entry;

/// The next offset of each partition of each topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions(BTreeMap<(String, i32), i64>);

impl Positions {
    /// Moves behind an entry.
    pub fn pass(&mut self, entry: &Entry) {
        let next = self.0.entry((entry.topic.clone(), entry.partition)).or_default();
        *next = (*next).max(entry.offset + 1);
    }

    pub(super) fn set(&mut self, topic: &str, partition: i32, next: i64) {
        self.0.insert((topic.to_owned(), partition), next);
    }

    pub(super) fn next(&self, topic: &str, partition: i32) -> i64 {
        self.0.get(&(topic.to_owned(), partition)).copied().unwrap_or(0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Topics and partitions, in order.
    pub(super) fn partitions(&self) -> impl Iterator<Item = (&str, i32)> {
        self.0.keys().map(|(topic, partition)| (&**topic, *partition))
    }
}

impl fmt::Display for Positions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut topic = None;
        for ((name, partition), next) in &self.0 {
            match topic {
                Some(before) if before == name => f.write_str(",")?,
                Some(_) => write!(f, ";{name}:")?,
                None => write!(f, "{name}:")?,
            }
            topic = Some(name);
            write!(f, "{partition}={next}")?;
        }
        Ok(())
    }
}

/// The text is not a [`Positions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a position")]
pub struct NotAPosition;

impl FromStr for Positions {
    type Err = NotAPosition;

    fn from_str(text: &str) -> Result<Self, NotAPosition> {
        let mut positions = Self::default();
        for part in text.split(';').filter(|part| !part.is_empty()) {
            let (topic, rest) = part.split_once(':').ok_or(NotAPosition)?;
            for one in rest.split(',') {
                let (partition, next) = one.split_once('=').ok_or(NotAPosition)?;
                let next =
                    next.parse::<i64>().ok().filter(|next| *next >= 0).ok_or(NotAPosition)?;
                positions.set(topic, partition.parse().map_err(|_| NotAPosition)?, next);
            }
        }
        Ok(positions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_parsed_from_their_own_text_and_from_no_other() {
        let text = "order.events:0=17,1=0;user.events:3=4";
        let positions: Positions = text.parse().expect("positions");
        assert_eq!(positions.to_string(), text);
        assert_eq!(positions.next("order.events", 0), 17);
        assert_eq!(positions.next("order.events", 2), 0);
        assert_eq!("order.events".parse::<Positions>(), Err(NotAPosition));
        assert_eq!("order.events:0=x".parse::<Positions>(), Err(NotAPosition));
    }
}
