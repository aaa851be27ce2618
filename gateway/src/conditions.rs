//! Conditional requests (RFC 9110, section 13): entity tags, and what `If-Match` and
//! `If-None-Match` mean for reads and for commands. It never decides which version an aggregate
//! has.
//!
//! The `headers` crate has a parser too, but debug builds of it panic on a space in a tag.

use serde::Serialize;
use warp::{
    Reply,
    http::{HeaderMap, HeaderName, Method, StatusCode, header},
    reply::Response,
};

use crate::{call::Call, ids::Ids, problem::Problem};

/// The conditions as the request spells them: a part of what the request asks for.
#[derive(Serialize)]
pub(crate) struct Spelled<'a>([Vec<&'a str>; 2]);

impl<'a> Spelled<'a> {
    pub(crate) fn of(headers: &'a HeaderMap) -> Self {
        Self([header::IF_MATCH, header::IF_NONE_MATCH].map(|name| {
            headers.get_all(name).iter().map(|line| line.to_str().unwrap_or_default()).collect()
        }))
    }
}

/// The entity tags that a condition names.
#[derive(Debug, PartialEq)]
enum Tags {
    /// `*`: that of anything that is there.
    Any,
    /// These; none if the list can't be parsed, so that it matches nothing.
    List(Vec<Tag>),
}

#[derive(Debug, PartialEq)]
struct Tag {
    weak: bool,
    /// With its quotes.
    opaque: String,
}

impl Tags {
    /// The condition of this name, over all its lines; `None` if there is none.
    fn of(headers: &HeaderMap, name: HeaderName) -> Option<Self> {
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

    /// Whether it names this tag, by the strong comparison or the weak one.
    fn name(&self, tag: Option<&str>, weakly: bool) -> bool {
        match self {
            Self::Any => true,
            Self::List(tags) => tags
                .iter()
                .any(|named| (weakly || !named.weak) && Some(named.opaque.as_str()) == tag),
        }
    }
}

/// `#entity-tag`: tags between commas, with empty members and space around them.
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

/// Applies the conditions of a read to its answer: 412, 304, or the answer as it is.
pub(crate) fn selected(method: &Method, headers: &HeaderMap, response: Response) -> Response {
    if *method != Method::GET || response.status() != StatusCode::OK {
        return response;
    }
    let tag = response.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok());
    if Tags::of(headers, header::IF_MATCH).is_some_and(|tags| !tags.name(tag, false)) {
        return mismatch().into_response();
    }
    if !Tags::of(headers, header::IF_NONE_MATCH).is_some_and(|tags| tags.name(tag, true)) {
        return response;
    }
    let (mut head, _) = response.into_parts();
    head.status = StatusCode::NOT_MODIFIED;
    head.headers.remove(header::CONTENT_TYPE);
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, warp::reply().into_response().into_body())
}

fn mismatch() -> Problem {
    Problem::precondition_failed(
        "The thing has another entity tag than If-Match or If-None-Match asks for. Read it for its ETag.",
    )
}

impl Call {
    /// The entity tag of an aggregate's representation.
    pub fn tag(&self, aggregate: &str, id: impl ToString, version: i64) -> String {
        self.state.ids.tag(aggregate, &id.to_string(), version)
    }

    /// The version that the command must meet, for commands that carry one: the aggregate itself
    /// compares it.
    ///
    /// # Errors
    /// The problem to answer with, if no version can meet the conditions.
    pub async fn expected_version(
        &self,
        aggregate: &str,
        id: &str,
    ) -> Result<Option<i64>, Problem> {
        self.is_another_than_known(aggregate, id).await?;
        let Some(Tags::List(tags)) = Tags::of(&self.headers, header::IF_MATCH) else {
            return Ok(None);
        };
        let versions = self.versions(&tags, aggregate, id);
        match versions.as_slice() {
            [] => Err(mismatch()),
            [version] => Ok(Some(*version)),
            // Any of them will do, and the command can carry one: the one that is there, or is to
            // come.
            several => {
                let held = self.state.reads.version(aggregate, id).await?;
                Ok(held.filter(|held| several.contains(held)).or(several.iter().max().copied()))
            }
        }
    }

    /// Compares the conditions with the read model, for commands that carry no version.
    ///
    /// # Errors
    /// The problem to answer with, if they are not met.
    pub async fn matches(&self, aggregate: &str, id: &str) -> Result<(), Problem> {
        self.is_another_than_known(aggregate, id).await?;
        let Some(Tags::List(tags)) = Tags::of(&self.headers, header::IF_MATCH) else {
            return Ok(());
        };
        let held = self.state.reads.version(aggregate, id).await?;
        let versions = self.versions(&tags, aggregate, id);
        if held.is_some_and(|held| versions.contains(&held)) { Ok(()) } else { Err(mismatch()) }
    }

    /// Checks the conditions of a command that makes a thing: what is not there yet matches no
    /// `If-Match`.
    ///
    /// # Errors
    /// The problem to answer with, if they are not met.
    pub async fn makes(&self, aggregate: &str, id: &str) -> Result<(), Problem> {
        if self.headers.contains_key(header::IF_MATCH) {
            return Err(mismatch());
        }
        self.is_another_than_known(aggregate, id).await
    }

    /// `If-None-Match`: the client wants nothing done to what it knows, or to anything that is
    /// there.
    async fn is_another_than_known(&self, aggregate: &str, id: &str) -> Result<(), Problem> {
        let Some(tags) = Tags::of(&self.headers, header::IF_NONE_MATCH) else { return Ok(()) };
        let held = self.state.reads.version(aggregate, id).await?;
        let known = held.is_some_and(|held| tags.name(Some(&self.tag(aggregate, id, held)), true));
        if known { Err(mismatch()) } else { Ok(()) }
    }

    /// The versions of this aggregate that the tags name by the strong comparison.
    fn versions(&self, tags: &[Tag], aggregate: &str, id: &str) -> Vec<i64> {
        let strong = tags.iter().filter(|tag| !tag.weak);
        let claimed =
            strong.filter_map(|tag| Some((tag, Ids::version_in(tag.opaque.trim_matches('"'))?)));
        let ours = claimed.filter(|(tag, version)| self.tag(aggregate, id, *version) == tag.opaque);
        let mut versions: Vec<_> = ours.map(|(_, version)| version).collect();
        versions.sort_unstable();
        versions.dedup();
        versions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_tags_are_parsed_as_rfc_9110_spells_them() {
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

    fn status(conditions: &[(&'static str, &'static str)], tag: Option<&str>) -> u16 {
        let mut headers = HeaderMap::new();
        for (name, value) in conditions {
            headers.append(*name, value.parse().expect("a header"));
        }
        let mut response = "body".into_response();
        if let Some(tag) = tag {
            response.headers_mut().insert(header::ETAG, tag.parse().expect("a header"));
        }
        selected(&Method::GET, &headers, response).status().as_u16()
    }

    #[test]
    fn a_read_is_selected_by_any_strong_tag_of_if_match() {
        for (condition, expected) in [
            (r#""a""#, 200),
            (r#""b", "a""#, 200),
            (r#" ,"b" , ,"a""#, 200),
            ("*", 200),
            (r#""b""#, 412),
            (r#"W/"a""#, 412),
            (r#""b, \"a\"""#, 412),
            ("a", 412),
            ("", 412),
        ] {
            assert_eq!(status(&[("if-match", condition)], Some(r#""a""#)), expected, "{condition}");
        }
        assert_eq!(status(&[("if-match", r#""b""#), ("if-match", r#""a""#)], Some(r#""a""#)), 200);
        assert_eq!(status(&[("if-match", r#""a""#)], None), 412);
        assert_eq!(status(&[("if-match", "*")], None), 200);
    }

    #[test]
    fn a_read_is_304_by_any_weak_tag_of_if_none_match_after_if_match() {
        for (condition, expected) in [
            (r#""a""#, 304),
            (r#""b", W/"a""#, 304),
            ("*", 304),
            (r#""b""#, 200),
            (r#""a, b""#, 200),
            ("a", 200),
        ] {
            assert_eq!(
                status(&[("if-none-match", condition)], Some(r#""a""#)),
                expected,
                "{condition}"
            );
        }
        let both = [("if-match", r#""b""#), ("if-none-match", r#""a""#)];
        assert_eq!(status(&both, Some(r#""a""#)), 412);
    }
}
