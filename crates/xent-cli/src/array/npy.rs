//! The header of a `.npy` file.

use std::fs::File;
use std::io::{BufReader, Read, Seek};

use npyz::{DType, Endianness, NpyHeader, Order, TypeChar};
use py_literal::Value;

use super::{Element, Header, Integer, READABLE, elements};

/// Bytes of the longest header that is read: that of the first version of the format can be no longer.
const LONGEST_HEADER: u64 = u16::MAX as u64;
/// Brackets within brackets: those of a structured type, which is refused by name, are four.
const DEEPEST: usize = 4;

/// Reads it, up to the first number.
pub(super) fn header(source: &mut BufReader<File>, length: u64) -> Result<Header, String> {
    check(source, length)?;
    source.rewind().map_err(|error| error.to_string())?;
    let header = NpyHeader::from_reader(&mut *source)
        .map_err(|error| format!("not a .npy file: {error}"))?;
    let begin = source.stream_position().map_err(|error| error.to_string())?;
    if header.order() != Order::C && header.shape().len() > 1 {
        return Err("Fortran order: save a copy in C order".into());
    }
    let shape: Vec<usize> = header
        .shape()
        .iter()
        .map(|&length| usize::try_from(length).ok())
        .collect::<Option<_>>()
        .ok_or("a shape too large for this machine")?;
    let dtype = header.dtype();
    let (element, size, big_endian) =
        element(&dtype).ok_or_else(|| format!("numbers of type {}: {READABLE}", dtype.descr()))?;
    let expected = (elements(&shape)? as u64).checked_mul(size);
    let found = length - begin.min(length);
    if expected != Some(found) {
        return Err(format!(
            "expected {} bytes of data for shape {shape:?}, found {found}",
            expected.map_or("too many".into(), |bytes| bytes.to_string()),
        ));
    }
    Ok(Header { shape, element, big_endian })
}

/// Refuses what the crate would take too long for, too much memory, or a product that overflows; the rest
/// is for the crate to judge.
fn check(source: &mut BufReader<File>, length: u64) -> Result<(), String> {
    let not_one = |reason: String| format!("not a .npy file: {reason}");
    let mut prefix = [0; 12];
    let most = if length < 10 { return Ok(()) } else { prefix.len().min(length as usize) };
    source.read_exact(&mut prefix[..most]).map_err(|error| error.to_string())?;
    let [.., version, _, a, b, c, d] = prefix;
    let (begin, size) = match version {
        1 => (10, u16::from_le_bytes([a, b]).into()),
        _ => (12, u64::from(u32::from_le_bytes([a, b, c, d]))),
    };
    let behind = length.saturating_sub(begin);
    if !prefix.starts_with(b"\x93NUMPY") {
        return Ok(());
    }
    if size > behind {
        return Err(not_one(format!("a header of {size} bytes, and {behind} in the file")));
    }
    if size > LONGEST_HEADER {
        return Err(format!("a header of {size} bytes: expected at most {LONGEST_HEADER}"));
    }
    let mut text = vec![0; size as usize];
    source.seek(std::io::SeekFrom::Start(begin)).map_err(|error| error.to_string())?;
    source.read_exact(&mut text).map_err(|error| error.to_string())?;
    // Each more would double the time that the parser needs.
    let mut depth = 0_usize;
    for byte in &text {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST {
            return Err(not_one(format!("more than {DEEPEST} brackets within each other")));
        }
    }
    let text = text.strip_suffix(b"\n").unwrap_or(&text);
    let value = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    let Some(Value::Dict(entries)) = value else { return Ok(()) };
    for (key, value) in entries {
        let (Value::String(key), Value::Tuple(axes) | Value::List(axes)) = (key, value) else {
            continue;
        };
        let axis = |axis: &Value| match axis {
            Value::Integer(length) => usize::try_from(length).ok(),
            _ => None,
        };
        // What is no length is for the crate to refuse.
        if key == "shape"
            && let Some(shape) = axes.iter().map(axis).collect::<Option<Vec<_>>>()
        {
            elements(&shape)?;
        }
    }
    Ok(())
}

/// What the numbers are, of how many bytes, and whether the most significant is the first.
fn element(dtype: &DType) -> Option<(Element, u64, bool)> {
    let DType::Plain(plain) = dtype else { return None };
    let size = plain.size_field();
    let element = match (plain.type_char(), size) {
        (TypeChar::Float, 2) => Element::F16,
        (TypeChar::Float, 4) => Element::F32,
        (TypeChar::Float, 8) => Element::F64,
        // Two bytes without a type: NumPy's word for the bf16 of ml_dtypes, in both byte orders.
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
    Some((element, size, plain.endianness() == Endianness::Big))
}
