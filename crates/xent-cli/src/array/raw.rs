//! Numbers without a header: their type and shape are given with the file.

use super::window::Window;
use super::{Element, Header, Integer, elements};

/// The types by name, for an error.
const TYPES: &str = "bool, u8, u16, u32, u64, i4, i8, i16, i32, i64, f16, bf16, f32 or f64";

/// A type and a shape, as in `i16be:360x10`.
pub(super) struct Description {
    element: Element,
    big_endian: bool,
    shape: Vec<usize>,
}

impl Description {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (name, lengths) = text.split_once(':')?;
        let shape = shape(lengths)?;
        if let Some(element) = Element::named(name) {
            return Some(Self { element, big_endian: false, shape });
        }
        let element = Element::named(name.strip_suffix("be")?)?;
        // A byte has no order.
        (element.size() > 1).then_some(Self { element, big_endian: true, shape })
    }

    /// Whether two numbers are in a byte.
    pub(super) fn is_packed(&self) -> bool {
        self.element == Element::Integer(Integer::I4)
    }

    /// The header that the file does not have, if it has as many bytes as the shape needs.
    pub(super) fn header(self, source: &Window) -> Result<Header, String> {
        let is_packed = self.is_packed();
        let Self { element, big_endian, shape } = self;
        let bits = if is_packed { 4 } else { 8 * element.size() as u64 };
        let found = source.length();
        let of = |numbers: u64| numbers.checked_mul(bits).map(|bits| bits.div_ceil(8));
        let expected = of(elements(&shape)? as u64);
        if expected != Some(found) {
            let bytes = expected.map_or("too many".into(), |bytes| bytes.to_string());
            let row: Option<u64> = shape[1..]
                .iter()
                .try_fold(bits, |row, &length| row.checked_mul(length as u64))
                .filter(|row| *row > 0);
            let rows = row.zip(found.checked_mul(8)).map_or(String::new(), |(row, bits)| {
                let rows = bits / row;
                match found - (rows * row).div_ceil(8) {
                    0 => format!(", which are {rows} whole rows: the first length would be {rows}"),
                    rest => format!(", which are {rows} rows and {rest} bytes"),
                }
            });
            return Err(format!("expected {bytes} bytes for shape {shape:?}, found {found}{rows}"));
        }
        Ok(Header { shape, element, big_endian, column_major: false })
    }

    /// Why what follows the name of a file is no type with a shape.
    pub(super) fn expected() -> String {
        format!(
            "raw numbers: expected a type and a shape, as in file.bin:i8:360x10; types are {TYPES}, and with more \
             than a byte big-endian ones, as i16be"
        )
    }
}

/// The shape of `360x10`.
pub(super) fn shape(text: &str) -> Option<Vec<usize>> {
    text.split('x')
        .map(|length| {
            let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
            length.parse().ok().filter(|_| digits)
        })
        .collect()
}
