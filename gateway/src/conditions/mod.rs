//! Conditional requests (RFC 9110, section 13): what `If-Match` and `If-None-Match` mean for reads
//! and for commands. It never decides which version an aggregate has.

mod tags;

use serde::Serialize;
use warp::{
    Reply,
    http::{HeaderMap, Method, StatusCode, header},
    reply::Response,
};

use crate::{call::Call, ids::Ids, problem::Problem, read_after};
use tags::{Tag, Tags};

/// The condition headers of a request, as they are written: a part of what the request asks for.
#[derive(Serialize)]
pub(crate) struct ConditionHeaders<'a>([Vec<&'a str>; 2]);

impl<'a> ConditionHeaders<'a> {
    pub(crate) fn of(headers: &'a HeaderMap) -> Self {
        Self([header::IF_MATCH, header::IF_NONE_MATCH].map(|name| {
            headers.get_all(name).iter().map(|line| line.to_str().unwrap_or_default()).collect()
        }))
    }
}

/// The conditions of a read; none for any other request.
#[derive(Default)]
pub(crate) struct ReadConditions {
    matches: Option<Tags>,
    none_matches: Option<Tags>,
}

impl ReadConditions {
    pub(crate) fn of(method: &Method, headers: &HeaderMap) -> Self {
        if *method != Method::GET {
            return Self::default();
        }
        Self {
            matches: Tags::of(headers, header::IF_MATCH),
            none_matches: Tags::of(headers, header::IF_NONE_MATCH),
        }
    }

    /// Applies the conditions to the response: returns 412, 304, or the response unchanged.
    pub(crate) fn apply(self, response: Response) -> Response {
        if response.status() != StatusCode::OK {
            return response;
        }
        let tag = response.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok());
        if self.matches.is_some_and(|tags| !tags.match_strongly(tag)) {
            return mismatch().into_response();
        }
        if !self.none_matches.is_some_and(|tags| tags.match_weakly(tag)) {
            return response;
        }
        let (mut head, _) = response.into_parts();
        head.status = StatusCode::NOT_MODIFIED;
        head.headers.remove(header::CONTENT_TYPE);
        head.headers.remove(header::CONTENT_LENGTH);
        Response::from_parts(head, warp::reply().into_response().into_body())
    }
}

fn mismatch() -> Problem {
    let detail = "The entity tag is not the one that If-Match or If-None-Match asks for. \
                  Read the resource for its current ETag.";
    Problem::precondition_failed(detail)
}

/// The version that a command must meet. For commands that carry an expected version: the aggregate
/// itself compares it.
///
/// # Errors
/// Returns a 412 problem when no version can meet the conditions.
pub(crate) async fn expected_version(
    call: &Call,
    aggregate: &str,
    id: &str,
) -> Result<Option<i64>, Problem> {
    check_none_match(call, aggregate, id).await?;
    let Some(Tags::List(tags)) = Tags::of(&call.headers, header::IF_MATCH) else {
        return Ok(None);
    };
    let versions = versions(call, &tags, aggregate, id);
    match versions.as_slice() {
        [] => Err(mismatch()),
        [version] => Ok(Some(*version)),
        // Any of them will do, but the command can carry only one: the current version if it is
        // among them, or else the latest, which may become current.
        several => {
            let held = held(call, aggregate, id).await?;
            Ok(held.filter(|held| several.contains(held)).or(several.iter().max().copied()))
        }
    }
}

/// Compares the conditions of a command with the read model. For commands that carry no expected
/// version.
///
/// # Errors
/// Returns a 412 problem when the conditions are not met.
pub(crate) async fn check_change(call: &Call, aggregate: &str, id: &str) -> Result<(), Problem> {
    check_none_match(call, aggregate, id).await?;
    let Some(Tags::List(tags)) = Tags::of(&call.headers, header::IF_MATCH) else {
        return Ok(());
    };
    let held = held(call, aggregate, id).await?;
    let versions = versions(call, &tags, aggregate, id);
    if held.is_some_and(|held| versions.contains(&held)) { Ok(()) } else { Err(mismatch()) }
}

/// Compares the conditions of a command that creates an aggregate: what does not exist yet meets no
/// `If-Match`.
///
/// # Errors
/// Returns a 412 problem when the conditions are not met.
pub(crate) async fn check_creation(call: &Call, aggregate: &str, id: &str) -> Result<(), Problem> {
    check_action(call)?;
    check_none_match(call, aggregate, id).await
}

/// Compares the conditions of a request that is about no representation, such as a log-in or an
/// operator's command: what has none meets no `If-Match`, and every `If-None-Match`.
///
/// # Errors
/// Returns a 412 problem when the conditions are not met.
pub(crate) fn check_action(call: &Call) -> Result<(), Problem> {
    if call.headers.contains_key(header::IF_MATCH) {
        let detail = "There is no representation that If-Match could match. \
                      Repeat the request without it.";
        return Err(Problem::precondition_failed(detail));
    }
    Ok(())
}

/// `If-None-Match` on a command: it must not change a representation that the client knows, or with
/// `*` any that exists.
async fn check_none_match(call: &Call, aggregate: &str, id: &str) -> Result<(), Problem> {
    let Some(tags) = Tags::of(&call.headers, header::IF_NONE_MATCH) else { return Ok(()) };
    let held = held(call, aggregate, id).await?;
    let current = held.map(|held| call.entity_tag(aggregate, id, held));
    let is_match = current.is_some_and(|current| tags.match_weakly(Some(&current)));
    if is_match { Err(mismatch()) } else { Ok(()) }
}

/// The version that the read model holds. Another user's order or notification counts as unknown,
/// so that a condition does not tell whether it exists.
async fn held(call: &Call, aggregate: &str, id: &str) -> Result<Option<i64>, Problem> {
    let reads = &*call.state.reads;
    let held = match aggregate {
        "order" | "notification" => {
            read_after::held(reads, call.caller().ok().as_ref(), aggregate, id).await
        }
        _ => reads.version(aggregate, id).await,
    };
    Ok(held?)
}

/// The versions of this aggregate that the tags name by the strong comparison.
fn versions(call: &Call, tags: &[Tag], aggregate: &str, id: &str) -> Vec<i64> {
    let strong = tags.iter().filter(|tag| !tag.weak);
    let claimed =
        strong.filter_map(|tag| Some((tag, Ids::version_in(tag.opaque.trim_matches('"'))?)));
    let valid =
        claimed.filter(|(tag, version)| call.entity_tag(aggregate, id, *version) == tag.opaque);
    let mut versions: Vec<_> = valid.map(|(_, version)| version).collect();
    versions.sort_unstable();
    versions.dedup();
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(conditions: &[(&'static str, &'static str)], tag: Option<&str>) -> u16 {
        let mut headers = HeaderMap::new();
        for (name, value) in conditions {
            headers.append(*name, value.parse().expect("a header"));
        }
        let mut response = "body".into_response();
        if let Some(tag) = tag {
            response.headers_mut().insert(header::ETAG, tag.parse().expect("a header"));
        }
        ReadConditions::of(&Method::GET, &headers).apply(response).status().as_u16()
    }

    #[test]
    fn read_without_a_strong_match_of_if_match_is_412() {
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
    fn read_with_a_weak_match_of_if_none_match_is_304_unless_if_match_fails() {
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
