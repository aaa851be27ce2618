//! MongoDB's errors as [`StoreError`]s: whether a document is refused for what it holds, or another
//! try may succeed.

use mongodb::error::{ErrorKind, WriteFailure};

use crate::StoreError;

/// Codes of a server that will refuse the same document again: a value or an object that is too
/// large (10334, 17280, 17419, 17420), or a bad one (2, 9, 14, 52).
const ABOUT_DATA: [i32; 8] = [2, 9, 14, 52, 10334, 17280, 17419, 17420];

/// Whether the server will refuse the same document again.
pub(super) fn is_about_data(code: i32) -> bool {
    ABOUT_DATA.contains(&code)
}

/// The error of a call.
pub(super) fn failed(doing: &'static str) -> impl Fn(mongodb::error::Error) -> StoreError {
    move |error| {
        let refused = match &*error.kind {
            ErrorKind::Command(error) => is_about_data(error.code),
            ErrorKind::Write(WriteFailure::WriteError(error)) => is_about_data(error.code),
            ErrorKind::BsonSerialization(_) | ErrorKind::InvalidArgument { .. } => true,
            _ => false,
        };
        // The text of the kind alone: the whole error adds labels for the driver.
        let cause = error.kind.to_string().into();
        match refused {
            true => StoreError::Unstorable { doing, cause },
            false => StoreError::Failed { doing, cause },
        }
    }
}
