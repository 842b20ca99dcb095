//! The header of a `.safetensors` file, and the place of one of its tensors.

use std::io::{Read, Seek, SeekFrom};

use safetensors::Dtype;
use safetensors::tensor::Metadata;

use super::window::Window;
use super::{Element, Header, Integer, READABLE, list};

/// The longest header that is read, which is also the crate's limit.
const LONGEST_HEADER: u64 = 100_000_000;
/// Bytes of the header's length, which precedes it.
const PREFIX: u64 = 8;

/// Reads the header, up to the first number of the tensor.
pub(super) fn header(source: &mut Window, name: Option<&str>) -> Result<Header, String> {
    let (metadata, begin) = metadata(source)?;
    let names = metadata.offset_keys();
    let name = match (name, &names[..]) {
        (Some(name), _) => name,
        (None, [name]) => name,
        (None, _) => {
            let reason = "the name of a tensor, as in file.safetensors:name";
            return Err(format!("expected {reason}: {}", list(names)));
        }
    };
    let Some(tensor) = metadata.info(name) else {
        return Err(format!("no tensor of that name: {}", list(names)));
    };
    let element = element(tensor.dtype)
        .ok_or_else(|| format!("numbers of type {}: {READABLE}", tensor.dtype))?;
    let first = begin + tensor.data_offsets.0 as u64;
    source.seek(SeekFrom::Start(first)).map_err(|error| error.to_string())?;
    Ok(Header { shape: tensor.shape.clone(), element, big_endian: false, column_major: false })
}

/// The tensors, each as long as its shape says and one after the other to the end of the file; and
/// the place of the first.
fn metadata(source: &mut Window) -> Result<(Metadata, u64), String> {
    let not_one = |reason: String| format!("not a .safetensors file: {reason}");
    let mut prefix = [0; PREFIX as usize];
    source.read_exact(&mut prefix).map_err(|error| not_one(error.to_string()))?;
    let size = u64::from_le_bytes(prefix);
    let behind = source.length().saturating_sub(PREFIX);
    if size > behind {
        return Err(not_one(format!("a header of {size} bytes, but only {behind} in the file")));
    }
    if size > LONGEST_HEADER {
        return Err(format!("a header of {size} bytes: expected at most {LONGEST_HEADER}"));
    }
    let mut header = vec![0; size as usize];
    source.read_exact(&mut header).map_err(|error| error.to_string())?;
    // The crate reads a header only from a whole file; this checks the same, except for the file's
    // end.
    let metadata: Metadata =
        serde_json::from_slice(&header).map_err(|error| not_one(error.to_string()))?;
    let (expected, found) = (metadata.data_len() as u64, behind - size);
    if expected != found {
        return Err(format!("expected {expected} bytes of data for its tensors, found {found}"));
    }
    Ok((metadata, PREFIX + size))
}

fn element(dtype: Dtype) -> Option<Element> {
    Some(match dtype {
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::Bf16,
        Dtype::F32 => Element::F32,
        Dtype::F64 => Element::F64,
        Dtype::BOOL => Element::Integer(Integer::Bool),
        Dtype::U8 => Element::Integer(Integer::U8),
        Dtype::U16 => Element::Integer(Integer::U16),
        Dtype::U32 => Element::Integer(Integer::U32),
        Dtype::U64 => Element::Integer(Integer::U64),
        Dtype::I8 => Element::Integer(Integer::I8),
        Dtype::I16 => Element::Integer(Integer::I16),
        Dtype::I32 => Element::Integer(Integer::I32),
        Dtype::I64 => Element::Integer(Integer::I64),
        _ => return None,
    })
}
