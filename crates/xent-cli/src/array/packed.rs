//! Integers of four bits, two in a byte, widened to bytes while they are read.

use std::io::{self, Read};

use super::window::Window;

/// Integers that are widened at a time.
const CHUNK: usize = 1 << 12;

/// Reads bytes of one integer each, in order.
#[derive(Default)]
pub(super) struct Packed {
    /// The second integer of the last byte, if it has not been handed out.
    second: Option<i8>,
}

impl Packed {
    /// Goes back to the first number.
    pub(super) fn rewind(&mut self) {
        self.second = None;
    }

    /// The next integers.
    pub(super) fn read_exact(&mut self, source: &mut Window, into: &mut [u8]) -> io::Result<()> {
        let held = usize::from(self.second.is_some()).min(into.len());
        let (first, rest) = into.split_at_mut(held);
        if let [first] = first
            && let Some(second) = self.second.take()
        {
            *first = second.cast_unsigned();
        }
        let (mut bytes, mut integers) = ([0; CHUNK / 2], [0; CHUNK]);
        for into in rest.chunks_mut(CHUNK) {
            let bytes = &mut bytes[..into.len().div_ceil(2)];
            source.read_exact(bytes)?;
            let integers = &mut integers[..2 * bytes.len()];
            xent::unpack_i4(bytes, integers).map_err(io::Error::other)?;
            for (into, integer) in into.iter_mut().zip(&*integers) {
                *into = integer.cast_unsigned();
            }
            self.second = integers.get(into.len()).copied();
        }
        Ok(())
    }
}
