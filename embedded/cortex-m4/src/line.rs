//! Lines of text for the other end of the debugger.

use core::fmt::{self, Write};

use cortex_m_semihosting::hio;

/// A line before it is sent, since each message stops the processor.
struct Line {
    bytes: [u8; 256],
    length: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        let place = self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

/// Sends a line. Excess text is cut off, and errors are ignored: there is nobody to tell.
pub(crate) fn print(text: fmt::Arguments<'_>) {
    let mut line = Line { bytes: [0; 256], length: 0 };
    let _ = line.write_fmt(text);
    let _ = line.write_str("\n");
    if let Ok(mut out) = hio::hstdout() {
        let _ = out.write_all(&line.bytes[..line.length]);
    }
}

/// A loss and its gradient, as bits.
pub(crate) struct Bits<'a>(pub(crate) f32, pub(crate) &'a [f32]);

impl fmt::Display for Bits<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0.to_bits())?;
        self.1.iter().try_for_each(|g| write!(f, " {:08x}", g.to_bits()))
    }
}
