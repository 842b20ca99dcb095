//! Numbers read from a text, on their way to a binary copy.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};

use super::window::{Window, of_copy};
use super::{Element, Header, Integer};

/// Bytes written at a time.
const BUFFER: usize = 1 << 18;
/// The most characters shown of a field.
const SHOWN: usize = 40;

/// Numbers of one type.
pub(super) struct Numbers {
    file: BufWriter<File>,
    kind: Kind,
    count: usize,
}

#[derive(Clone, Copy)]
enum Kind {
    /// As long as all are whole numbers, they are stored as i64; this is their range.
    Whole {
        least: i64,
        most: i64,
    },
    Known(Element),
}

impl Numbers {
    /// Of that type, or without one of the type that fits: integers if all are whole numbers written without point
    /// and exponent, otherwise f32.
    pub(super) fn new(element: Option<Element>) -> io::Result<Self> {
        let kind = element.map_or(Kind::Whole { least: 0, most: 0 }, Kind::Known);
        Ok(Self { file: temporary()?, kind, count: 0 })
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Takes the number that is written there, in decimals.
    pub(super) fn push(&mut self, text: &str) -> Result<(), String> {
        if let Kind::Whole { least, most } = &mut self.kind {
            // Zero as an integer has no sign.
            if let Some(number) = text.parse::<i64>().ok().filter(|_| text != "-0") {
                (*least, *most) = ((*least).min(number), (*most).max(number));
                return self.write(&number.to_le_bytes());
            }
            float(text)?;
            self.become_floats().map_err(|error| error.to_string())?;
        }
        match self.kind {
            Kind::Known(Element::Integer(integer)) => match text.parse() {
                Ok(number) => self.push_integer(number),
                Err(_) => Err(out_of_range(integer, text)),
            },
            Kind::Known(Element::F64) => self.push_float(float(text)?),
            // Not by way of f64, which would round twice.
            _ => match text.parse::<f32>() {
                Ok(number) if is_overflow(number.is_infinite(), text) => {
                    Err(format!("{} is too large for f32: read it as f64", shown(text)))
                }
                Ok(number) => self.write(&number.to_le_bytes()),
                Err(_) => Err(no_number(text)),
            },
        }
    }

    /// Takes a whole number, as the known type.
    pub(super) fn push_integer(&mut self, number: i128) -> Result<(), String> {
        let integer = match self.kind {
            Kind::Known(Element::Integer(integer)) => integer,
            Kind::Known(Element::F64) => return self.write(&(number as f64).to_le_bytes()),
            _ => return self.write(&(number as f32).to_le_bytes()),
        };
        let (low, high) = integer.range();
        if !(low..=high).contains(&number) {
            return Err(out_of_range(integer, &number.to_string()));
        }
        let bytes = number.to_le_bytes();
        self.write(&bytes[..Element::Integer(integer).size()])
    }

    /// Takes a float, as the known type.
    pub(super) fn push_float(&mut self, number: f64) -> Result<(), String> {
        match self.kind {
            Kind::Known(Element::Integer(integer)) => {
                Err(out_of_range(integer, &number.to_string()))
            }
            Kind::Known(Element::F64) => self.write(&number.to_le_bytes()),
            _ if (number as f32).is_infinite() && number.is_finite() => {
                Err(format!("{number:e} is too large for f32"))
            }
            _ => self.write(&(number as f32).to_le_bytes()),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.count += 1;
        self.file.write_all(bytes).map_err(|error| of_copy(error).to_string())
    }

    /// Goes on with f32; the whole numbers so far are rounded once, as those that follow are.
    fn become_floats(&mut self) -> io::Result<()> {
        let whole = std::mem::replace(&mut self.file, temporary()?);
        self.kind = Kind::Known(Element::F32);
        copy_whole(whole, &mut self.file, |number| (number as f32).to_le_bytes())
    }

    /// The copy, and its header.
    pub(super) fn finish(self, shape: Vec<usize>) -> Result<(Window, Header), String> {
        let (copy, element) = self.copy().map_err(|error| error.to_string())?;
        Ok((copy, Header { shape, element, big_endian: false, column_major: false }))
    }

    /// [`finish`](Self::finish) for lines of that many numbers; a single column has no axis of its own.
    pub(super) fn finish_lines(
        self,
        rows: usize,
        columns: usize,
    ) -> Result<(Window, Header), String> {
        self.finish(if columns == 1 { vec![rows] } else { vec![rows, columns] })
    }

    fn copy(mut self) -> io::Result<(Window, Element)> {
        let (least, most) = match self.kind {
            Kind::Whole { least, most } => (least, most),
            Kind::Known(element) => return Ok((window(self.file)?, element)),
        };
        // Two bytes hold the outputs of a quantised model, whatever their type is on the device.
        let fits = |integer: Integer| {
            let (low, high) = integer.range();
            low <= i128::from(least) && i128::from(most) <= high
        };
        let Some(integer) = [Integer::I16, Integer::U16].into_iter().find(|integer| fits(*integer))
        else {
            return Ok((window(self.file)?, Element::Integer(Integer::I64)));
        };
        let mut file = temporary()?;
        self.file.flush().map_err(of_copy)?;
        copy_whole(self.file, &mut file, |number| {
            let [low, high, ..] = number.to_le_bytes();
            [low, high]
        })?;
        Ok((window(file)?, Element::Integer(integer)))
    }
}

/// Splits off the type that the numbers of a text are read as, as in `file.csv:2-11:f64` and `file.csv:f64`.
pub(super) fn split_type(member: Option<&str>) -> Result<(Option<&str>, Option<Element>), String> {
    let Some(member) = member else { return Ok((None, None)) };
    let (name, last) = match member.rsplit_once(':') {
        Some((name, last)) => (Some(name), last),
        None => (None, member),
    };
    match Element::named(last) {
        Some(Element::F16 | Element::Bf16) => {
            Err(format!("a text is not read as {last}: expected f32, f64 or a type of integers"))
        }
        Some(element) => Ok((name, Some(element))),
        None => Ok((Some(member), None)),
    }
}

fn temporary() -> io::Result<BufWriter<File>> {
    Ok(BufWriter::with_capacity(BUFFER, tempfile::tempfile().map_err(of_copy)?))
}

fn window(file: BufWriter<File>) -> io::Result<Window> {
    let file = file.into_inner().map_err(|error| of_copy(error.into_error()))?;
    let length = file.metadata()?.len();
    Window::new(file, 0, length)
}

/// Copies numbers of eight bytes as others.
fn copy_whole<const N: usize>(
    from: BufWriter<File>,
    to: &mut BufWriter<File>,
    convert: impl Fn(i64) -> [u8; N],
) -> io::Result<()> {
    let mut from = from.into_inner().map_err(|error| of_copy(error.into_error()))?;
    let length = from.stream_position()?;
    from.rewind()?;
    let mut from = BufReader::with_capacity(BUFFER, from);
    for _ in 0..length / 8 {
        let mut bytes = [0; 8];
        from.read_exact(&mut bytes).map_err(of_copy)?;
        to.write_all(&convert(i64::from_le_bytes(bytes))).map_err(of_copy)?;
    }
    Ok(())
}

fn float(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| no_number(text))?;
    if is_overflow(number.is_infinite(), text) {
        return Err(format!("{} is too large for f64", shown(text)));
    }
    Ok(number)
}

/// Whether an infinity was written as a number, rather than by its name.
fn is_overflow(is_infinite: bool, text: &str) -> bool {
    is_infinite && text.bytes().any(|byte| byte.is_ascii_digit())
}

/// Part of what was found instead of a number.
pub(super) fn shown(text: &str) -> String {
    let start: String = text.chars().take(SHOWN).collect();
    let more = if start.len() < text.len() { "..." } else { "" };
    format!("{start:?}{more}")
}

fn no_number(text: &str) -> String {
    if text.is_empty() {
        return "expected a number, found nothing".into();
    }
    let is_comma = text.contains(',') && text.replace(',', ".").parse::<f64>().is_ok();
    let hint = if is_comma { ": write decimals with a point" } else { "" };
    format!("expected a number, found {}{hint}", shown(text))
}

fn out_of_range(integer: Integer, text: &str) -> String {
    let (low, high) = integer.range();
    format!("expected a whole number from {low} to {high}, found {}", shown(text))
}
