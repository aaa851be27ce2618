//! What of a mail server's reply is kept: the kind of failure and the status codes, never its text.

use std::{error::Error as _, io};

use lettre::transport::smtp;

/// The kind of a failure, with the status codes if the server has refused the mail.
pub(super) fn without_text(error: &smtp::Error) -> String {
    let source = error.source();
    match error.status() {
        Some(code) => {
            let text = source.map(ToString::to_string).unwrap_or_default();
            format!("the mail server refused it: {}", with_enhanced_code(&code.to_string(), &text))
        }
        None if error.is_timeout() => "the mail server did not answer in time".to_owned(),
        None if error.is_response() => {
            "the answer of the mail server can't be understood".to_owned()
        }
        None if error.is_tls() => "no secure connection to the mail server".to_owned(),
        None if error.is_client() => "the mail server lacks what this mail needs".to_owned(),
        None => match source.and_then(|source| source.downcast_ref::<io::Error>()) {
            Some(error) => format!("no connection to the mail server: {}", error.kind()),
            None => "no connection to the mail server".to_owned(),
        },
    }
}

/// A status code, with the enhanced one (RFC 3463, such as `5.1.1`) if `text` begins with one.
pub(super) fn with_enhanced_code(code: &str, text: &str) -> String {
    let first = text.split_ascii_whitespace().next().unwrap_or_default();
    let digits = |part: &str| {
        (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    match first.split('.').count() == 3 && first.split('.').all(digits) {
        true => format!("{code} {first}"),
        false => code.to_owned(),
    }
}
