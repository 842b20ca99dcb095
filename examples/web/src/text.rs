//! Text of a limited length: numbers and messages.

use core::fmt;

/// Longer than any number and any message.
const BYTES: usize = 256;

/// Text that the page reads as UTF-8.
pub(crate) struct Text {
    bytes: [u8; BYTES],
    length: usize,
}

impl Text {
    pub(crate) const EMPTY: Self = Self { bytes: [0; BYTES], length: 0 };

    /// Replaces the text; excess is cut off.
    pub(crate) fn set(&mut self, text: fmt::Arguments<'_>) {
        self.length = 0;
        // A piece that does not fit is left out as a whole, so that no character is cut.
        let _ = fmt::write(self, text);
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        let rest = &mut self.bytes[self.length..];
        let place = rest.get_mut(..piece.len()).ok_or(fmt::Error)?;
        place.copy_from_slice(piece.as_bytes());
        self.length += piece.len();
        Ok(())
    }
}
