//! Why a command has not done what it should, in words that say what was expected.

use std::time::Duration;

use serde_json::Value;

use crate::text::value::optional;

/// The exit code of what was refused or has failed.
pub(crate) const FAILED: u8 = 1;
/// The exit code of wrong usage, as of every program here (`EX_USAGE`).
pub(crate) const USAGE: u8 = 64;

/// Why nothing was done, or why that is not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The arguments or settings do not fit together.
    #[error("{0}")]
    Usage(String),
    /// The gateway's answer is a problem (RFC 9457).
    #[error("{text}")]
    Refused {
        /// The status.
        status: u16,
        /// What to say.
        text: String,
        /// The problem itself.
        problem: Value,
    },
    /// There was no answer, so what a command has done is not known.
    #[error("{0}")]
    Unanswered(String),
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

impl Failure {
    /// The failure that the gateway has answered with.
    pub(crate) fn refused(status: u16, retry_after: Option<Duration>, problem: Value) -> Self {
        let detail = optional(&problem, "detail")
            .unwrap_or_else(|| format!("the gateway answered with status {status}"));
        let code = optional(&problem, "code").map(|code| format!(" ({code})")).unwrap_or_default();
        let mut text = format!("{detail}{code}");
        // The problem of a 400 names the field, the shape of the body, or both.
        if let Some(expected) = optional(&problem, "expected") {
            text.push_str(&format!(" Expected: {expected}"));
        }
        if let Some(wait) = retry_after {
            text.push_str(&format!(" Try again in {} s.", wait.as_secs()));
        }
        Self::Refused { status, text, problem }
    }

    /// The same with another text, if the gateway has answered with this status.
    pub(crate) fn or_if(self, expected: u16, say: impl FnOnce() -> String) -> Self {
        match self {
            Self::Refused { status, problem, .. } if status == expected => {
                Self::Refused { status, text: say(), problem }
            }
            other => other,
        }
    }

    /// The status of the answer.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The code of the problem.
    pub(crate) fn code(&self) -> Option<&str> {
        self.problem()?["code"].as_str()
    }

    /// Whether the gateway asks for the password again (RFC 9470).
    pub(crate) fn is_step_up(&self) -> bool {
        self.code() == Some("insufficient_user_authentication")
    }

    /// Whether this is how a command has ended. Then the problem links to the command's trace;
    /// a request that fails for another reason has no such link.
    pub(crate) fn is_outcome(&self) -> bool {
        self.problem().is_some_and(|problem| problem["links"]["trace"].is_string())
    }

    /// The same, after something was sent: then it is no wrong usage, which says that nothing was.
    pub(crate) fn after_a_request(self) -> Self {
        match self {
            Self::Usage(text) => Self::Failed(text),
            other => other,
        }
    }

    /// Whether a command may be written all the same: there was no answer, the log did not confirm
    /// it, or something failed that may have come after it, such as a load balancer that has lost
    /// the gateway's answer. An overloaded gateway has not begun, and `failed` is an outcome.
    pub(crate) fn is_unknown(&self) -> bool {
        match self {
            Self::Unanswered(_) => true,
            Self::Refused { status, problem, .. } => {
                *status >= 500 && problem["code"] != "overloaded" && problem["code"] != "failed"
            }
            _ => false,
        }
    }

    /// The same with a further sentence.
    pub(crate) fn and(self, sentence: &str) -> Self {
        let with = |text| format!("{text} {sentence}");
        match self {
            Self::Usage(text) => Self::Usage(with(text)),
            Self::Refused { status, text, problem } => {
                Self::Refused { status, text: with(text), problem }
            }
            Self::Unanswered(text) => Self::Unanswered(with(text)),
            Self::Failed(text) => Self::Failed(with(text)),
        }
    }

    /// The problem that the gateway has answered with.
    pub(crate) fn problem(&self) -> Option<&Value> {
        match self {
            Self::Refused { problem, .. } => Some(problem),
            _ => None,
        }
    }

    /// The code with which the program ends.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => USAGE,
            _ => FAILED,
        }
    }
}

/// The text of an error with its sources, each of them once.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.ends_with(&cause) {
            text.push_str(&format!(": {cause}"));
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn problem_is_said_with_its_code_and_when_to_try_again() {
        let problem = json!({ "detail": "Too many requests.", "code": "rate_limited" });
        let failure = Failure::refused(429, Some(Duration::from_secs(37)), problem.clone());
        assert_eq!(failure.to_string(), "Too many requests. (rate_limited) Try again in 37 s.");
        assert_eq!((failure.exit_code(), failure.problem()), (1, Some(&problem)));
        assert_eq!(
            Failure::refused(502, None, Value::Null).to_string(),
            "the gateway answered with status 502"
        );
    }

    #[test]
    fn only_what_may_be_written_is_unknown() {
        let refused = |status, code| Failure::refused(status, None, json!({ "code": code }));
        // The load balancer says `unavailable` of an answer that it has lost; others say nothing.
        for lost in [refused(503, "not_written"), refused(503, "unavailable")] {
            assert!(lost.is_unknown(), "{lost:?}");
        }
        assert!(Failure::refused(502, None, Value::Null).is_unknown());
        for known in [(503, "overloaded"), (500, "failed"), (409, "still_failing"), (429, "x")] {
            assert!(!refused(known.0, known.1).is_unknown(), "{known:?}");
        }
        assert!(Failure::Unanswered(String::new()).is_unknown());
        assert_eq!(Failure::Usage("x".into()).and("y").to_string(), "x y");
    }

    #[test]
    fn what_is_missing_after_a_request_is_no_wrong_usage() {
        let missing = || Failure::Usage("no password was typed".into());
        assert_ne!(missing().exit_code(), FAILED);
        assert_eq!(missing().after_a_request().exit_code(), FAILED);
        assert_eq!(missing().after_a_request().to_string(), "no password was typed");
    }
}
