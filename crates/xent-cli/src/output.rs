//! Files that appear only when all of them are complete: arrays, which are written in parts, and texts.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use npyz::{DType, NpyWriter, Order, TypeStr, WriterBuilder};
use tempfile::TempPath;

use crate::failure::Failure;
use crate::interrupt;
use crate::number::Number;

/// A `.npy` file that does not have its name yet; it is deleted if it is dropped before it is finished.
pub(crate) struct Output<T: Number> {
    path: PathBuf,
    /// Numbers that are collected here before they are written.
    part: Vec<T>,
    writer: NpyWriter<T::Stored, BufWriter<File>>,
    /// The writer's own buffer.
    file: File,
    temporary: TempPath,
}

/// A complete file that does not have its name yet; it is deleted if it is dropped.
pub(crate) struct Finished {
    path: PathBuf,
    temporary: TempPath,
}

impl<T: Number> Output<T> {
    /// Starts a file of that shape in the folder where it will be. If it is column-major, the numbers are written
    /// in that order, too.
    pub(crate) fn create(
        path: &Path,
        shape: &[usize],
        column_major: bool,
    ) -> Result<Self, Failure> {
        let folder = folder_of(path);
        let (file, temporary) = temporary_file(folder).map_err(Failure::io(path))?.into_parts();
        let behind = file.try_clone().map_err(Failure::io(path))?;
        let shape: Vec<u64> = shape.iter().map(|&length| length as u64).collect();
        let descr: TypeStr = T::DESCR.parse().map_err(|error| Failure::file(path, error))?;
        let writer = npyz::WriteOptions::new()
            .dtype(DType::Plain(descr))
            .shape(&shape)
            .order(if column_major { Order::Fortran } else { Order::C })
            .writer(BufWriter::with_capacity(1 << 20, behind))
            .begin_nd()
            .map_err(Failure::io(path))?;
        Ok(Self { path: path.to_owned(), part: Vec::new(), writer, file, temporary })
    }

    /// Space for the next numbers, to be filled and then [written](Self::write).
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

    /// Syncs the file to the disk: a full disk might not be noticed earlier.
    pub(crate) fn finish(self) -> Result<Finished, Failure> {
        self.writer.finish().map_err(Failure::io(&self.path))?;
        self.file.sync_all().map_err(Failure::io(&self.path))?;
        Ok(Finished { path: self.path, temporary: self.temporary })
    }
}

impl Finished {
    /// A file of that text.
    pub(crate) fn text(path: &Path, text: &str) -> Result<Self, Failure> {
        let mut file = temporary_file(folder_of(path)).map_err(Failure::io(path))?;
        file.write_all(text.as_bytes()).map_err(Failure::io(path))?;
        file.as_file().sync_all().map_err(Failure::io(path))?;
        Ok(Self { path: path.to_owned(), temporary: file.into_temp_path() })
    }
}

/// Gives all files their names, or none, as far as errors can be known in advance.
pub(crate) fn name_all(finished: Vec<Finished>) -> Result<(), Failure> {
    for output in &finished {
        check_place(&output.path)?;
    }
    interrupt::check()?;
    let mut named: Vec<String> = Vec::new();
    for Finished { path, temporary } in finished {
        temporary.persist(&path).map_err(|error| match &named[..] {
            [] => Failure::io(&path)(error.error),
            _ => {
                let reason = format!("{}; already written: {}", error.error, named.join(", "));
                Failure::file(&path, reason)
            }
        })?;
        named.push(path.display().to_string());
    }
    Ok(())
}

/// Rejects paths that cannot or should not become a file. An existing file is replaced.
pub(crate) fn check_place(path: &Path) -> Result<(), Failure> {
    let folder = folder_of(path);
    if !folder.is_dir() {
        return Err(Failure::file(path, format!("there is no folder {}", folder.display())));
    }
    let is_folder = path.as_os_str().to_string_lossy().ends_with(std::path::is_separator);
    if is_folder || path.metadata().is_ok_and(|there| !there.is_file()) {
        return Err(Failure::file(path, "expected a file, found a folder or a device"));
    }
    Ok(())
}

/// The place of a file of that path, existing or not.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Creates a file with the permissions that other new files get here.
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
            let mut output = Output::create(&path, &[1, numbers.len()], false)?;
            output.part(numbers.len()).copy_from_slice(numbers);
            output.write()?;
            assert!(!path.exists(), "half of a file");
            name_all(vec![output.finish()?])
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
