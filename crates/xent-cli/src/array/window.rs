//! The part of a file that holds an array, and copies of data that cannot be read twice.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};

use crate::interrupt;

/// Bytes read at a time, unless more are asked for: those come without a copy.
const BUFFER: usize = 1 << 16;

/// A range of bytes of a file, accessed like a file of its own.
pub(super) struct Window {
    file: BufReader<File>,
    begin: u64,
    length: u64,
    /// Counted from the start of the window.
    at: u64,
}

impl Window {
    pub(super) fn new(file: File, begin: u64, length: u64) -> io::Result<Self> {
        let mut file = BufReader::with_capacity(BUFFER, file);
        file.seek(SeekFrom::Start(begin))?;
        Ok(Self { file, begin, length, at: 0 })
    }

    /// Copies everything to a file without a name: a pipe cannot be read twice, and compressed data
    /// cannot be read from the middle.
    pub(super) fn copy(mut from: impl Read) -> io::Result<Self> {
        let mut file = tempfile::tempfile().map_err(of_copy)?;
        let length = copy(&mut from, &mut file)?;
        Self::new(file, 0, length)
    }

    /// The number of bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn file(&self) -> &File {
        self.file.get_ref()
    }

    pub(super) fn into_file(self) -> File {
        self.file.into_inner()
    }

    /// Reads at a position without a buffer, for single short reads.
    pub(super) fn read_at(&mut self, place: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.seek(SeekFrom::Start(place))?;
        let end = place.checked_add(bytes.len() as u64);
        if end.is_none_or(|end| end > self.length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.file.get_mut().read_exact(bytes)
    }
}

impl Read for Window {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = self.length.saturating_sub(self.at);
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let count = self.file.read(&mut bytes[..most])?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Window {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
        };
        let place = place.ok_or(io::ErrorKind::InvalidInput)?;
        let absolute = self.begin.checked_add(place).ok_or(io::ErrorKind::InvalidInput)?;
        self.file.seek(SeekFrom::Start(absolute))?;
        self.at = place;
        Ok(place)
    }
}

/// Copies everything, unless the program is to stop; returns the number of bytes.
pub(super) fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<u64> {
    let mut buffer = vec![0; BUFFER];
    let mut length = 0;
    loop {
        interrupt::check().map_err(io::Error::other)?;
        match from.read(&mut buffer) {
            Ok(0) => return Ok(length),
            Ok(count) => {
                to.write_all(&buffer[..count]).map_err(of_copy)?;
                length += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// An error of the copy, not of the file that was read.
pub(super) fn of_copy(error: io::Error) -> io::Error {
    let folder = std::env::temp_dir();
    io::Error::other(format!("its copy in {}: {error}", folder.display()))
}
