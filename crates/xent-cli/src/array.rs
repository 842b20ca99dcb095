//! Arrays in `.npy` files, read part by part.

use std::fs::File;
use std::io::{self, BufReader, Seek};
use std::path::{Path, PathBuf};

use npyz::{NpyFile, NpyHeader, NpyReader, Order};

use crate::failure::Failure;

type Source = BufReader<File>;

/// What the numbers of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Float,
    Integer,
}

/// An array whose header has been read.
pub(crate) struct Array {
    path: PathBuf,
    shape: Vec<usize>,
    numbers: Numbers,
}

enum Numbers {
    Floats(Box<dyn Iterator<Item = io::Result<f32>>>),
    Integers(Box<dyn Iterator<Item = io::Result<i64>>>),
}

impl Array {
    /// Reads the header, and checks that the file has as much data as it says.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let fail = |reason: String| Failure::file(path, reason);
        let file = File::open(path).map_err(Failure::io(path))?;
        let length = file.metadata().map_err(Failure::io(path))?.len();
        let mut source = BufReader::with_capacity(1 << 20, file);
        let header = NpyHeader::from_reader(&mut source)
            .map_err(|error| fail(format!("not a .npy file: {error}")))?;
        let begin = source.stream_position().map_err(Failure::io(path))?;
        if header.order() != Order::C && header.shape().len() > 1 {
            return Err(fail("Fortran order: save a copy in C order".into()));
        }
        let shape: Vec<usize> = header
            .shape()
            .iter()
            .map(|&length| usize::try_from(length).ok())
            .collect::<Option<_>>()
            .ok_or_else(|| fail("a shape too large for this machine".into()))?;
        let elements = shape
            .iter()
            .try_fold(1_usize, |product, &length| product.checked_mul(length))
            .ok_or_else(|| fail(format!("a shape too large for this machine: {shape:?}")))?;
        let size = header.dtype().num_bytes().unwrap_or(0);
        let expected = (elements as u64).checked_mul(size as u64);
        let found = length - begin.min(length);
        if size != 0 && expected != Some(found) {
            return Err(fail(format!(
                "expected {} bytes of data for shape {shape:?}, found {found}",
                expected.map_or("too many".into(), |bytes| bytes.to_string()),
            )));
        }
        let numbers = Numbers::of(NpyFile::with_header(header, source)).map_err(fail)?;
        Ok(Self { path: path.to_owned(), shape, numbers })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub(crate) fn kind(&self) -> Kind {
        match self.numbers {
            Numbers::Floats(_) => Kind::Float,
            Numbers::Integers(_) => Kind::Integer,
        }
    }

    /// The next numbers, as floats; integers are converted.
    pub(crate) fn floats(&mut self, count: usize, into: &mut Vec<f32>) -> Result<(), Failure> {
        into.clear();
        let path = &self.path;
        match &mut self.numbers {
            Numbers::Floats(numbers) => take(numbers, count, into),
            Numbers::Integers(numbers) => {
                let numbers = numbers.map(|number| number.map(|number| number as f32));
                take(numbers, count, into)
            }
        }
        .map_err(Failure::io(path))
    }

    /// The next numbers of an array of integers.
    pub(crate) fn integers(&mut self, count: usize, into: &mut Vec<i64>) -> Result<(), Failure> {
        into.clear();
        match &mut self.numbers {
            Numbers::Integers(numbers) => {
                take(numbers, count, into).map_err(Failure::io(&self.path))
            }
            Numbers::Floats(_) => Err(Failure::file(&self.path, "expected integers, found floats")),
        }
    }
}

/// All numbers of a small array that must have so many.
pub(crate) fn read_all(path: &Path, of: &str, count: usize) -> Result<Vec<f32>, Failure> {
    let mut array = Array::open(path)?;
    let found: usize = array.shape.iter().product();
    if found != count {
        let reason = format!("expected {count} {of}, found {found} (shape {:?})", array.shape);
        return Err(Failure::file(path, reason));
    }
    let mut all = Vec::new();
    array.floats(count, &mut all)?;
    Ok(all)
}

fn take<T>(
    numbers: impl Iterator<Item = io::Result<T>>,
    count: usize,
    into: &mut Vec<T>,
) -> io::Result<()> {
    into.reserve(count);
    for number in numbers.take(count) {
        into.push(number?);
    }
    if into.len() == count { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

impl Numbers {
    fn of(file: NpyFile<Source>) -> Result<Self, String> {
        let file = match file.try_data::<f32>() {
            Ok(numbers) => return Ok(Self::Floats(Box::new(numbers))),
            Err(file) => file,
        };
        let file = match file.try_data::<f64>() {
            Ok(numbers) => {
                let numbers = numbers.map(|number| number.map(|number| number as f32));
                return Ok(Self::Floats(Box::new(numbers)));
            }
            Err(file) => file,
        };
        let file = match file.try_data::<bool>() {
            Ok(numbers) => {
                let numbers = numbers.map(|number| number.map(i64::from));
                return Ok(Self::Integers(Box::new(numbers)));
            }
            Err(file) => file,
        };
        macro_rules! try_integers {
            ($file:ident as $($integer:ty),*) => {{
                $(
                    let $file = match $file.try_data::<$integer>() {
                        Ok(numbers) => return Ok(Self::Integers(integers(numbers))),
                        Err(file) => file,
                    };
                )*
                $file
            }};
        }
        let file = try_integers!(file as u8, u16, u32, u64, i8, i16, i32, i64);
        let descr = file.dtype().descr();
        Err(format!(
            "numbers of type {descr}: expected f32, f64, bool, or integers of 8 to 64 bits"
        ))
    }
}

fn integers<T>(numbers: NpyReader<T, Source>) -> Box<dyn Iterator<Item = io::Result<i64>>>
where
    T: npyz::Deserialize + TryInto<i64> + Copy + std::fmt::Display + 'static,
{
    Box::new(numbers.map(|number| {
        let number = number?;
        number.try_into().map_err(|_| io::Error::other(format!("{number} is too large a label")))
    }))
}
