//! All that the program prints. No character that a terminal interprets gets through: values come
//! from records that anybody may have written. If the reader of a pipe has gone, the rest is
//! dropped.

use std::io::{self, ErrorKind, Write};

use serde_json::Value;

use crate::text::escape;

/// Prints lines to the standard output.
///
/// # Errors
/// If they can't be written, such as to a full disk.
pub(crate) fn lines(lines: &[String]) -> io::Result<()> {
    unless_closed(write(&mut io::stdout().lock(), lines))
}

/// Prints a document to the standard output.
///
/// # Errors
/// As [`lines`].
pub(crate) fn json(value: &Value) -> io::Result<()> {
    lines(&escape::json(value))
}

fn write(out: &mut impl Write, lines: &[String]) -> io::Result<()> {
    lines.iter().try_for_each(|line| writeln!(out, "{}", escape::line(line)))?;
    out.flush()
}

/// A closed pipe is no error.
fn unless_closed(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Prints a line to the standard error.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", escape::line(text));
}

/// Prints a question to the standard error, without a line end.
pub(crate) fn question(text: &str) {
    let mut out = io::stderr().lock();
    let _ = write!(out, "{} ", escape::line(text));
    let _ = out.flush();
}
