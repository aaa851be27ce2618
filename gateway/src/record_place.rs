//! Where a record is in the log, as paths name it.

use std::fmt;

/// Where a record is, as text: `<topic>:<partition>:<offset>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordPlace {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

impl fmt::Display for RecordPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.topic, self.partition, self.offset)
    }
}

impl RecordPlace {
    /// Parses a place; `None` if the text is invalid. In a path its colons may be escaped, which
    /// the path's normal form keeps, because they are reserved characters.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.replace("%3A", ":");
        let mut parts = text.rsplitn(3, ':');
        let (offset, partition) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(Self { topic: parts.next()?.to_owned(), partition, offset })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_place_gives_it_back_and_another_text_is_none() {
        let place = RecordPlace { topic: "order.events".to_owned(), partition: 2, offset: 17 };
        assert_eq!(place.to_string(), "order.events:2:17");
        for text in ["order.events:2:17", "order.events%3A2%3A17"] {
            assert_eq!(RecordPlace::parse(text), Some(place.clone()));
        }
        for text in ["", "order.events", "2:17", "order.events:x:17", "order.events:2:17:"] {
            assert_eq!(RecordPlace::parse(text), None, "{text}");
        }
    }
}
