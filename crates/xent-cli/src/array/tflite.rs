//! What the integers of a tensor stand for, read from a TensorFlow Lite model: a flatbuffer, whose tables are read one
//! by one, without the code that a compiler would make of its whole schema.

use std::io::{self, Read};
use std::path::Path;

use planus::errors::ErrorKind;
use planus::table_reader::Table;
use planus::{SliceWithStartOffset, TableRead, Vector};
use thiserror::Error;
use xent::{InputError, Quantisation};

use super::place::Place;
use super::{Element, Integer, NAMED, quoted, source};
use crate::failure::Failure;

/// What a model has at its bytes 4 to 7.
const IDENTIFIER: &[u8] = b"TFL3";
/// The places in a flatbuffer have 31 bits. Larger models have their weights behind it.
const MOST: u64 = 1 << 31;
/// The types of tensors, by their number.
const TYPES: [&str; 19] = [
    "f32",
    "f16",
    "i32",
    "u8",
    "i64",
    "text",
    "bool",
    "i16",
    "complex numbers",
    "i8",
    "f64",
    "complex numbers",
    "u64",
    "a resource",
    "a variant",
    "u32",
    "u16",
    "i4",
    "bf16",
];

/// A quantised tensor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quantised {
    pub(super) quantisation: Quantisation,
    pub(super) integer: Integer,
}

/// Why a model does not say what the integers stand for.
#[derive(Debug, Error)]
enum Unusable {
    #[error("not a TensorFlow Lite model: expected TFL3 at its bytes 4 to 7, as in a .tflite file")]
    OtherFile,
    #[error(
        "it is cut off or damaged: the {field} of a table ({table}) at byte {byte} cannot be read"
    )]
    Damaged { table: &'static str, field: &'static str, byte: usize },
    #[error("the model has no {0}")]
    Missing(&'static str),
    #[error(
        "the model has several outputs: choose one by its name or its number, as in {file}:0; they are {outputs}"
    )]
    Several { file: String, outputs: String },
    #[error("the model has no tensor {asked}; its outputs are {outputs}")]
    NoSuchTensor { asked: String, outputs: String },
    #[error(
        "the tensor {tensor} has no scale, since it is {kind}: if integers were dumped, choose their tensor by its \
         name, as in {file}:name"
    )]
    NotInteger { tensor: String, kind: String, file: String },
    #[error("the tensor {tensor} is {kind}: expected integers of 4, 8 or 16 bits")]
    Wide { tensor: String, kind: String },
    #[error(
        "the tensor {tensor} is {kind} without a scale: give its scale and its zero point as options"
    )]
    NoScale { tensor: String, kind: String },
    #[error(
        "the tensor {tensor} has {scales} scales, one for each channel: expected one for the whole tensor"
    )]
    PerChannel { tensor: String, scales: usize },
    #[error("the tensor {tensor} has {zero_points} zero points for one scale")]
    ZeroPoints { tensor: String, zero_points: usize },
    #[error(
        "the tensor {tensor} has the zero point {zero_point}: expected one of its integers, {low} to {high}"
    )]
    ZeroPoint { tensor: String, zero_point: i64, low: i32, high: i32 },
    #[error("the tensor {tensor}: {error}")]
    Quantisation { tensor: String, error: InputError },
}

impl From<planus::Error> for Unusable {
    fn from(error: planus::Error) -> Self {
        let planus::errors::ErrorLocation { type_, method, byte_offset } = error.source_location;
        Self::Damaged { table: type_, field: method, byte: byte_offset }
    }
}

/// Reads what the model says about a tensor: its only output, or the one that is named behind the file.
pub(super) fn quantised(path: &Path) -> Result<Quantised, Failure> {
    let place = Place::of(path);
    let bytes = read(place).map_err(Failure::io(path))?;
    let found = Model::of(&bytes).and_then(|model| {
        let file = place.file.display().to_string();
        model.tensor(place.member, &file)?.quantised(&file)
    });
    found.map_err(|unusable| Failure::file(path, unusable))
}

/// Whether a file with these first bytes is a model.
pub(super) fn is_model(first: &[u8]) -> bool {
    first.get(4..8) == Some(IDENTIFIER)
}

fn read(place: Place<'_>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source(place)?.take(MOST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A table of tables.
#[derive(Clone, Copy)]
struct Tables<'a> {
    /// The places of the tables, each four bytes.
    places: SliceWithStartOffset<'a>,
    count: usize,
}

impl<'a> TableRead<'a> for Tables<'a> {
    fn from_buffer(buffer: SliceWithStartOffset<'a>, offset: usize) -> Result<Self, ErrorKind> {
        let to = u32::from_buffer(buffer, offset)? as usize;
        let vector = buffer.advance(offset.checked_add(to).ok_or(ErrorKind::InvalidOffset)?)?;
        let count = u32::from_buffer(vector, 0)? as usize;
        let places = vector.advance(size_of::<u32>())?;
        let holds = places.len() / size_of::<u32>();
        if count > holds {
            return Err(ErrorKind::InvalidLength);
        }
        Ok(Self { places, count })
    }
}

impl<'a> Tables<'a> {
    fn get(&self, index: usize) -> Result<Table<'a>, Unusable> {
        if index >= self.count {
            return Err(Unusable::Missing("tensor of that number"));
        }
        let table = Table::from_buffer(self.places, index * size_of::<u32>());
        let byte = self.places.offset_from_start + index * size_of::<u32>();
        table.map_err(|_| Unusable::Damaged { table: "Vector", field: "element", byte })
    }
}

/// The main graph of a model.
struct Model<'a> {
    tensors: Tables<'a>,
    outputs: Vector<'a, i32>,
}

/// A tensor with its name.
struct Tensor<'a> {
    name: String,
    table: Table<'a>,
}

impl<'a> Model<'a> {
    fn of(bytes: &'a [u8]) -> Result<Self, Unusable> {
        if !is_model(bytes) {
            return Err(Unusable::OtherFile);
        }
        let all = SliceWithStartOffset { buffer: bytes, offset_from_start: 0 };
        let root = Table::from_buffer(all, 0)
            .map_err(|error| error.with_error_location("Model", "root", 0))?;
        let graphs: Tables<'a> =
            root.access(2, "Model", "subgraphs")?.ok_or(Unusable::Missing("graph"))?;
        if graphs.count == 0 {
            return Err(Unusable::Missing("graph"));
        }
        let graph = graphs.get(0)?;
        let tensors =
            graph.access(0, "SubGraph", "tensors")?.ok_or(Unusable::Missing("tensors"))?;
        let outputs = graph.access(2, "SubGraph", "outputs")?.ok_or(Unusable::Missing("output"))?;
        Ok(Self { tensors, outputs })
    }

    /// The tensor of that name or number, or the only output.
    fn tensor(&self, asked: Option<&str>, file: &str) -> Result<Tensor<'a>, Unusable> {
        let count = self.outputs.len();
        match (asked, count) {
            (_, 0) => Err(Unusable::Missing("output")),
            (None, 1) => self.output(0),
            (None, _) => {
                Err(Unusable::Several { file: file.to_owned(), outputs: self.named_outputs()? })
            }
            (Some(asked), _) => {
                for number in 0..count {
                    let output = self.output(number)?;
                    if output.name == asked {
                        return Ok(output);
                    }
                }
                for number in 0..self.tensors.count {
                    let tensor = self.at(number)?;
                    if tensor.name == asked {
                        return Ok(tensor);
                    }
                }
                match asked.parse() {
                    Ok(number) if number < count => self.output(number),
                    _ => Err(Unusable::NoSuchTensor {
                        asked: quoted(asked),
                        outputs: self.named_outputs()?,
                    }),
                }
            }
        }
    }

    fn output(&self, number: usize) -> Result<Tensor<'a>, Unusable> {
        let index = self.outputs.get(number).and_then(|index| usize::try_from(index).ok());
        self.at(index.ok_or(Unusable::Missing("tensor of that number"))?)
    }

    fn at(&self, index: usize) -> Result<Tensor<'a>, Unusable> {
        let table = self.tensors.get(index)?;
        let name: Option<&[u8]> = table.access(3, "Tensor", "name")?;
        Ok(Tensor { name: String::from_utf8_lossy(name.unwrap_or_default()).into_owned(), table })
    }

    /// The outputs with their numbers.
    fn named_outputs(&self) -> Result<String, Unusable> {
        let named = (0..self.outputs.len().min(NAMED)).map(|number| {
            let output = self.output(number)?;
            Ok(format!("{number}: {} ({})", quoted(&output.name), output.kind()?))
        });
        Ok(named.collect::<Result<Vec<_>, Unusable>>()?.join(", "))
    }
}

impl Tensor<'_> {
    /// The type of its numbers.
    fn kind(&self) -> Result<String, Unusable> {
        let code: i8 = self.table.access(1, "Tensor", "type")?.unwrap_or_default();
        let name = usize::try_from(code).ok().and_then(|code| TYPES.get(code));
        Ok(name.map_or_else(|| format!("type {code}"), |name| (*name).to_owned()))
    }

    fn quantised(self, file: &str) -> Result<Quantised, Unusable> {
        let kind = self.kind()?;
        let tensor = quoted(&self.name);
        let Some(Element::Integer(integer)) = Element::named(&kind) else {
            return Err(Unusable::NotInteger { tensor, kind, file: file.to_owned() });
        };
        let Some((low, high)) = integer.quantised_range() else {
            return Err(Unusable::Wide { tensor, kind });
        };
        let parameters: Option<Parameters<'_>> = self.table.access(4, "Tensor", "quantization")?;
        let Some(Parameters(parameters)) = parameters else {
            return Err(Unusable::NoScale { tensor, kind });
        };
        let scales: Option<Vector<'_, f32>> =
            parameters.access(2, "QuantizationParameters", "scale")?;
        let zero_points: Option<Vector<'_, i64>> =
            parameters.access(3, "QuantizationParameters", "zero_point")?;
        let scales = scales.unwrap_or_else(Vector::new_empty);
        let zero_points = zero_points.unwrap_or_else(Vector::new_empty);
        let scale = match scales.len() {
            0 => return Err(Unusable::NoScale { tensor, kind }),
            1 => scales.get(0),
            scales => return Err(Unusable::PerChannel { tensor, scales }),
        };
        let zero_point = match zero_points.len() {
            1 => zero_points.get(0),
            zero_points => return Err(Unusable::ZeroPoints { tensor, zero_points }),
        };
        let (scale, zero_point) = (scale.unwrap_or_default(), zero_point.unwrap_or_default());
        let is_one = |zero_point: &i32| (low..=high).contains(zero_point);
        let Some(of_zero) = i32::try_from(zero_point).ok().filter(is_one) else {
            return Err(Unusable::ZeroPoint { tensor, zero_point, low, high });
        };
        match Quantisation::new(scale, of_zero) {
            Ok(quantisation) => Ok(Quantised { quantisation, integer }),
            Err(error) => Err(Unusable::Quantisation { tensor, error }),
        }
    }
}

/// What the integers of a tensor stand for.
struct Parameters<'a>(Table<'a>);

impl<'a> TableRead<'a> for Parameters<'a> {
    fn from_buffer(buffer: SliceWithStartOffset<'a>, offset: usize) -> Result<Self, ErrorKind> {
        Table::from_buffer(buffer, offset).map(Self)
    }
}
