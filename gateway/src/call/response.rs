//! What a handler returns, and how that becomes a response.

use warp::{Reply, reply::Response};

use crate::{problem::Problem, reads::ReadError};

/// What a handler returns. The error type lets a handler end early with `?`, with a problem or with
/// a response such as 202.
pub type Answer = Result<Response, EarlyResponse>;

/// A response that ends a handler early.
#[derive(Debug)]
pub enum EarlyResponse {
    /// A failure.
    Problem(Problem),
    /// A response that is no failure.
    Response(Box<Response>),
}

impl From<Problem> for EarlyResponse {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<ReadError> for EarlyResponse {
    fn from(error: ReadError) -> Self {
        Self::Problem(error.into())
    }
}

/// Turns a handler's result into a response.
pub fn render(answer: Answer) -> Response {
    match answer {
        Ok(response) => response,
        Err(EarlyResponse::Response(response)) => *response,
        Err(EarlyResponse::Problem(problem)) => problem.into_response(),
    }
}
