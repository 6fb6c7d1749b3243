//! Standard output, whose reader may have seen enough: `orderflow offsets | head -3`.
//!
//! `print!` and `println!` panic there. A command goes on to its end instead, which is near, and its exit code says what it has to say.

use std::fmt;
use std::io::{self, ErrorKind, Write};

/// Prints a line.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::commands::output::write(format_args!("{}\n", format_args!($($text)*)))
    };
}

/// Prints a text that has the ends of its lines.
macro_rules! show {
    ($($text:tt)*) => {
        $crate::commands::output::write(format_args!($($text)*))
    };
}

pub(super) use {say, show};

/// Writes it. What cannot be written for another reason than that nobody reads is told on standard error.
pub(super) fn write(text: fmt::Arguments<'_>) {
    let mut output = io::stdout().lock();
    let written = output.write_fmt(text).and_then(|()| output.flush());
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        eprintln!("orderflow: standard output cannot be written: {error}");
    }
}
