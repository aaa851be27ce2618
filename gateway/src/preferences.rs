//! The client's preferences (`Prefer`, RFC 7240) and quoted strings in headers. The `sfv` crate
//! parses both as structured fields (RFC 9651). A line that can't be parsed expresses no
//! preference.

use std::convert::Infallible;

use sfv::{
    BareItemFromInput, KeyRef, Parser,
    visitor::{DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor},
};
use warp::http::HeaderMap;

/// The seconds of the first `wait=N` (RFC 7240), not of the last, as structured fields have it.
pub(crate) fn wait(headers: &HeaderMap) -> Option<u64> {
    let lines = headers.get_all("prefer").iter().filter_map(|line| line.to_str().ok());
    lines
        // Preferences are case-insensitive, keys of structured fields are in lower case.
        .map(str::to_ascii_lowercase)
        .find_map(|line| {
            Parser::new(&line).parse_dictionary_with_visitor(Wait::default()).ok().flatten()
        })
}

/// The content of a quoted string; `None` when the text is malformed.
pub(crate) fn string(text: &str) -> Option<String> {
    let mut content = None;
    let visitor = |item: BareItemFromInput<'_>| {
        content = item.as_string().map(|string| string.as_str().to_owned());
        Ok::<_, Infallible>(Ignored)
    };
    Parser::new(text).parse_item_with_visitor(visitor).ok()?;
    content
}

#[derive(Default)]
struct Wait {
    seen: bool,
    seconds: Option<u64>,
}

impl<'de> DictionaryVisitor<'de> for Wait {
    type Out = Option<u64>;
    type Error = Infallible;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Self::Error> {
        let first = key.as_str() == "wait" && !self.seen;
        Ok(first.then(|| {
            self.seen = true;
            self
        }))
    }

    fn finish(self) -> Result<Self::Out, Self::Error> {
        Ok(self.seconds)
    }
}

impl<'de> EntryVisitor<'de> for &mut Wait {
    type Error = Infallible;

    fn item(self) -> Result<impl ItemVisitor<'de>, Self::Error> {
        Ok(move |item: BareItemFromInput<'de>| {
            let number = item.as_integer().and_then(|number| u64::try_from(i64::from(number)).ok());
            let quoted = || item.as_string().and_then(|string| string.as_str().parse().ok());
            self.seconds = number.or_else(quoted);
            Ok::<_, Infallible>(Ignored)
        })
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Self::Error> {
        Ok(Ignored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waited(lines: &[&str]) -> Option<u64> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("prefer", line.parse().expect("a header"));
        }
        wait(&headers)
    }

    #[test]
    fn wait_inside_a_quoted_string_is_ignored() {
        assert_eq!(waited(&[r#"note="a, wait=0", wait=5"#]), Some(5));
        assert_eq!(waited(&[r#"note="\", wait=0", wait=5"#]), Some(5));
        assert_eq!(waited(&[r#"note="wait=5""#]), None);
    }

    #[test]
    fn first_wait_of_all_lines_counts() {
        assert_eq!(waited(&["respond-async, Wait=10; x=1", "wait=5"]), Some(10));
        assert_eq!(waited(&["wait=3, wait=7"]), Some(3));
        assert_eq!(waited(&["return=minimal", r#"wait="4""#]), Some(4));
    }

    #[test]
    fn wait_without_a_number_of_seconds_is_no_preference() {
        for line in
            ["", "wait", "wait=", "wait=-1", "wait=1.5", "wait=x", "wait=(1 2)", "wait=5,,", "=5"]
        {
            assert_eq!(waited(&[line]), None, "{line}");
        }
    }

    #[test]
    fn quoted_string_ends_with_its_quote() {
        assert_eq!(string(r#""k-1""#).as_deref(), Some("k-1"));
        assert_eq!(string(r#""k\"1""#).as_deref(), Some("k\"1"));
        for wrong in [r#""k"#, r#""k"x"#, "k"] {
            assert_eq!(string(wrong), None, "{wrong}");
        }
    }
}
