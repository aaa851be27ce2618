//! All that the program prints. No character that a terminal interprets gets through: values come
//! from records that anybody may have written. If the reader of a pipe has gone, the rest is
//! dropped.

use std::io::Write as _;

use serde_json::Value;

use crate::text::escape;

/// Prints lines to the standard output.
pub(crate) fn lines(lines: &[String]) {
    let mut out = std::io::stdout().lock();
    for line in lines {
        if writeln!(out, "{}", escape::line(line)).is_err() {
            return;
        }
    }
}

/// Prints a document to the standard output.
pub(crate) fn json(value: &Value) {
    lines(&escape::json(value));
}

/// Prints a line to the standard error.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", escape::line(text));
}

/// Prints a question to the standard error, without a line end.
pub(crate) fn question(text: &str) {
    let mut out = std::io::stderr().lock();
    let _ = write!(out, "{} ", escape::line(text));
    let _ = out.flush();
}
