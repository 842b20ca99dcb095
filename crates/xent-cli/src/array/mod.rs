//! Arrays in `.npy` and `.safetensors` files, read part by part.

mod npy;
mod tensors;

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use half::{bf16, f16};

use crate::failure::Failure;
use crate::interrupt;
use crate::number::{Format, Number};

/// Numbers that are turned around and converted at a time.
const CHUNK: usize = 1 << 12;

/// An array whose header has been read.
pub(crate) struct Array {
    path: PathBuf,
    header: Header,
    /// Numbers that are not read yet.
    left: usize,
    source: BufReader<File>,
    /// Where the first number is.
    begin: u64,
    /// As it was before the header was read.
    state: State,
}

/// What tells that a file has been written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    length: u64,
    /// Not every system has it.
    modified: Option<SystemTime>,
}

impl State {
    fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self { length: metadata.len(), modified: metadata.modified().ok() })
    }
}

/// What a file says of its numbers, of which there are as many as the shape has.
struct Header {
    shape: Vec<usize>,
    element: Element,
    big_endian: bool,
}

/// One number in a file.
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
    I8,
    I16,
    I32,
    I64,
}

/// What a file whose numbers are something else is told.
const READABLE: &str = "expected f64, f32, f16, bf16, bool, or integers of 8 to 64 bits";

/// Where an array is.
#[derive(Clone, Copy)]
struct Place<'a> {
    file: &'a Path,
    /// Which of the arrays of a `.safetensors` file.
    tensor: Option<&'a str>,
}

impl<'a> Place<'a> {
    /// Takes `file.safetensors:name` apart, unless a file has all of it as its name.
    fn of(path: &'a Path) -> Self {
        const EXTENSION: &str = ".safetensors";
        let whole = Self { file: path, tensor: None };
        let Some(text) = path.to_str().filter(|_| !path.exists()) else { return whole };
        let places = || {
            text.match_indices(':').filter_map(|(colon, _)| {
                let (file, tensor) = (&text[..colon], &text[colon + 1..]);
                let place = Self { file: Path::new(file), tensor: Some(tensor) };
                file.ends_with(EXTENSION).then_some(place)
            })
        };
        // Folders and names may have colons, too: a file that is there is what was meant.
        let there = places().rev().find(|place| place.file.is_file());
        there.or(places().next()).unwrap_or(whole)
    }

    fn has_tensors(self) -> bool {
        self.tensor.is_some() || self.file.extension().is_some_and(|name| name == "safetensors")
    }
}

/// The file that an array is in.
pub(crate) fn file_of(path: &Path) -> &Path {
    Place::of(path).file
}

/// Whether what is written there could not be read as the `.npy` file that it is.
pub(crate) fn is_of_tensors(path: &Path) -> bool {
    Place::of(path).has_tensors()
}

impl Array {
    /// Reads the header, and checks that the file has as much data as it says.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let place = Place::of(path);
        // A pipe has no length to hold the header to, and would be waited for here.
        if !place.file.metadata().map_err(Failure::io(path))?.is_file() {
            return Err(Failure::file(path, "expected a file, found a folder or a device"));
        }
        let file = File::open(place.file).map_err(Failure::io(path))?;
        let state = State::of(&file).map_err(Failure::io(path))?;
        let length = state.length;
        let mut source = BufReader::with_capacity(1 << 20, file);
        let header = if place.has_tensors() {
            tensors::header(&mut source, length, place)
        } else {
            npy::header(&mut source, length)
        }
        .map_err(|reason| Failure::file(path, reason))?;
        let left = elements(&header.shape).map_err(|reason| Failure::file(path, reason))?;
        let begin = source.stream_position().map_err(Failure::io(path))?;
        Ok(Self { path: path.to_owned(), header, left, source, begin, state })
    }

    /// Goes back to the first number.
    pub(crate) fn rewind(&mut self) -> Result<(), Failure> {
        self.left = self.header.shape.iter().product();
        self.source.seek(SeekFrom::Start(self.begin)).map_err(Failure::io(&self.path))?;
        Ok(())
    }

    /// Numbers that were read, unless the file is not the one any more whose header was read.
    fn read(&self, numbers: io::Result<()>) -> Result<(), Failure> {
        interrupt::check()?;
        if numbers.is_err() || self.left == 0 {
            let state = State::of(self.source.get_ref()).map_err(Failure::io(&self.path))?;
            if state != self.state {
                return Err(Failure::file(&self.path, "the file changed while it was read"));
            }
        }
        numbers.map_err(Failure::io(&self.path))
    }

    /// As it was asked for: of a `.safetensors` file with the name of the tensor.
    pub(crate) fn path(&self) -> &Path {
        &self.path
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
            Element::Integer(_) => Format::Integer,
        }
    }

    /// The next numbers, as floats of whichever format; integers are converted.
    pub(crate) fn floats<T: Number>(
        &mut self,
        count: usize,
        into: &mut Vec<T>,
    ) -> Result<(), Failure> {
        macro_rules! take {
            ($float:ident, $from:ident) => {
                self.take(count, into, |bytes| Ok(T::$from($float::from_le_bytes(bytes))))
            };
        }
        let numbers = match self.header.element {
            Element::F16 => take!(f16, from_f16),
            Element::Bf16 => take!(bf16, from_bf16),
            Element::F32 => take!(f32, from_f32),
            Element::F64 => take!(f64, from_f64),
            Element::Integer(integer) => self.take_integers(integer, count, into, T::from_integer),
        };
        self.read(numbers)
    }

    /// The next numbers of an array of integers.
    pub(crate) fn integers(&mut self, count: usize, into: &mut Vec<i64>) -> Result<(), Failure> {
        let Element::Integer(integer) = self.header.element else {
            return Err(Failure::file(&self.path, "expected integers, found floats"));
        };
        let numbers = self.take_integers(integer, count, into, |number| number);
        self.read(numbers)
    }

    fn take_integers<T>(
        &mut self,
        integer: Integer,
        count: usize,
        into: &mut Vec<T>,
        from: impl Fn(i64) -> T,
    ) -> io::Result<()> {
        macro_rules! take {
            ($integer:ident) => {
                self.take(count, into, |bytes| {
                    let number = $integer::from_le_bytes(bytes);
                    let label = i64::try_from(number)
                        .map_err(|_| io::Error::other(format!("{number} is too large a label")))?;
                    Ok(from(label))
                })
            };
        }
        match integer {
            Integer::Bool => self.take(count, into, |[byte]| match byte {
                0 | 1 => Ok(from(byte.into())),
                _ => Err(io::Error::other(format!("{byte} is no bool"))),
            }),
            Integer::U8 => take!(u8),
            Integer::U16 => take!(u16),
            Integer::U32 => take!(u32),
            Integer::U64 => take!(u64),
            Integer::I8 => take!(i8),
            Integer::I16 => take!(i16),
            Integer::I32 => take!(i32),
            Integer::I64 => take!(i64),
        }
    }

    /// The next numbers, each made of its bytes from the least significant on.
    fn take<const N: usize, T>(
        &mut self,
        count: usize,
        into: &mut Vec<T>,
        number: impl Fn([u8; N]) -> io::Result<T>,
    ) -> io::Result<()> {
        into.clear();
        self.left =
            self.left.checked_sub(count).ok_or(io::Error::from(io::ErrorKind::UnexpectedEof))?;
        into.reserve(count);
        let mut chunk = [[0; N]; CHUNK];
        while into.len() < count {
            // Of one row there may be many.
            interrupt::check().map_err(io::Error::other)?;
            let chunk = &mut chunk[..CHUNK.min(count - into.len())];
            self.source.read_exact(chunk.as_flattened_mut())?;
            if self.header.big_endian {
                chunk.iter_mut().for_each(|bytes| bytes.reverse());
            }
            for &bytes in &*chunk {
                into.push(number(bytes)?);
            }
        }
        Ok(())
    }
}

/// How many numbers there are; not even where there are none may the other axes be too long.
fn elements(shape: &[usize]) -> Result<usize, String> {
    shape
        .iter()
        .filter(|length| **length != 0)
        .try_fold(1_usize, |product, &length| product.checked_mul(length))
        .map(|product| if shape.contains(&0) { 0 } else { product })
        .ok_or_else(|| format!("a shape too large for this machine: {shape:?}"))
}

/// All numbers of a small array that must have so many.
pub(crate) fn read_all<T: Number>(path: &Path, of: &str, count: usize) -> Result<Vec<T>, Failure> {
    let mut array = Array::open(path)?;
    let found: usize = array.shape().iter().product();
    if found != count {
        let reason = format!("expected {count} {of}, found {found} (shape {:?})", array.shape());
        return Err(Failure::file(path, reason));
    }
    let mut all = Vec::new();
    array.floats(count, &mut all)?;
    Ok(all)
}
