//! Errors of PostgreSQL as [`StoreError`]s, and the text that it can't hold. A server's message is
//! kept, never its details: they may quote a row.

use std::borrow::Cow;

use tokio_postgres::error::SqlState;

use crate::StoreError;

/// The error of a statement. Of what the server has sent only the message is kept, not even as a
/// source.
pub(super) fn failed(doing: &'static str) -> impl Fn(tokio_postgres::Error) -> StoreError {
    move |error| match error.as_db_error() {
        Some(said) => {
            let why = format!("{}: {} ({})", said.severity(), said.message(), said.code().code());
            match is_about_data(said.code()) {
                true => StoreError::Unstorable { doing, cause: why.into() },
                false => StoreError::failed(doing, why),
            }
        }
        None => StoreError::failed(doing, error),
    }
}

/// Whether the server will refuse the same data again: a data exception, a violated constraint, or
/// a limit of the program (classes 22, 23 and 54).
fn is_about_data(code: &SqlState) -> bool {
    ["22", "23", "54"].iter().any(|class| code.code().starts_with(class))
}

/// Whether the server refuses the role or its password. It answers the same for a role that a
/// starting server does not have yet, which the official image's health check excludes.
pub(super) fn is_about_credentials(code: &SqlState) -> bool {
    [SqlState::INVALID_PASSWORD, SqlState::INVALID_AUTHORIZATION_SPECIFICATION].contains(code)
}

/// The text as PostgreSQL can hold it: U+FFFD replaces U+0000, which it does not allow.
pub(super) fn storable(text: &str) -> Cow<'_, str> {
    match text.contains('\0') {
        true => Cow::Owned(text.replace('\0', "\u{fffd}")),
        false => Cow::Borrowed(text),
    }
}
