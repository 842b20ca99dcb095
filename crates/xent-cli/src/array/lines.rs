//! The lines of a text.

use std::io::{BufRead, BufReader, Read};

use super::window::Window;
use crate::interrupt;

/// Bytes of the longest line: a row is in memory.
const LONGEST: u64 = 1 << 26;
/// Bytes read at a time.
const BUFFER: usize = 1 << 16;

pub(super) struct Lines<'a> {
    source: BufReader<&'a mut Window>,
    line: Vec<u8>,
    /// The number of the line, from 1.
    pub(super) number: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(source: &'a mut Window) -> Self {
        let source = BufReader::with_capacity(BUFFER, source);
        Self { source, line: Vec::new(), number: 0 }
    }

    /// The next line that is not blank, without white space around it.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, String> {
        loop {
            interrupt::check().map_err(|error| error.to_string())?;
            self.line.clear();
            self.number += 1;
            let count = (&mut self.source)
                .take(LONGEST + 1)
                .read_until(b'\n', &mut self.line)
                .map_err(|error| error.to_string())?;
            if count == 0 {
                return Ok(None);
            }
            if count as u64 > LONGEST {
                return Err(self.wrong(format!("it is longer than {LONGEST} bytes")));
            }
            if self.number == 1 {
                if self.line.starts_with(b"\xff\xfe") || self.line.starts_with(b"\xfe\xff") {
                    return Err("it is UTF-16: save it as UTF-8, or as ASCII".into());
                }
                if self.line.starts_with(b"\xef\xbb\xbf") {
                    self.line.drain(..3);
                }
            }
            if !self.line.trim_ascii().is_empty() {
                break;
            }
        }
        Ok(Some(trimmed(&self.line)))
    }

    /// An error in this line.
    pub(super) fn wrong(&self, reason: impl AsRef<str>) -> String {
        wrong(self.number, reason)
    }
}

/// Without blanks at both ends, and without the end of the line; a tab may separate empty fields.
fn trimmed(line: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\r' | b'\n');
    let begin = line.iter().position(|byte| !is_space(byte)).unwrap_or(line.len());
    let end = line.iter().rposition(|byte| !is_space(byte)).map_or(begin, |last| last + 1);
    &line[begin..end]
}

/// An error in a line.
pub(super) fn wrong(line: usize, reason: impl AsRef<str>) -> String {
    format!("line {line}: {}", reason.as_ref())
}
