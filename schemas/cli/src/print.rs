//! Output of the commands, which never fails because the reader has gone.
//!
//! If the reader closes the pipe (`schemas check | head -1`), the rest of the output is dropped and
//! the command continues: its exit code says what it would have said, and `apply` stops half-way
//! for no reader.

use std::{
    fmt,
    io::{self, ErrorKind, Write},
};

/// Writes a line to standard output. Returns an error if that fails for another reason than a
/// closed pipe.
macro_rules! out {
    ($($format:tt)*) => {
        $crate::print::write_line(&mut std::io::stdout().lock(), format_args!($($format)*))
    };
}

/// Writes a line to standard error. Whatever goes wrong there is ignored.
macro_rules! note {
    ($($format:tt)*) => {
        drop($crate::print::write_line(&mut std::io::stderr().lock(), format_args!($($format)*)))
    };
}

pub(crate) use {note, out};

/// Writes a line; see [`out`] and [`note`].
pub(crate) fn write_line(to: &mut impl Write, line: fmt::Arguments<'_>) -> io::Result<()> {
    unless_closed(to.write_fmt(format_args!("{line}\n")))
}

/// Writes bytes as they are to standard output.
pub(crate) fn bytes(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    unless_closed(out.write_all(bytes).and_then(|()| out.flush()))
}

/// A closed pipe is no error.
fn unless_closed(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
