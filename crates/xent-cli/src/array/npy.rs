//! The header of a `.npy` file.

use std::fs::File;
use std::io::{BufReader, Seek};

use npyz::{DType, Endianness, NpyHeader, Order, TypeChar};

use super::{Element, Header, Integer, READABLE, elements};

/// Reads it, up to the first number.
pub(super) fn header(source: &mut BufReader<File>, length: u64) -> Result<Header, String> {
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
