//! The header of a `.npy` file.

use std::io::{Read, Seek, SeekFrom};

use npyz::{DType, Endianness, NpyHeader, Order, TypeChar};
use py_literal::Value;

use super::window::Window;
use super::{Element, Header, Integer, READABLE, elements, first_bytes, what_it_is};

/// The first bytes of every file.
pub(super) const MAGIC: &[u8] = b"\x93NUMPY";
/// Bytes of the longest header that is read: the longest that version 1 of the format allows.
const LONGEST_HEADER: u64 = u16::MAX as u64;
/// The deepest nesting of brackets: structured types, which are refused by name, have four levels.
const DEEPEST: usize = 4;
/// The most characters shown of a header.
const SHOWN: usize = 60;

/// Reads the header, up to the first number.
pub(super) fn header(source: &mut Window) -> Result<Header, String> {
    let text = text(source)?;
    let value = std::str::from_utf8(&text).ok().and_then(|text| text.trim_end().parse().ok());
    let Some(Value::Dict(entries)) = value else {
        return Err(broken(&text));
    };
    let entry = |name: &str| {
        let is_it = |key: &Value| matches!(key, Value::String(key) if key == name);
        entries.iter().find(|(key, _)| is_it(key)).map(|(_, value)| value)
    };
    let shape = match entry("shape") {
        Some(Value::Tuple(axes) | Value::List(axes)) => {
            axes.iter().map(axis).collect::<Option<Vec<_>>>()
        }
        _ => None,
    };
    let (Some(shape), Some(descr)) = (shape, entry("descr")) else {
        return Err(broken(&text));
    };
    // The crate does not notice a product that overflows.
    let count = elements(&shape)? as u64;
    source.rewind().map_err(|error| error.to_string())?;
    let header = NpyHeader::from_reader(&mut *source).map_err(|_| match descr {
        // NumPy has types that the crate cannot name.
        Value::String(descr) => of_type(&format!("'{descr}'")),
        _ => broken(&text),
    })?;
    let begin = source.stream_position().map_err(|error| error.to_string())?;
    let dtype = header.dtype();
    let (element, big_endian) = element(&dtype).ok_or_else(|| of_type(&dtype.descr()))?;
    let expected = count.checked_mul(element.size() as u64);
    let found = source.length() - begin.min(source.length());
    if expected != Some(found) {
        return Err(format!(
            "expected {} bytes of data for shape {shape:?}, found {found}",
            expected.map_or("too many".into(), |bytes| bytes.to_string()),
        ));
    }
    let is_long = |length: &&usize| **length > 1;
    let column_major = header.order() != Order::C && shape.iter().filter(is_long).count() > 1;
    Ok(Header { shape, element, big_endian, column_major })
}

fn axis(axis: &Value) -> Option<usize> {
    match axis {
        Value::Integer(length) => usize::try_from(length).ok(),
        _ => None,
    }
}

/// Why numbers of this type are refused.
fn of_type(descr: &str) -> String {
    // ml_dtypes saves its 8-bit types like this.
    let eight = ["f1", "V1"].iter().any(|name| descr.trim_matches('\'').ends_with(name));
    let hint = if eight { "; of float8 save x.astype(numpy.float32)" } else { "" };
    format!("numbers of type {descr}: {READABLE}{hint}")
}

/// Why a header that is not a Python dictionary is refused.
fn broken(text: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(text).chars().take(SHOWN).collect();
    format!(
        "its header is broken: expected {{'descr': ..., 'fortran_order': ..., 'shape': ...}}, \
         found {:?}; save the array again",
        text.trim_end()
    )
}

/// The text of the header. Refuses headers that would take the parser too long or too much memory.
fn text(source: &mut Window) -> Result<Vec<u8>, String> {
    let not_one = |reason: String| format!("not a .npy file: {reason}");
    let first = first_bytes(source).map_err(|error| error.to_string())?;
    if !first.starts_with(MAGIC) {
        return Err(not_one(what_it_is(&first).into()));
    }
    let (begin, size) = match first[MAGIC.len()..] {
        [1, _, a, b, ..] => (10, u16::from_le_bytes([a, b]).into()),
        [2 | 3, _, a, b, c, d, ..] => (12, u64::from(u32::from_le_bytes([a, b, c, d]))),
        [1..=3, ..] | [] => return Err(not_one("it ends within its header".into())),
        [version, ..] => {
            return Err(not_one(format!("version {version} of the format: expected 1 to 3")));
        }
    };
    let behind = source.length().saturating_sub(begin);
    if size > behind {
        return Err(not_one(format!("a header of {size} bytes, but only {behind} in the file")));
    }
    if size > LONGEST_HEADER {
        return Err(format!("a header of {size} bytes: expected at most {LONGEST_HEADER}"));
    }
    let mut text = vec![0; size as usize];
    source.seek(SeekFrom::Start(begin)).map_err(|error| error.to_string())?;
    source.read_exact(&mut text).map_err(|error| error.to_string())?;
    // Each further level would double the parser's time.
    let mut depth = 0_usize;
    for byte in &text {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST {
            return Err(not_one(format!("brackets nested more than {DEEPEST} deep")));
        }
    }
    Ok(text)
}

/// The type of the numbers, and whether they are big-endian.
fn element(dtype: &DType) -> Option<(Element, bool)> {
    let DType::Plain(plain) = dtype else { return None };
    let element = match (plain.type_char(), plain.size_field()) {
        (TypeChar::Float, 2) => Element::F16,
        (TypeChar::Float, 4) => Element::F32,
        (TypeChar::Float, 8) => Element::F64,
        // Two bytes without a type: how NumPy saves the bf16 of ml_dtypes, in both byte orders.
        (TypeChar::RawData, 2) => Element::Bf16,
        (TypeChar::Bool, 1) => Element::Integer(Integer::Bool),
        (TypeChar::Uint, 1) => Element::Integer(Integer::U8),
        (TypeChar::Uint, 2) => Element::Integer(Integer::U16),
        (TypeChar::Uint, 4) => Element::Integer(Integer::U32),
        (TypeChar::Uint, 8) => Element::Integer(Integer::U64),
        (TypeChar::Int, 1) => Element::Integer(Integer::I8),
        (TypeChar::Int, 2) => Element::Integer(Integer::I16),
        (TypeChar::Int, 4) => Element::Integer(Integer::I32),
        (TypeChar::Int, 8) => Element::Integer(Integer::I64),
        _ => return None,
    };
    Some((element, plain.endianness() == Endianness::Big))
}
