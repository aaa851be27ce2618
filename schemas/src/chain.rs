//! The text of an error with its sources, as every program logs and prints it. An error's own text
//! never repeats its source, so the code that prints an error prints the chain.

use std::error::Error;

/// The text of an error, followed by the texts of its sources, such as `reading a row: connecting:
/// timeout`.
///
/// A source whose text the errors above it already end with is left out, because some libraries
/// include the text of the source in their own.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("reading a row")]
    struct Reading(#[source] Connecting);

    #[derive(Debug, thiserror::Error)]
    #[error("connecting")]
    struct Connecting(#[source] io::Error);

    #[derive(Debug, thiserror::Error)]
    #[error("a library's error: {0}")]
    struct Repeating(#[source] io::Error);

    #[test]
    fn chain_names_the_error_and_each_of_its_sources_once() {
        let timeout = || io::Error::other("timeout");
        assert_eq!(chain(&Reading(Connecting(timeout()))), "reading a row: connecting: timeout");
        assert_eq!(chain(&Repeating(timeout())), "a library's error: timeout");
    }
}
