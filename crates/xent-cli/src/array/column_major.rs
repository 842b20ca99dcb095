//! Column-major arrays, transposed while they are read.
//!
//! In such a file the first axis varies fastest: for each place on the other axes there is a run of `first`
//! numbers. A slab of the array is a range of indices of the first axis, with everything on the others; it consists
//! of a piece of each run. Its numbers are put into row-major order, which proceeds slab by slab.

use std::io::{self, Read, Seek, SeekFrom};

use super::window::Window;
use crate::interrupt;

/// Bytes of a slab, if its runs are long enough;
const SLAB: usize = 1 << 24;
/// the shortest run, in numbers, that is worth a read of its own;
const RUN: usize = 1 << 8;
/// and the bytes of a slab that is enlarged for such runs.
const LONGEST_SLAB: usize = 1 << 28;

/// Reads the bytes of a column-major array in row-major order.
pub(super) struct ColumnMajor {
    /// The place of the first number in the file.
    begin: u64,
    /// Bytes of a number.
    size: usize,
    shape: Vec<usize>,
    /// How many indices of the first axis have been read.
    done: usize,
    slab: Vec<u8>,
    /// Bytes of the slab that have been handed out.
    given: usize,
    run: Vec<u8>,
}

impl ColumnMajor {
    /// For an array of at least two axes, none of them empty.
    pub(super) fn new(begin: u64, size: usize, shape: &[usize]) -> Self {
        let (shape, slab, run) = (shape.to_vec(), Vec::new(), Vec::new());
        Self { begin, size, shape, done: 0, slab, given: 0, run }
    }

    /// Goes back to the first number.
    pub(super) fn rewind(&mut self) {
        self.done = 0;
        self.slab.clear();
        self.given = 0;
    }

    /// The next bytes.
    pub(super) fn read_exact(&mut self, source: &mut Window, into: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while filled < into.len() {
            if self.given == self.slab.len() {
                self.next(source)?;
            }
            let count = (into.len() - filled).min(self.slab.len() - self.given);
            into[filled..filled + count]
                .copy_from_slice(&self.slab[self.given..self.given + count]);
            filled += count;
            self.given += count;
        }
        Ok(())
    }

    /// Reads the next slab.
    fn next(&mut self, source: &mut Window) -> io::Result<()> {
        let Self { begin, size, ref shape, done, .. } = *self;
        let Some((&first, others)) = shape.split_first().filter(|(first, _)| done < **first) else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        let runs: usize = others.iter().product();
        let wide = (runs * size).max(1);
        let least = RUN.min(LONGEST_SLAB / wide);
        let count = (SLAB / wide).max(least).clamp(1, first).min(first - done);
        self.slab.resize(count * wide, 0);
        self.run.resize(count * size, 0);
        // The distance, in row-major order, from an index of each other axis to the next.
        let mut steps = vec![1; others.len()];
        for axis in (1..others.len()).rev() {
            steps[axis - 1] = steps[axis] * others[axis];
        }
        let mut index = vec![0; others.len()];
        let whole = count == first;
        if whole {
            source.seek(SeekFrom::Start(begin))?;
        }
        let mut place = 0;
        for run in 0..runs {
            if run % 1024 == 0 {
                interrupt::check().map_err(io::Error::other)?;
            }
            if whole {
                source.read_exact(&mut self.run)?;
            } else {
                let number = run as u64 * first as u64 + done as u64;
                source.read_at(begin + number * size as u64, &mut self.run)?;
            }
            let places = self.slab[place * size..].chunks_mut(wide);
            for (to, from) in places.zip(self.run.chunks_exact(size)) {
                to[..size].copy_from_slice(from);
            }
            // The next run belongs to the next index of the fastest of the other axes, the first.
            for (axis, step) in steps.iter().enumerate() {
                index[axis] += 1;
                place += step;
                if index[axis] < others[axis] {
                    break;
                }
                place -= step * index[axis];
                index[axis] = 0;
            }
        }
        self.done += count;
        self.given = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A column-major file of the array of that shape whose numbers are their places in row-major order.
    fn file(shape: &[usize], size: usize) -> Vec<u8> {
        let count: usize = shape.iter().product();
        let mut bytes = Vec::new();
        for place in 0..count {
            let (mut left, mut number) = (place, 0);
            let mut index = Vec::new();
            for &length in shape {
                index.push(left % length);
                left /= length;
            }
            for (&length, index) in shape.iter().zip(index) {
                number = number * length + index;
            }
            bytes.extend(&(number as u64).to_le_bytes()[..size]);
        }
        bytes
    }

    #[test]
    fn numbers_come_in_row_major_order() {
        for (shape, size) in [
            (&[2, 3][..], 1),
            (&[3, 2, 4], 2),
            (&[1, 5, 1, 3], 8),
            (&[7, 1, 2, 3], 4),
            // Longer than a slab.
            (&[700, 8192], 4),
            (&[600, 2, 4096, 2], 4),
        ] {
            let bytes = file(shape, size);
            let mut source = tempfile::tempfile().expect("a file");
            source.write_all(b"head").expect("a file");
            source.write_all(&bytes).expect("a file");
            let mut source = Window::new(source, 0, 4 + bytes.len() as u64).expect("a file");
            let mut array = ColumnMajor::new(4, size, shape);
            for _ in 0..2 {
                let mut turned = vec![0; bytes.len()];
                for part in turned.chunks_mut(size * 1001) {
                    array.read_exact(&mut source, part).expect("as many");
                }
                for (place, number) in turned.chunks_exact(size).enumerate() {
                    assert_eq!(number, &(place as u64).to_le_bytes()[..size], "{shape:?}");
                }
                assert!(array.read_exact(&mut source, &mut [0]).is_err());
                array.rewind();
            }
        }
    }
}
