//! Arrays that are written part by part, and are there only when they are whole.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use npyz::{DType, NpyWriter, TypeStr, WriterBuilder};
use tempfile::TempPath;

use crate::failure::Failure;
use crate::number::Number;

/// A `.npy` file that does not have its name yet; dropped before it is finished, it is gone.
pub(crate) struct Output<T: Number> {
    path: PathBuf,
    /// Numbers that are computed here before they are written.
    part: Vec<T>,
    writer: NpyWriter<T::Stored, BufWriter<File>>,
    temporary: TempPath,
}

impl<T: Number> Output<T> {
    /// Begins a file of that shape beside where it will be.
    pub(crate) fn create(path: &Path, shape: &[usize]) -> Result<Self, Failure> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let (file, temporary) = temporary_file(folder).map_err(Failure::io(path))?.into_parts();
        let shape: Vec<u64> = shape.iter().map(|&length| length as u64).collect();
        let descr: TypeStr = T::DESCR.parse().map_err(|error| Failure::file(path, error))?;
        let writer = npyz::WriteOptions::new()
            .dtype(DType::Plain(descr))
            .shape(&shape)
            .writer(BufWriter::with_capacity(1 << 20, file))
            .begin_nd()
            .map_err(Failure::io(path))?;
        Ok(Self { path: path.to_owned(), part: Vec::new(), writer, temporary })
    }

    /// The place of the next numbers, to be filled and then [written](Self::write).
    pub(crate) fn part(&mut self, count: usize) -> &mut [T] {
        self.part.resize(count, T::default());
        &mut self.part
    }

    /// Writes the part.
    pub(crate) fn write(&mut self) -> Result<(), Failure> {
        self.writer
            .extend(self.part.iter().map(|number| number.stored()))
            .map_err(Failure::io(&self.path))
    }

    /// Gives the file its name.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        self.writer.finish().map_err(Failure::io(&self.path))?;
        self.temporary.persist(&self.path).map_err(|error| Failure::io(&self.path)(error.error))
    }
}

/// A file that others may read as far as they may read what is made here.
fn temporary_file(folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.prefix(".xent-").tempfile_in(folder)
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};

    use super::*;

    /// The header without its padding, and the numbers.
    fn written<T: Number>(numbers: &[T]) -> (String, Vec<u8>) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("o.npy");
        let written = || -> Result<(), Failure> {
            let mut output = Output::create(&path, &[1, numbers.len()])?;
            output.part(numbers.len()).copy_from_slice(numbers);
            output.write()?;
            assert!(!path.exists(), "half of a file");
            output.finish()
        };
        written().expect("a file");
        let mut file = std::fs::read(&path).expect("a file");
        let data = file.split_off(file.iter().position(|&byte| byte == b'\n').expect("a line") + 1);
        (String::from_utf8_lossy(&file[10..]).trim_end().to_owned(), data)
    }

    #[test]
    fn every_float_is_written_as_numpy_reads_it() {
        let numbers = [1.5, -2.0];
        let halves = numbers.map(f16::from_f32);
        let brains = numbers.map(bf16::from_f32);
        for ((header, data), descr, expected) in [
            (written(&numbers), "<f4", &[0, 0, 0xc0, 0x3f, 0, 0, 0, 0xc0][..]),
            (
                written(&numbers.map(f64::from)),
                "<f8",
                &[0, 0, 0, 0, 0, 0, 0xf8, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0xc0],
            ),
            (written(&halves), "<f2", &[0, 0x3e, 0, 0xc0]),
            (written(&brains), "<V2", &[0xc0, 0x3f, 0, 0xc0]),
        ] {
            let shape = "'fortran_order': False, 'shape': (1, 2, )";
            assert_eq!(header, format!("{{'descr': '{descr}', {shape}, }}"));
            assert_eq!(data, expected, "{descr}");
        }
    }
}
