//! Arrays that are written part by part, and are there only when they are whole.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use npyz::{AutoSerialize, NpyWriter, WriterBuilder};
use tempfile::TempPath;

use crate::failure::Failure;

/// A `.npy` file that does not have its name yet; dropped before it is finished, it is gone.
pub(crate) struct Output<T: AutoSerialize> {
    path: PathBuf,
    writer: NpyWriter<T, BufWriter<File>>,
    temporary: TempPath,
}

impl<T: AutoSerialize + Copy> Output<T> {
    /// Begins a file of that shape beside where it will be.
    pub(crate) fn create(path: &Path, shape: &[usize]) -> Result<Self, Failure> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let (file, temporary) = temporary_file(folder).map_err(Failure::io(path))?.into_parts();
        let shape: Vec<u64> = shape.iter().map(|&length| length as u64).collect();
        let writer = npyz::WriteOptions::new()
            .default_dtype()
            .shape(&shape)
            .writer(BufWriter::with_capacity(1 << 20, file))
            .begin_nd()
            .map_err(Failure::io(path))?;
        Ok(Self { path: path.to_owned(), writer, temporary })
    }

    pub(crate) fn write(&mut self, numbers: &[T]) -> Result<(), Failure> {
        self.writer.extend(numbers.iter().copied()).map_err(Failure::io(&self.path))
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
