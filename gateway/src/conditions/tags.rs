//! Entity tags (RFC 9110, section 8.8.3): the list in a condition header, and its comparison with
//! the tag of a representation. It does not know what a mismatch means for a request.
//!
//! The `headers` crate has a parser too, but in debug builds it panics when a tag holds a space
//! (0.4.2, `check_slice_validity`).

use warp::http::{HeaderMap, HeaderName};

/// The entity tags of a condition.
#[derive(Debug, PartialEq)]
pub(super) enum Tags {
    /// `*`: any representation that exists.
    Any,
    /// A list; empty if it can't be parsed, so that it matches nothing.
    List(Vec<Tag>),
}

/// One entity tag.
#[derive(Debug, PartialEq)]
pub(super) struct Tag {
    pub(super) weak: bool,
    /// The opaque tag, with its quotes.
    pub(super) opaque: String,
}

impl Tags {
    /// The condition with this name, from all its lines; `None` if there is none.
    pub(super) fn of(headers: &HeaderMap, name: HeaderName) -> Option<Self> {
        if !headers.contains_key(&name) {
            return None;
        }
        let lines: Vec<_> = headers
            .get_all(name)
            .iter()
            .map(|line| String::from_utf8_lossy(line.as_bytes()))
            .collect();
        match lines.as_slice() {
            [] => None,
            [line] if line.trim() == "*" => Some(Self::Any),
            _ => Some(Self::List(list(&lines.join(",")).unwrap_or_default())),
        }
    }

    /// Whether the condition holds for `tag` by the strong comparison: weak tags never match.
    pub(super) fn match_strongly(&self, tag: Option<&str>) -> bool {
        match self {
            Self::Any => true,
            Self::List(tags) => {
                tags.iter().any(|listed| !listed.weak && Some(listed.opaque.as_str()) == tag)
            }
        }
    }

    /// Whether the condition holds for `tag` by the weak comparison.
    pub(super) fn match_weakly(&self, tag: Option<&str>) -> bool {
        match self {
            Self::Any => true,
            Self::List(tags) => tags.iter().any(|listed| Some(listed.opaque.as_str()) == tag),
        }
    }
}

/// Parses `#entity-tag` of RFC 9110: tags separated by commas, with optional blanks and empty
/// elements. `None` if the text is no such list.
fn list(text: &str) -> Option<Vec<Tag>> {
    const SPACE: [char; 2] = [' ', '\t'];
    let mut tags = Vec::new();
    let mut rest = text.trim_matches(SPACE);
    while !rest.is_empty() {
        if let Some(tag) = rest.strip_prefix("W/").or(Some(rest)).filter(|tag| tag.starts_with('"'))
        {
            let length = tag[1..].find('"')? + 2;
            let opaque = &tag[..length];
            if opaque.contains(|c: char| c.is_ascii_control() || c == ' ') {
                return None;
            }
            tags.push(Tag { weak: rest.starts_with('W'), opaque: opaque.to_owned() });
            rest = tag[length..].trim_start_matches(SPACE);
        }
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start_matches(SPACE),
            None if rest.is_empty() => {}
            None => return None,
        }
    }
    Some(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_of_entity_tags_is_parsed_by_rfc_9110() {
        let parsed = |text: &str| -> Option<Vec<String>> {
            let tags = list(text)?.into_iter();
            Some(
                tags.map(|tag| format!("{}{}", if tag.weak { "W/" } else { "" }, tag.opaque))
                    .collect(),
            )
        };
        for (text, expected) in [
            ("", vec![]),
            (" , ,", vec![]),
            (r#""xyzzy""#, vec![r#""xyzzy""#]),
            (r#""""#, vec![r#""""#]),
            (r#""xyzzy", W/"r2d2",,  "c,3","#, vec![r#""xyzzy""#, r#"W/"r2d2""#, r#""c,3""#]),
            (r#""a\", "é""#, vec![r#""a\""#, "\"\u{e9}\""]),
        ] {
            assert_eq!(
                parsed(text),
                Some(expected.into_iter().map(str::to_owned).collect()),
                "{text}"
            );
        }
        for wrong in [
            r#""a"#,
            "a",
            r#"w/"a""#,
            r#"W/ "a""#,
            r#""a" "b""#,
            r#""a b""#,
            "*",
            r#""a", *"#,
            "W/",
        ] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }
}
