//! The sums of the rows of a shard, as bytes that can be sent to another process.
//!
//! A header of 24 bytes, and for each row:
//!
//! ```text
//! flags        1   logits of +inf (0, 1, or 2 for more), and 4 if there is a NaN
//! label        F   the label's logit, without smoothing; zero if it is not in this shard
//! largest  F + 4   under a soft cap: the largest logit before the cap, and its class
//! for each run of tiles:
//!   max        F   the largest logit, under the cap
//!   class      4   its class; in the first run of a row with flags, that of the first NaN, or of the first +inf
//!   others     8   Σ e^(x - max) over the classes that are not the pivot
//!   weights   24   with smoothing: the pivot's weight, Σ q and Σ q (max - x) over the others
//! ```
//!
//! F is a number of the format of the computation; all numbers are little-endian.

use super::part_sums::{PartSums, is_cut};
use crate::error::Error;
use crate::kernel::row_sums::{Pivot, RowSums};
use crate::kernel::sum::TILE;
use crate::kernel::tile_tree::heights;

/// Of the sums of a shard, before those of its rows.
pub(super) const HEADER: usize = 24;

/// Changes with the layout.
const VERSION: u8 = 1;

const INFINITE: u8 = 3;
const NAN: u8 = 4;

/// What rows have, which is the same for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Whether every class has a weight.
    pub(super) soft: bool,
    /// Whether numbers have 64 bits.
    pub(super) wide: bool,
    pub(super) capped: bool,
    /// Whether all parts have been merged.
    pub(super) total: bool,
}

impl Layout {
    fn float(self) -> usize {
        if self.wide { 8 } else { 4 }
    }

    /// The bytes of a row with that many runs.
    pub(super) fn row(self, runs: usize) -> usize {
        let of_run = self.float() + 4 + 8 + if self.soft { 24 } else { 0 };
        let of_label = if self.soft { 0 } else { self.float() };
        let of_largest = if self.capped { self.float() + 4 } else { 0 };
        if runs == 0 { 0 } else { 1 + of_label + of_largest + runs * of_run }
    }

    fn byte(self) -> u8 {
        let bit = |flag, value| if flag { value } else { 0 };
        bit(self.soft, 1) | bit(self.wide, 2) | bit(self.capped, 4) | bit(self.total, 8)
    }
}

/// The rows and classes that some bytes are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) layout: Layout,
    pub(super) first_row: usize,
    pub(super) rows: usize,
    /// The first class, and the one after the last.
    pub(super) classes: [usize; 2],
}

impl Header {
    /// The tiles of its classes.
    pub(super) fn tiles(&self) -> core::ops::Range<usize> {
        let [first, end] = self.classes;
        first / TILE..if first == end { first / TILE } else { end.div_ceil(TILE) }
    }

    pub(super) fn runs(&self) -> usize {
        if self.layout.total { 1 } else { heights(self.tiles()).count() }
    }

    pub(super) fn with_classes(self, classes: [usize; 2]) -> Self {
        Self { classes, ..self }
    }

    /// The classes of a part that has been read before.
    pub(super) fn classes_of(bytes: &[u8]) -> [usize; 2] {
        let mut from = Reader(bytes.get(HEADER - 8..HEADER).unwrap_or(&[]));
        [(); 2].map(|()| u32::from_le_bytes(from.take()) as usize)
    }

    /// A row of those that follow the header.
    pub(super) fn bytes_of<'b>(&self, row: usize, rows: &'b [u8]) -> &'b [u8] {
        let length = self.row();
        rows.get(row * length..(row + 1) * length).unwrap_or(&[])
    }

    /// The bytes of a row, and of all of it.
    pub(super) fn row(&self) -> usize {
        self.layout.row(self.runs())
    }

    pub(super) fn length(&self) -> usize {
        HEADER.saturating_add(self.rows.saturating_mul(self.row()))
    }

    fn bytes(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let mut to = Writer(&mut bytes);
        to.put(&[VERSION, self.layout.byte(), 0, 0]);
        // A shard has fewer classes and rows than that; `refused` holds it when they are read.
        to.put(&(self.rows as u32).to_le_bytes());
        to.put(&(self.first_row as u64).to_le_bytes());
        self.classes.into_iter().for_each(|class| to.put(&(class as u32).to_le_bytes()));
        bytes
    }

    /// Writes it, and returns the place of its rows.
    pub(super) fn write<'b>(&self, bytes: &'b mut [u8]) -> Result<&'b mut [u8], Error> {
        let (expected, found) = (self.length(), bytes.len());
        if expected != found {
            return Err(Error::Length { of: "bytes of the rows", expected, found });
        }
        let (header, rows) = bytes.split_at_mut(HEADER);
        header.copy_from_slice(&self.bytes());
        Ok(rows)
    }

    /// The rows of some bytes, whose header must be this one but for the classes, which must start with `first`
    /// and go no further; and the header.
    pub(super) fn read<'b>(
        &self,
        bytes: &'b [u8],
        first: usize,
    ) -> Result<(Self, &'b [u8]), Error> {
        let Some((header, rows)) = bytes.split_at_checked(HEADER) else {
            return refused("there are fewer bytes than its header has");
        };
        let mut from = Reader(header);
        let [version, layout, zeros @ ..] = from.take::<4>();
        let number = |from: &mut Reader<'_>| u32::from_le_bytes(from.take()) as usize;
        let of_rows = number(&mut from);
        let first_row = u64::from_le_bytes(from.take());
        let classes = [number(&mut from), number(&mut from)];
        if version != VERSION || zeros != [0; 2] {
            return refused("it is not one, or comes from another version of the library");
        }
        if layout != self.layout.byte() {
            return refused("another format of the logits, label smoothing or soft cap");
        }
        if (first_row, of_rows) != (self.first_row as u64, self.rows) {
            return refused("other rows");
        }
        let [start, end] = classes;
        let is_end = is_cut(end) || end == self.classes[1];
        if start != first || end < start || end > self.classes[1] || !is_end {
            return refused("its classes do not follow those of the part before it");
        }
        let header = Self { classes, ..*self };
        if bytes.len() != header.length() {
            return refused("more or fewer bytes than its rows have");
        }
        Ok((header, rows))
    }
}

/// What is sent of a row besides its runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowHead {
    /// Logits of `+inf`; two for more.
    pub(super) infinite: usize,
    pub(super) any_nan: bool,
    /// The class of the first NaN or, without one, of the first `+inf`.
    pub(super) odd: Option<usize>,
    /// The logit of the label, if it is among the classes and has all of the weight.
    pub(super) label_logit: f64,
    /// The largest logit before the cap, and its class.
    pub(super) largest: (f64, usize),
}

/// A row while its parts are added up.
#[derive(Clone, Copy, Debug)]
pub(super) struct WireRow {
    pub(super) sums: PartSums,
    pub(super) label_logit: f64,
    pub(super) largest: (f64, usize),
    /// The class of the first NaN, if there is one.
    pub(super) first_nan: usize,
}

impl WireRow {
    /// Nothing so far; the first tile is `start`.
    pub(super) fn new(start: usize) -> Self {
        Self {
            sums: PartSums::new(start),
            label_logit: 0.0,
            largest: (f64::NEG_INFINITY, 0),
            first_nan: 0,
        }
    }

    /// The same as a new one, without clearing what will be overwritten.
    pub(super) fn restart(&mut self, start: usize) {
        self.sums.restart(start);
        self.label_logit = 0.0;
        self.largest = (f64::NEG_INFINITY, 0);
        self.first_nan = 0;
    }

    /// Writes the runs of its tiles.
    pub(super) fn write(&self, layout: Layout, bytes: &mut [u8]) {
        self.write_runs(layout, self.sums.tree.runs().map(|(_, sums)| sums), bytes);
    }

    /// Writes all tiles as one.
    pub(super) fn write_total(&self, layout: Layout, bytes: &mut [u8]) {
        self.write_runs(layout, self.sums.tree.total().into_iter(), bytes);
    }

    fn write_runs(&self, layout: Layout, runs: impl Iterator<Item = RowSums>, bytes: &mut [u8]) {
        let Self { sums, label_logit, largest, first_nan } = *self;
        if bytes.is_empty() {
            return;
        }
        let mut to = Writer(bytes);
        let nan = if sums.any_nan { NAN } else { 0 };
        let flags = sums.infinite.min(2) as u8 | nan;
        let odd = if sums.any_nan { Some(first_nan) } else { sums.first_infinite };
        to.put(&[flags]);
        if !layout.soft {
            to.float(layout, label_logit);
        }
        if layout.capped {
            to.float(layout, largest.0);
            to.put(&(largest.1 as u32).to_le_bytes());
        }
        for (index, run) in runs.enumerate() {
            let class = odd.filter(|_| index == 0).unwrap_or(run.largest_class);
            to.float(layout, run.max);
            to.put(&(class as u32).to_le_bytes());
            to.put(&run.others.to_le_bytes());
            if layout.soft {
                let of_pivot = run.pivot.map_or(0.0, |pivot| pivot.weight);
                for weight in [of_pivot, run.weights, run.distances] {
                    to.put(&weight.to_le_bytes());
                }
            }
        }
    }

    /// Adds a row of a part with these classes. `label` is the label that has all of the weight.
    pub(super) fn add(
        &mut self,
        header: &Header,
        label: Option<usize>,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let tree = &mut self.sums.tree;
        let head = header.read_row(label, bytes, |height, run| tree.push_run(height, run))?;
        let RowHead { infinite, any_nan, odd, label_logit, largest } = head;
        let [first, end] = header.classes;
        if label.is_some_and(|label| (first..end).contains(&label)) {
            self.label_logit = label_logit;
        }
        if largest.0 > self.largest.0 {
            self.largest = largest;
        }
        if any_nan && !self.sums.any_nan {
            self.first_nan = odd.unwrap_or_default();
        }
        self.sums.any_nan |= any_nan;
        if infinite > 0 && !any_nan {
            self.sums.first_infinite = self.sums.first_infinite.or(odd);
        }
        self.sums.infinite += infinite;
        Ok(())
    }
}

impl Header {
    /// Reads a row, and passes its runs on, each with the `h` of its length. `label` is the label that has all of the
    /// weight.
    pub(super) fn read_row(
        &self,
        label: Option<usize>,
        bytes: &[u8],
        mut to: impl FnMut(u32, RowSums),
    ) -> Result<RowHead, Error> {
        let Self { layout, classes: [first, end], .. } = *self;
        let mut head = RowHead {
            infinite: 0,
            any_nan: false,
            odd: None,
            label_logit: 0.0,
            largest: (f64::NEG_INFINITY, 0),
        };
        if bytes.is_empty() {
            return Ok(head);
        }
        let mut from = Reader(bytes);
        let [flags] = from.take();
        if flags & !(INFINITE | NAN) != 0 || flags & INFINITE == INFINITE {
            return refused("a row has unknown flags");
        }
        head.infinite = usize::from(flags & INFINITE);
        head.any_nan = flags & NAN != 0;
        if !layout.soft {
            head.label_logit = from.float(layout);
        }
        if layout.capped {
            head.largest = (from.float(layout), u32::from_le_bytes(from.take()) as usize);
        }
        let mut start = first;
        let mut run = |height: u32, end_of_run: usize| {
            let sums = read_run(&mut from, layout);
            let range = start..end_of_run;
            start = end_of_run;
            let class = sums.largest_class;
            let in_range = if flags != 0 && range.start == first {
                head.odd = Some(class);
                (first..end).contains(&class)
            } else {
                range.contains(&class)
            };
            // A run of masked classes has no largest one.
            let is_masked = sums.max == f64::NEG_INFINITY;
            if !in_range && !is_masked || sums.max.is_nan() || sums.max == f64::INFINITY {
                return refused("a row has no such largest logit");
            }
            let weight = sums.pivot.map_or(0.0, |pivot| pivot.weight);
            let is_sum = |sum: f64| sum >= 0.0 || head.any_nan && sum.is_nan();
            if ![sums.others, sums.weights, weight].into_iter().all(is_sum) {
                return refused("a row has a sum that is negative or not a number");
            }
            let pivot = match label {
                Some(label) if range.contains(&label) => Some((label, head.label_logit)),
                Some(_) => None,
                None => Some((class, sums.max)).filter(|_| !is_masked),
            };
            let pivot = pivot.map(|(class, logit)| Pivot { class, logit, weight });
            to(height, RowSums { pivot, ..sums });
            Ok(())
        };
        if layout.total {
            run(0, end)?;
        } else {
            let mut tile = self.tiles().start;
            for height in heights(self.tiles()) {
                tile += 1 << height;
                run(height, end.min(tile * TILE))?;
            }
        }
        Ok(head)
    }
}

/// The next run, whose pivot has a weight but is not known yet.
fn read_run(from: &mut Reader<'_>, layout: Layout) -> RowSums {
    let max = from.float(layout);
    let class = u32::from_le_bytes(from.take()) as usize;
    let others = from.double();
    let [weight, weights, distances] =
        if layout.soft { [(); 3].map(|()| from.double()) } else { [0.0; 3] };
    RowSums {
        max,
        largest_class: class,
        unit: 1.0,
        pivot: Some(Pivot { class, logit: max, weight }),
        others,
        weights,
        distances,
    }
}

struct Writer<'b>(&'b mut [u8]);

impl Writer<'_> {
    fn put(&mut self, value: &[u8]) {
        let bytes = core::mem::take(&mut self.0);
        if let Some((place, rest)) = bytes.split_at_mut_checked(value.len()) {
            place.copy_from_slice(value);
            self.0 = rest;
        }
    }

    fn float(&mut self, layout: Layout, value: f64) {
        if layout.wide {
            self.put(&value.to_le_bytes());
        } else {
            // It was one before it was widened.
            self.put(&(value as f32).to_le_bytes());
        }
    }
}

struct Reader<'b>(&'b [u8]);

impl Reader<'_> {
    /// Zeros where there are no more bytes: lengths are checked before.
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let Some((bytes, rest)) = self.0.split_first_chunk::<N>() else { return [0; N] };
        self.0 = rest;
        *bytes
    }

    fn double(&mut self) -> f64 {
        f64::from_le_bytes(self.take())
    }

    fn float(&mut self, layout: Layout) -> f64 {
        if layout.wide { self.double() } else { f32::from_le_bytes(self.take()).into() }
    }
}

pub(super) fn refused<T>(reason: &'static str) -> Result<T, Error> {
    Err(Error::Option { option: "part of the rows", reason })
}
