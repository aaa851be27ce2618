//! Conditional requests (RFC 9110, section 13): entity tags, and what `If-Match` and
//! `If-None-Match` mean for reads and for commands. It never parses a list of tags itself: the
//! `headers` crate does.

use headers::{ETag, HeaderMapExt, IfMatch, IfNoneMatch};
use serde::Serialize;
use warp::{
    Reply,
    http::{HeaderMap, Method, StatusCode, header},
    reply::Response,
};

use crate::{call::Call, ids::Ids, problem::Problem};

/// The conditions as the request spells them: a part of what the request asks for.
#[derive(Serialize)]
pub(crate) struct Spelled<'a>([Vec<&'a str>; 2]);

impl<'a> Spelled<'a> {
    pub(crate) fn of(headers: &'a HeaderMap) -> Self {
        Self(
            [header::IF_MATCH, header::IF_NONE_MATCH].map(|name| {
                headers.get_all(name).iter().map(|line| line.to_str().unwrap_or_default()).collect()
            }),
        )
    }
}

/// Applies the conditions of a read to its answer: 412, 304, or the answer as it is.
pub(crate) fn selected(method: &Method, headers: &HeaderMap, response: Response) -> Response {
    if *method != Method::GET || response.status() != StatusCode::OK {
        return response;
    }
    let tag = response.headers().typed_get::<ETag>();
    if let Some(condition) = headers.typed_get::<IfMatch>()
        && !condition.is_any()
        && !tag.as_ref().is_some_and(|tag| condition.precondition_passes(tag))
    {
        return mismatch().into_response();
    }
    match headers.typed_get::<IfNoneMatch>() {
        Some(condition) if condition == IfNoneMatch::any() || known(&condition, tag.as_ref()) => {
            let (mut head, _) = response.into_parts();
            head.status = StatusCode::NOT_MODIFIED;
            head.headers.remove(header::CONTENT_TYPE);
            head.headers.remove(header::CONTENT_LENGTH);
            Response::from_parts(head, warp::reply().into_response().into_body())
        }
        _ => response,
    }
}

fn known(condition: &IfNoneMatch, tag: Option<&ETag>) -> bool {
    tag.is_some_and(|tag| !condition.precondition_passes(tag))
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
    pub async fn expected_version(&self, aggregate: &str, id: &str) -> Result<Option<i64>, Problem> {
        self.is_another_than_known(aggregate, id).await?;
        let Some(condition) = self.headers.typed_get::<IfMatch>().filter(|it| !it.is_any()) else {
            return Ok(None);
        };
        let versions = self.versions(&condition, aggregate, id);
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
        match self.headers.typed_get::<IfMatch>() {
            Some(condition) if !condition.is_any() => {
                let held = self.state.reads.version(aggregate, id).await?;
                let versions = self.versions(&condition, aggregate, id);
                if held.is_some_and(|held| versions.contains(&held)) { Ok(()) } else { Err(mismatch()) }
            }
            _ => Ok(()),
        }
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
        let Some(condition) = self.headers.typed_get::<IfNoneMatch>() else { return Ok(()) };
        let Some(held) = self.state.reads.version(aggregate, id).await? else { return Ok(()) };
        let tag = self.tag(aggregate, id, held).parse().ok();
        if condition == IfNoneMatch::any() || known(&condition, tag.as_ref()) {
            return Err(mismatch());
        }
        Ok(())
    }

    /// The versions of this aggregate that the condition names.
    fn versions(&self, condition: &IfMatch, aggregate: &str, id: &str) -> Vec<i64> {
        let lines = self.headers.get_all(header::IF_MATCH).iter().filter_map(|line| line.to_str().ok());
        // What stands between quotes is a candidate; whether it is a tag of the list, the condition
        // says.
        let mut versions: Vec<_> = lines
            .flat_map(|line| line.split('"'))
            .filter_map(Ids::version_in)
            .filter(|version| {
                let tag = self.tag(aggregate, id, *version).parse();
                tag.is_ok_and(|tag| condition.precondition_passes(&tag))
            })
            .collect();
        versions.sort_unstable();
        versions.dedup();
        versions
    }
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
            assert_eq!(status(&[("if-none-match", condition)], Some(r#""a""#)), expected, "{condition}");
        }
        let both = [("if-match", r#""b""#), ("if-none-match", r#""a""#)];
        assert_eq!(status(&both, Some(r#""a""#)), 412);
    }
}
