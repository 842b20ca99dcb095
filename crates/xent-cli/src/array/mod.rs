//! Arrays in files, from a pipe or from standard input, read in parts. Numbers in a text are copied to a file of their
//! bytes. What integers stand for may be read from a model.

mod c_source;
mod column_major;
mod csv;
mod json_lines;
mod lines;
mod npy;
mod npz;
mod numbers;
mod packed;
mod place;
mod raw;
mod tensors;
mod tflite;
mod window;

use std::fs::{File, Metadata};
use std::io::{self, IsTerminal, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use half::{bf16, f16};
use rayon::prelude::*;
use xent::{InputError, Quantisation};

use crate::failure::Failure;
use crate::interrupt;
use crate::number::{Format, Number};

use column_major::ColumnMajor;
use packed::Packed;
use place::Place;
use place::is_for_raw;
pub(crate) use place::{file_of, is_not_for_output, is_standard_input};
use raw::Description;
use window::Window;

/// Numbers that are read at a time,
const CHUNK: usize = 1 << 20;
/// and those of them that one thread converts.
const PIECE: usize = 1 << 16;

/// An array whose header has been read. Its numbers arrive in row-major order.
pub(crate) struct Array {
    path: PathBuf,
    header: Header,
    /// How many numbers have not been read yet.
    left: usize,
    source: Window,
    /// Space for the numbers of a chunk.
    bytes: Vec<u8>,
    /// The place of the first number in the file.
    begin: u64,
    /// The reader that transposes it, if it is column-major.
    turned: Option<ColumnMajor>,
    /// The reader that widens it, if two numbers are in a byte.
    packed: Option<Packed>,
    /// What its integers stand for, if that was said.
    quantisation: Option<Quantisation>,
    /// Whether its type was chosen by how its numbers are written.
    is_text: bool,
    /// The state of the file before its header was read.
    state: State,
}

/// Shows whether a file has been written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    length: u64,
    /// Not every system has one.
    modified: Option<SystemTime>,
}

impl State {
    fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self { length: metadata.len(), modified: metadata.modified().ok() })
    }
}

/// What a header says about its numbers; their count follows from the shape.
struct Header {
    shape: Vec<usize>,
    element: Element,
    big_endian: bool,
    /// Whether the order matters: at least two axes have more than one element.
    column_major: bool,
}

/// The type of a number in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    F16,
    Bf16,
    F32,
    F64,
    Integer(Integer),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Integer {
    Bool,
    U8,
    U16,
    U32,
    U64,
    /// Two are in a byte of a file; once it is read, each has its own.
    I4,
    I8,
    I16,
    I32,
    I64,
}

/// The expected types, for an error about another type.
const READABLE: &str = "expected f64, f32, f16, bf16, bool, or integers of 8 to 64 bits";

/// Why a file is refused that was written to meanwhile.
const CHANGED: &str = "the file changed while it was read";

/// The kind of file that holds an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Npy,
    Npz,
    Tensors,
    /// Numbers without a header.
    Raw,
    Csv,
    JsonLines,
    /// An array in the source of a program.
    C,
}

impl Kind {
    /// By the ending of a name, or by a word that stands for it.
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "npy" => Self::Npy,
            "npz" => Self::Npz,
            "safetensors" => Self::Tensors,
            "csv" | "tsv" | "txt" => Self::Csv,
            "jsonl" | "ndjson" => Self::JsonLines,
            "h" | "hh" | "hpp" | "c" | "cc" | "cpp" | "inc" => Self::C,
            _ => return None,
        })
    }

    fn by_extension(file: &Path) -> Option<Self> {
        file.extension().and_then(|name| name.to_str()).and_then(Self::named)
    }

    /// By the name of the file, by what follows it, or by its first bytes; and what is left of what follows it.
    fn of<'a>(place: Place<'a>, first: &[u8]) -> (Self, Option<&'a str>) {
        let member = place.member;
        if let Some(kind) = Self::by_extension(place.file) {
            return (kind, member);
        }
        if member.is_some_and(|member| Description::parse(member).is_some()) {
            return (Self::Raw, member);
        }
        if first.starts_with(b"PK") {
            return (Self::Npz, member);
        }
        if looks_like_tensors(first) {
            return (Self::Tensors, member);
        }
        // A text has no first bytes of its own: its kind may be named, as in `-:csv:label`.
        let (name, rest) = match member.map(|member| (member, member.split_once(':'))) {
            Some((_, Some((name, rest)))) => (name, Some(rest)),
            Some((name, None)) => (name, None),
            None => return (Self::Npy, None),
        };
        match Self::named(name) {
            Some(kind @ (Self::Csv | Self::JsonLines | Self::C)) => (kind, rest),
            _ if first.starts_with(npy::MAGIC) => (Self::Npy, member),
            // What follows the name was meant for raw numbers.
            _ if is_for_raw(place.file) => (Self::Raw, member),
            _ => (Self::Npy, member),
        }
    }
}

/// The first bytes that identify a kind of file.
const KNOWN_BY: u64 = 16;

fn first_bytes(source: &mut Window) -> io::Result<Vec<u8>> {
    let mut first = Vec::new();
    source.take(KNOWN_BY).read_to_end(&mut first)?;
    source.rewind()?;
    Ok(first)
}

/// A length in eight bytes, then the brace that starts the header.
fn looks_like_tensors(first: &[u8]) -> bool {
    first.get(8) == Some(&b'{')
}

/// What a file without an array might be, and what to do about it.
fn what_it_is(first: &[u8]) -> &'static str {
    match first {
        [] => "it is empty",
        [b'P', b'K', ..] => {
            "a zip archive, as numpy.savez and torch.save write; a .npz file needs that ending"
        }
        [0x80, 2..=5, ..] => {
            "a pickle, as Python and older versions of PyTorch write: save the array with numpy.save"
        }
        [0x89, b'H', b'D', b'F', ..] => "an HDF5 file: save the array with numpy.save",
        [0x1f, 0x8b, ..] => "it is compressed with gzip: unpack it first",
        _ if looks_like_tensors(first) => "a .safetensors file, which needs that ending",
        _ if tflite::is_model(first) => {
            "a TensorFlow Lite model, which has no outputs of its own: give what it gave out, and the model with \
             --quantisation"
        }
        _ if first.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) => {
            "it is text: save the array with numpy.save, or give a table the ending .csv"
        }
        _ => {
            r"it does not begin with \x93NUMPY: save the array with numpy.save, or give the type and the shape of raw
            numbers, as in file.bin:i8:360x10"
        }
    }
}

impl Array {
    /// Reads the header, and checks that the file holds as much data as it says.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let opened = Self::open_whole(path);
        // This interrupts the copy of a pipe, too.
        interrupt::check()?;
        opened
    }

    fn open_whole(path: &Path) -> Result<Self, Failure> {
        let place = Place::of(path);
        let fail = |reason: String| Failure::file(path, reason);
        let mut source = source(place).map_err(Failure::io(path))?;
        let first = first_bytes(&mut source).map_err(Failure::io(path))?;
        let (kind, member) = Kind::of(place, &first);
        if kind == Kind::Npz {
            if !first.starts_with(b"PK") {
                return Err(fail(format!("not a .npz file: {}", what_it_is(&first))));
            }
            source = npz::member(source.into_file(), member).map_err(fail)?;
        }
        let mut state = State::of(source.file()).map_err(Failure::io(path))?;
        let of_text = match kind {
            Kind::Csv => Some(csv::read(&mut source, member)),
            Kind::JsonLines => Some(json_lines::read(&mut source, member)),
            Kind::C => Some(c_source::read(&mut source, member)),
            _ => None,
        };
        let mut packed = None;
        let header = if let Some(copied) = of_text {
            if State::of(source.file()).map_err(Failure::io(path))? != state {
                return Err(fail(CHANGED.into()));
            }
            let (copy, header) = copied.map_err(fail)?;
            source = copy;
            state = State::of(source.file()).map_err(Failure::io(path))?;
            header
        } else {
            match (kind, member.and_then(Description::parse)) {
                (Kind::Raw, Some(description)) => {
                    packed = description.is_packed().then(Packed::default);
                    description.header(&source)
                }
                (Kind::Raw, None) => Err(Description::expected()),
                (Kind::Tensors, _) => tensors::header(&mut source, member),
                _ => npy::header(&mut source),
            }
            .map_err(fail)?
        };
        if kind == Kind::Npy && member.is_some() {
            let file = place.file.display();
            return Err(fail(format!("a .npy file holds one array, without a name: give {file}")));
        }
        let left = elements(&header.shape).map_err(fail)?;
        let begin = source.stream_position().map_err(Failure::io(path))?;
        let mut array = Self {
            path: path.to_owned(),
            header,
            left,
            source,
            bytes: Vec::new(),
            begin,
            turned: None,
            packed,
            quantisation: None,
            is_text: matches!(kind, Kind::Csv | Kind::JsonLines),
            state,
        };
        array.turned = array.turn();
        Ok(array)
    }

    /// The reader that transposes it, if it must be transposed.
    fn turn(&self) -> Option<ColumnMajor> {
        let size = self.header.element.size();
        self.is_column_major().then(|| ColumnMajor::new(self.begin, size, &self.header.shape))
    }

    /// Says what its integers stand for: from here on it is an array of f32.
    pub(crate) fn quantised(mut self, quantisation: Quantisation) -> Result<Self, Failure> {
        let fail = |reason: String| Err(Failure::file(&self.path, reason));
        let Element::Integer(integer) = self.header.element else {
            let format = self.format();
            return fail(format!("a scale is for integers, but its numbers are {format}"));
        };
        let Some((low, high)) = integer.quantised_range() else {
            return fail("quantised inputs are integers of 4, 8 or 16 bits".into());
        };
        let zero_point = quantisation.zero_point();
        if !(low..=high).contains(&zero_point) {
            let reason = format!(
                "expected a zero point from {low} to {high}, its integers; found {zero_point}"
            );
            return fail(reason);
        }
        self.quantisation = Some(quantisation);
        Ok(self)
    }

    /// [`quantised`](Self::quantised) as a tensor of a model is: its only output, or the one that is named behind the
    /// file.
    pub(crate) fn quantised_by(self, model: &Path) -> Result<Self, Failure> {
        let tensor = tflite::quantised(model)?;
        if let Element::Integer(own) = self.header.element {
            let ((low, high), (least, most)) = (own.range(), tensor.integer.range());
            if least < low || most > high {
                let reason = format!(
                    "its integers are from {low} to {high}, but those of the tensor in {} from {least} to {most}",
                    model.display()
                );
                return Err(Failure::file(&self.path, reason));
            }
        }
        self.quantised(tensor.quantisation)
    }

    /// The scale and the zero point of its integers, if they have one.
    pub(crate) fn quantisation(&self) -> Option<Quantisation> {
        self.quantisation
    }

    /// The smallest and the largest of the integers that may have a scale.
    pub(crate) fn quantised_range(&self) -> Option<(i32, i32)> {
        match self.header.element {
            Element::Integer(integer) => integer.quantised_range(),
            _ => None,
        }
    }

    /// Takes a shape that differs from its own only in axes of length one.
    pub(crate) fn take_shape(&mut self, shape: &[usize]) {
        self.header.shape = shape.to_vec();
        self.turned = self.turn();
    }

    /// Whether its first axis varies fastest, and at least two axes have more than one element.
    pub(crate) fn is_column_major(&self) -> bool {
        self.header.column_major && !self.header.shape.contains(&0)
    }

    /// Takes a column-major array as it lies in memory: as a row-major array with its axes reversed. Undo this
    /// before it is [rewound](Self::rewind).
    pub(crate) fn transpose(&mut self) {
        self.header.shape.reverse();
        self.header.column_major = !self.header.column_major;
        self.turned = self.turn();
    }

    /// Goes back to the first number.
    pub(crate) fn rewind(&mut self) -> Result<(), Failure> {
        self.left = self.header.shape.iter().product();
        if let Some(turned) = &mut self.turned {
            turned.rewind();
        }
        if let Some(packed) = &mut self.packed {
            packed.rewind();
        }
        self.source.seek(SeekFrom::Start(self.begin)).map_err(Failure::io(&self.path))?;
        Ok(())
    }

    /// Hands on numbers that were read, unless the file has changed since its header was read.
    fn read(&self, numbers: io::Result<()>) -> Result<(), Failure> {
        interrupt::check()?;
        if numbers.is_err() || self.left == 0 {
            let state = State::of(self.source.file()).map_err(Failure::io(&self.path))?;
            if state != self.state {
                return Err(Failure::file(&self.path, CHANGED));
            }
        }
        numbers.map_err(Failure::io(&self.path))
    }

    /// The path as it was given, with the name of the array if there was one.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What else may be done about its integers where floats are expected.
    pub(crate) fn or_floats(&self) -> &'static str {
        if self.is_text {
            "; if they are floats without decimals, name their type, as in file.csv:f32 or file.csv:2-11:f32"
        } else {
            ""
        }
    }

    pub(crate) fn shape(&self) -> &[usize] {
        &self.header.shape
    }

    pub(crate) fn format(&self) -> Format {
        match self.header.element {
            Element::F16 => Format::F16,
            Element::Bf16 => Format::Bf16,
            Element::F32 => Format::F32,
            Element::F64 => Format::F64,
            Element::Integer(_) if self.quantisation.is_some() => Format::F32,
            Element::Integer(_) => Format::Integer,
        }
    }

    /// The next numbers, as floats of the given format; integers are converted.
    pub(crate) fn floats<T: Number>(
        &mut self,
        count: usize,
        into: &mut Vec<T>,
    ) -> Result<(), Failure> {
        macro_rules! take {
            ($float:ident, $from:ident) => {
                self.take(count, into, valid, |bytes| T::$from($float::from_le_bytes(bytes)))
            };
        }
        let numbers = match self.header.element {
            Element::F16 => take!(f16, from_f16),
            Element::Bf16 => take!(bf16, from_bf16),
            Element::F32 => take!(f32, from_f32),
            Element::F64 => take!(f64, from_f64),
            Element::Integer(integer) => match self.quantisation {
                Some(quantisation) => self.take_integers(integer, count, into, move |q| {
                    // Of 16 bits at most.
                    T::from_f32(quantisation.dequantise(q as i32))
                }),
                None => self.take_integers(integer, count, into, T::from_integer),
            },
        };
        self.read(numbers)
    }

    /// The next numbers, which must all be whole; `of` names what has one of them.
    pub(crate) fn integers(
        &mut self,
        count: usize,
        of: &str,
        into: &mut Vec<i64>,
    ) -> Result<(), Failure> {
        if let Element::Integer(integer) = self.header.element {
            let numbers = self.take_integers(integer, count, into, |number| number);
            return self.read(numbers);
        }
        let first = self.header.shape.iter().product::<usize>() - self.left;
        let mut floats: Vec<f64> = Vec::new();
        self.floats(count, &mut floats)?;
        into.resize(count, 0);
        xent::labels_from_floats(&floats, into).map_err(|error| match error {
            InputError::Value { element, value, .. } => {
                let element = first + element;
                let reason = format!("{of} {element} has {value}: expected a whole number");
                Failure::file(&self.path, reason)
            }
            other => Failure::file(&self.path, other),
        })
    }

    fn take_integers<T: Copy + Default + Send>(
        &mut self,
        integer: Integer,
        count: usize,
        into: &mut Vec<T>,
        from: impl Fn(i64) -> T + Copy + Send + Sync,
    ) -> io::Result<()> {
        macro_rules! take {
            ($integer:ident) => {
                self.take(count, into, valid, move |bytes| {
                    from($integer::from_le_bytes(bytes).into())
                })
            };
        }
        match integer {
            Integer::Bool => {
                let check =
                    |chunk: &[[u8; 1]]| match chunk.as_flattened().iter().find(|byte| **byte > 1) {
                        Some(byte) => Err(format!("expected a bool, 0 or 1, found {byte}")),
                        None => Ok(()),
                    };
                self.take(count, into, check, move |[byte]| from(byte.into()))
            }
            Integer::U8 => take!(u8),
            Integer::U16 => take!(u16),
            Integer::U32 => take!(u32),
            Integer::U64 => {
                let label = |bytes: [u8; 8]| u64::from_le_bytes(bytes);
                let check = |chunk: &[[u8; 8]]| match chunk
                    .iter()
                    .find(|bytes| i64::try_from(label(**bytes)).is_err())
                {
                    Some(bytes) => Err(format!("label {} is too large", label(*bytes))),
                    None => Ok(()),
                };
                self.take(count, into, check, move |bytes| from(i64::from_le_bytes(bytes)))
            }
            Integer::I4 | Integer::I8 => take!(i8),
            Integer::I16 => take!(i16),
            Integer::I32 => take!(i32),
            Integer::I64 => take!(i64),
        }
    }

    /// The next numbers, each from its bytes in little-endian order, chunk by chunk: each piece of a chunk is checked
    /// and converted by one thread.
    fn take<const N: usize, T: Copy + Default + Send>(
        &mut self,
        count: usize,
        into: &mut Vec<T>,
        check: impl Fn(&[[u8; N]]) -> Result<(), String> + Copy + Send + Sync,
        number: impl Fn([u8; N]) -> T + Copy + Send + Sync,
    ) -> io::Result<()> {
        self.left =
            self.left.checked_sub(count).ok_or(io::Error::from(io::ErrorKind::UnexpectedEof))?;
        into.resize(count, T::default());
        let is_big_endian = self.header.big_endian;
        let convert = move |(bytes, numbers): (&mut [[u8; N]], &mut [T])| {
            // A copy of its own, so that what it needs stays in registers.
            let number = number;
            if is_big_endian {
                bytes.iter_mut().for_each(|bytes| bytes.reverse());
            }
            check(bytes)?;
            for (place, &bytes) in numbers.iter_mut().zip(&*bytes) {
                *place = number(bytes);
            }
            Ok(())
        };
        for numbers in into.chunks_mut(CHUNK) {
            // A single row may have many.
            interrupt::check().map_err(io::Error::other)?;
            self.bytes.resize(numbers.len() * N, 0);
            let bytes = &mut self.bytes[..];
            match (&mut self.turned, &mut self.packed) {
                (Some(turned), _) => turned.read_exact(&mut self.source, bytes)?,
                (None, Some(packed)) => packed.read_exact(&mut self.source, bytes)?,
                (None, None) => self.source.read_exact(bytes)?,
            }
            let (bytes, _) = self.bytes.as_chunks_mut();
            let pieces = bytes.par_chunks_mut(PIECE).zip(numbers.par_chunks_mut(PIECE));
            // The first one, whichever thread is first.
            let wrong = pieces.map(convert).find_map_first(Result::err);
            wrong.map_or(Ok(()), |reason: String| Err(io::Error::other(reason)))?;
        }
        Ok(())
    }
}

/// Any bytes are a number.
fn valid<const N: usize>(_: &[[u8; N]]) -> Result<(), String> {
    Ok(())
}

impl Integer {
    /// The least and the largest.
    fn range(self) -> (i128, i128) {
        match self {
            Self::Bool => (0, 1),
            Self::U8 => (0, u8::MAX.into()),
            Self::U16 => (0, u16::MAX.into()),
            Self::U32 => (0, u32::MAX.into()),
            Self::U64 => (0, u64::MAX.into()),
            Self::I4 => (-8, 7),
            Self::I8 => (i8::MIN.into(), i8::MAX.into()),
            Self::I16 => (i16::MIN.into(), i16::MAX.into()),
            Self::I32 => (i32::MIN.into(), i32::MAX.into()),
            Self::I64 => (i64::MIN.into(), i64::MAX.into()),
        }
    }

    fn is_signed(self) -> bool {
        self.range().0 < 0
    }

    /// The smallest and the largest one of a type that quantised models give out.
    fn quantised_range(self) -> Option<(i32, i32)> {
        if self == Self::Bool {
            return None;
        }
        let (low, high) = self.range();
        let is_narrow = high - low <= u16::MAX.into();
        is_narrow.then_some((i32::try_from(low).ok()?, i32::try_from(high).ok()?))
    }
}

impl Element {
    /// By its name, as in `i8`.
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "f16" => Self::F16,
            "bf16" => Self::Bf16,
            "f32" => Self::F32,
            "f64" => Self::F64,
            "bool" => Self::Integer(Integer::Bool),
            "u8" => Self::Integer(Integer::U8),
            "u16" => Self::Integer(Integer::U16),
            "u32" => Self::Integer(Integer::U32),
            "u64" => Self::Integer(Integer::U64),
            "i4" => Self::Integer(Integer::I4),
            "i8" => Self::Integer(Integer::I8),
            "i16" => Self::Integer(Integer::I16),
            "i32" => Self::Integer(Integer::I32),
            "i64" => Self::Integer(Integer::I64),
            _ => return None,
        })
    }

    /// Bytes of a number, once it is read.
    fn size(self) -> usize {
        match self {
            Self::Integer(Integer::Bool | Integer::U8 | Integer::I4 | Integer::I8) => 1,
            Self::F16 | Self::Bf16 | Self::Integer(Integer::U16 | Integer::I16) => 2,
            Self::F32 | Self::Integer(Integer::U32 | Integer::I32) => 4,
            Self::F64 | Self::Integer(Integer::U64 | Integer::I64) => 8,
        }
    }
}

/// Opens what is to be read: a file, or a copy of what comes from a pipe.
fn source(place: Place<'_>) -> io::Result<Window> {
    if place.is_standard_input() {
        let input = io::stdin();
        if input.is_terminal() {
            return Err(io::Error::other("it is a terminal: expected a file or a pipe"));
        }
        return Window::copy(input.lock());
    }
    let there = place.file.metadata()?;
    if is_pipe(&there) {
        Window::copy(File::open(place.file)?)
    } else if there.is_file() {
        let file = File::open(place.file)?;
        let length = file.metadata()?.len();
        Window::new(file, 0, length)
    } else {
        Err(io::Error::other("expected a file, found a folder or a device"))
    }
}

#[cfg(unix)]
fn is_pipe(there: &Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_fifo(&there.file_type())
}

#[cfg(not(unix))]
fn is_pipe(_: &Metadata) -> bool {
    false
}

/// The count of numbers. Even if it is zero, the other axes must not be too long.
fn elements(shape: &[usize]) -> Result<usize, String> {
    shape
        .iter()
        .filter(|length| **length != 0)
        .try_fold(1_usize, |product, &length| product.checked_mul(length))
        .map(|product| if shape.contains(&0) { 0 } else { product })
        .ok_or_else(|| format!("a shape too large for this machine: {shape:?}"))
}

/// All numbers of a small array, which must have that count, or a single one if it may stand for all.
pub(crate) fn read_all<T: Number>(
    array: &mut Array,
    of: &str,
    count: usize,
    one_for_all: bool,
) -> Result<Vec<T>, Failure> {
    let found: usize = array.shape().iter().product();
    if found != count && !(found == 1 && one_for_all) {
        let reason = format!("expected {count} {of}, found {found} (shape {:?})", array.shape());
        return Err(Failure::file(array.path(), reason));
    }
    let mut all = Vec::new();
    array.rewind()?;
    array.floats(found, &mut all)?;
    Ok(all)
}

/// The most names that are listed if none was chosen.
const NAMED: usize = 10;
/// The most characters shown of a name.
const SHOWN: usize = 80;

/// Some of the names, quoted, as they may contain anything.
fn list(mut names: Vec<String>) -> String {
    names.sort();
    let listed = names.iter().take(NAMED).map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => "there are none".into(),
        count if count > NAMED => format!("there are {listed} and {} more", count - NAMED),
        1 => format!("there is {listed}"),
        _ => format!("there are {listed}"),
    }
}

/// A name, of which only the beginning is shown if it is long.
fn quoted(name: &str) -> String {
    match name.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}...", &name[..end]),
        None => format!("{name:?}"),
    }
}
