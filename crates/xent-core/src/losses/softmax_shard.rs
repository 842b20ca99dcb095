//! Softmax losses of rows whose classes are in several places: in other processes, or on other machines.

use core::ops::Range;

use super::buffers::Buffers;
use super::degenerate_row::{DegenerateRow, Extremes};
use super::format::{Element, Float};
use super::part_sums::{PartSums, is_cut};
use super::quantisation::Quantisation;
use super::rows::{BatchCounts, Outputs, RowWeights};
use super::scratch_rows::LongRow;
use super::scratch_tiles::{Classes, Converted, put_classes};
use super::softmax_rows::sum_of_rows;
use super::softmax_spec::{Kind, RowParams, SoftmaxSpec, State};
use super::softmax_targets::{SoftmaxOptions, SoftmaxTargets};
use super::wire::{HEADER, Header, Layout, RowHead, WireRow, refused};
use crate::batch::{CHUNK, ForkJoin};
use crate::error::{Error, check_length};
use crate::hessian::Hessian;
use crate::kernel::long_row::{FinishedRow, TileState};
use crate::kernel::row_sums::RowSums;
use crate::kernel::row_targets::RowTargets;
use crate::kernel::sum::TILE;
use crate::labels::Labels;
use crate::level::Level;
use crate::shape::Shape;

/// A softmax loss with labels, of which one process has some of the classes of every row: a vocabulary that is cut over
/// processes (M. Shoeybi et al., "Megatron-LM", 2019, section 3).
///
/// Each process has neighbouring classes, from a multiple of [`TILE`](Self::TILE) on. Labels are indices among all
/// classes; labels, options and weights are the same everywhere. Loss, statistics and gradient have the bits of a
/// [`SoftmaxBatch`](crate::SoftmaxBatch) that has all classes, however they are cut.
///
/// 1. Each process writes the [`sums`](Self::sums) of its classes: [`len_of_sums`](Self::len_of_sums) bytes, which are
///    sent to the others.
/// 2. [`merge`](Self::merge) takes those of all processes and makes a total of them. Every process may do so for all
///    rows, or each for some of them and send those on.
/// 3. [`finish`](Self::finish) has losses, log-sum-exp and classes of the rows from their total, and
///    [`gradient`](Self::gradient) the gradient by the classes of this process.
///
/// ```
/// use xent_core::{Buffers, InTurn, Level, Outputs, SoftmaxOptions, SoftmaxShard};
///
/// // Two rows of 6000 classes, in two shards.
/// let (level, classes, middle) = (Level::detect(), 6000, SoftmaxShard::<f32>::TILE);
/// let x: Vec<f32> = (0..2 * classes as u32).map(|i| (i * i % 1013) as f32 / 100.0).collect();
/// let (labels, options) = ([17_u16, 5000], SoftmaxOptions::default());
/// let shard = |of| SoftmaxShard::checked_on(&InTurn, 2, classes, of, (&labels[..]).into(), options);
/// let (first, second) = (shard(0..middle)?, shard(middle..classes)?);
///
/// let columns = |of: core::ops::Range<usize>| [&x[of.clone()], &x[classes..][of]].concat();
/// let (of_first, of_second) = (columns(0..middle), columns(middle..classes));
/// let (mut a, mut b) = (vec![0; first.len_of_sums(2)], vec![0; second.len_of_sums(2)]);
/// first.sums(&InTurn, level, 0..2, &of_first, &mut a)?;
/// second.sums(&InTurn, level, 0..2, &of_second, &mut b)?;
///
/// // In both processes, once they have the bytes of the other:
/// let mut total = vec![0; first.len_of_total(2)];
/// first.merge(0..2, [&a[..], &b], &mut total)?;
/// let mut losses = [0.0; 2];
/// first.finish(0..2, &total, &mut losses, Outputs::default())?;
/// assert!((first.sum(&losses)? - 28.265_359).abs() < 1e-5);
/// let mut gradient = vec![0.0; of_first.len()];
/// let buffers = Buffers::gradient(&of_first, &mut gradient);
/// first.gradient(&InTurn, level, 0..2, &total, buffers)?;
/// # Ok::<(), xent_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SoftmaxShard<'a, F = f32> {
    spec: SoftmaxSpec<'a, F>,
    first: usize,
    end: usize,
}

impl<'a, F: Float> SoftmaxShard<'a, F> {
    /// A shard starts at a multiple of that many classes.
    pub const TILE: usize = TILE;

    /// Checks the options and labels of that many rows of `classes` classes, of which `shard` are in this process.
    /// A shard may be empty.
    ///
    /// # Errors
    /// [`Error::Option`] for invalid options, if the shard does not start and end at multiples of
    /// [`TILE`](Self::TILE) (or at the last class), or if there are no more classes than a tile or more than 2^32;
    /// [`Error::ZeroClasses`], [`Error::TooLarge`], [`Error::Length`] or [`Error::Label`]; [`Error::Value`] if a
    /// class weight is negative or not finite.
    pub fn checked_on(
        join: &dyn ForkJoin,
        rows: usize,
        classes: usize,
        shard: Range<usize>,
        labels: Labels<'a>,
        options: SoftmaxOptions<'a, F>,
    ) -> Result<Self, Error> {
        let shape = Shape::rows(rows, classes)?;
        if classes <= TILE {
            return no_shard(
                "rows of 4096 classes or less are not cut: give each process some of the rows",
            );
        }
        if classes > u32::MAX as usize || rows > u32::MAX as usize {
            return no_shard("expected less than 2^32 rows and classes");
        }
        check_shard(&shard, classes)?;
        let spec = SoftmaxSpec::with_options(shape, SoftmaxTargets::Index(labels), options)?;
        Ok(Self { spec: spec.checked_on(join)?, first: shard.start, end: shard.end })
    }

    /// Sets factors for the rows.
    ///
    /// # Errors
    /// [`Error::Length`] if a slice is not empty and does not have one for each row; [`Error::Value`] if a sample
    /// weight is not finite.
    pub fn with_weights(self, weights: RowWeights<'a, F>) -> Result<Self, Error> {
        Ok(Self { spec: self.spec.with_weights(weights)?, ..self })
    }

    /// Sets a factor of the gradient (not of the loss): for a mean, one over the number of rows.
    #[must_use]
    pub fn with_scale(mut self, scale: f64) -> Self {
        self.spec.weights.scale = scale;
        self
    }
}

impl<F: Float> SoftmaxShard<'_, F> {
    /// The same rows and options for the classes of another process.
    ///
    /// # Errors
    /// [`Error::Option`] if these are no shard, as for [`checked_on`](Self::checked_on).
    pub fn of_classes(self, shard: Range<usize>) -> Result<Self, Error> {
        check_shard(&shard, self.spec.shape.classes)?;
        Ok(Self { first: shard.start, end: shard.end, ..self })
    }

    /// The classes of this process.
    #[must_use]
    pub fn classes(&self) -> Range<usize> {
        self.first..self.end
    }

    /// The number and the weights of the valid rows: the possible divisors of a mean.
    #[must_use]
    pub fn counts(&self) -> BatchCounts {
        self.spec.counts()
    }

    /// The bytes of the sums of that many rows: 24, and for each row and each run of tiles at most 45 (f32 without
    /// smoothing: 21). A shard of 2^n tiles that starts at a multiple of 2^n has one run.
    #[must_use]
    pub fn len_of_sums(&self, rows: usize) -> usize {
        self.header(0, rows, false).length()
    }

    /// The bytes of the total of that many rows.
    #[must_use]
    pub fn len_of_total(&self, rows: usize) -> usize {
        self.header(0, rows, true).length()
    }

    /// The bytes of a row in the sums of this shard.
    #[must_use]
    pub fn len_of_row(&self) -> usize {
        self.header(0, 0, false).row()
    }

    /// Writes the sums of some rows: of `logits`, those of the classes of this process, row after row.
    ///
    /// # Errors
    /// [`Error::Length`] if there are no such rows, the logits are not theirs, or there is another number of bytes than
    /// [`len_of_sums`](Self::len_of_sums); [`Error::Option`] for integers.
    pub fn sums<E: Element<Float = F>>(
        &self,
        join: &dyn ForkJoin,
        level: Level,
        rows: Range<usize>,
        logits: &[E],
        bytes: &mut [u8],
    ) -> Result<(), Error> {
        Quantisation::check(E::INTEGERS, None)?;
        let count = rows.len();
        let part = self.part(rows, false)?;
        check_length("logits", count * (self.end - self.first), logits.len())?;
        let of_rows = part.header.write(bytes)?;
        part.sums(join, level, logits, of_rows);
        Ok(())
    }

    /// The total of some rows from the sums of all processes, in the order of their classes.
    ///
    /// # Errors
    /// [`Error::Option`] if these are not the sums of all classes of these rows, or not sums; [`Error::Length`] if
    /// there are no such rows, or another number of bytes than [`len_of_total`](Self::len_of_total).
    pub fn merge<'b>(
        &self,
        rows: Range<usize>,
        sums: impl IntoIterator<Item = &'b [u8]> + Clone,
        total: &mut [u8],
    ) -> Result<(), Error> {
        let wanted =
            self.part(rows.clone(), false)?.header.with_classes([0, self.spec.shape.classes]);
        let mut next = 0;
        for part in sums.clone() {
            next = wanted.read(part, next)?.0.classes[1];
        }
        if next != self.spec.shape.classes {
            return refused("the last classes are missing");
        }
        let part = self.part(rows.clone(), true)?;
        check_length("bytes of the total", part.header.length(), total.len())?;
        let length = part.header.row();
        let mut whole = WireRow::new(0);
        for row in 0..rows.len() {
            let label = part.label(&part.spec.params(row));
            whole.restart(0);
            for sums in sums.clone() {
                let header = wanted.with_classes(Header::classes_of(sums));
                whole.add(
                    &header,
                    label,
                    header.bytes_of(row, sums.get(HEADER..).unwrap_or(&[])),
                )?;
            }
            let at = HEADER + row * length;
            let place = total.get_mut(at..at + length).unwrap_or(&mut []);
            whole.write_total(part.header.layout, place);
        }
        part.header.write(total)?;
        Ok(())
    }

    /// The results of some rows from their total. `losses` has a place for each: where its loss is written as it
    /// enters the sum. `outputs` has places for these rows alone.
    ///
    /// # Errors
    /// [`Error::Option`] if it is not the total of these rows, or a Hessian is wanted; [`Error::Length`] if there
    /// are no such rows, or there is not a place for each.
    pub fn finish(
        &self,
        rows: Range<usize>,
        total: &[u8],
        losses: &mut [f64],
        mut outputs: Outputs<'_, F>,
    ) -> Result<(), Error> {
        check_length("losses", rows.len(), losses.len())?;
        outputs.check(rows.len(), rows.len(), 0)?;
        let part = self.part(rows, true)?;
        let total = part.checked(total)?;
        for (row, loss) in losses.iter_mut().enumerate() {
            let params = part.spec.params(row);
            let whole = part.row(row, &params, total)?;
            *loss = match part.finished(&whole, &params) {
                Some(finished) => {
                    let result = finished.result();
                    outputs.put_row(row, result.loss, result.log_sum_exp, whole.seen.predicted);
                    result.loss
                }
                None => part.limit_row(row, &params, &whole, 0..0, &mut NoCells, &mut outputs),
            };
        }
        Ok(())
    }

    /// The gradient of some rows by the logits of this process, from their total.
    ///
    /// # Errors
    /// [`Error::Option`] if it is not the total of these rows, or for integers; [`Error::Length`] if there are no
    /// such rows, or logits and gradient are not theirs.
    pub fn gradient<E: Element<Float = F>>(
        &self,
        join: &dyn ForkJoin,
        level: Level,
        rows: Range<usize>,
        total: &[u8],
        buffers: Buffers<'_, E>,
    ) -> Result<(), Error> {
        Quantisation::check(E::INTEGERS, None)?;
        let count = rows.len();
        let part = self.part(rows, true)?;
        check_length("logits", count * (self.end - self.first), buffers.len())?;
        if let Some(found) = buffers.gradients() {
            check_length("gradient", buffers.len(), found)?;
        }
        let total = part.checked(total)?;
        part.gradient(join, level, total, buffers);
        Ok(())
    }

    /// The sum of the losses of all rows, as [`finish`](Self::finish) wrote them: the bits that running the whole
    /// batch returns.
    ///
    /// # Errors
    /// [`Error::Length`] if there is not one for each row.
    pub fn sum(&self, losses: &[f64]) -> Result<f64, Error> {
        sum_of_rows(&self.spec.shape, losses)
    }

    fn header(&self, first_row: usize, rows: usize, total: bool) -> Header {
        let layout = Layout {
            soft: self.spec.kind() == Kind::Soft,
            wide: size_of::<F>() == 8,
            capped: self.spec.cap() != 0.0,
            total,
        };
        let classes = if total { [0, self.spec.shape.classes] } else { [self.first, self.end] };
        Header { layout, first_row, rows, classes }
    }

    /// Some rows, and what is sent of them: their sums or their total.
    fn part(&self, rows: Range<usize>, total: bool) -> Result<Part<'_, F>, Error> {
        let all = self.spec.shape.row_count();
        if rows.start > rows.end || rows.end > all {
            return Err(Error::Length { of: "rows", expected: all, found: rows.end });
        }
        let header = self.header(rows.start, rows.len(), total);
        let spec = self.spec.split_at(rows.start).1.split_at(rows.len()).0;
        Ok(Part { spec, first: self.first, end: self.end, header })
    }
}

fn check_shard(shard: &Range<usize>, classes: usize) -> Result<(), Error> {
    let is_end = |class| is_cut(class) || class == classes;
    if shard.start <= shard.end && shard.end <= classes && is_end(shard.start) && is_end(shard.end)
    {
        return Ok(());
    }
    no_shard("expected neighbouring classes from one multiple of 4096 to another, or to the last")
}

fn no_shard<T>(reason: &'static str) -> Result<T, Error> {
    Err(Error::Option { option: "classes of a shard", reason })
}

/// A row, from the sums of all of its classes.
struct WholeRow {
    sums: Option<RowSums>,
    seen: Extremes,
}

/// Some rows of a shard, which are counted from zero.
#[derive(Clone, Copy)]
struct Part<'a, F> {
    spec: SoftmaxSpec<'a, F>,
    first: usize,
    end: usize,
    header: Header,
}

/// With fewer elements, a part is not worth waking another thread.
const WORTH_A_THREAD: usize = 4 * CHUNK;

impl<F: Float> Part<'_, F> {
    /// The label that a row's sums leave out: if it has all of the weight.
    fn label(&self, params: &RowParams) -> Option<usize> {
        let has_all = self.spec.kind() == Kind::Labels && params.state == State::Live;
        params.label.filter(|_| has_all)
    }

    /// The targets of a row; none if it is ignored, of which the log-sum-exp may be wanted.
    fn targets(&self, params: &RowParams) -> RowTargets<'_, F> {
        match params.state {
            State::Live => self.spec.targets_of_label(params),
            State::Ignored | State::Empty => RowTargets::Nothing,
        }
    }

    /// The first rows, and the others.
    fn split_at(self, rows: usize) -> (Self, Self) {
        let (first, second) = self.spec.split_at(rows);
        (Self { spec: first, ..self }, Self { spec: second, ..self })
    }

    fn width(&self) -> usize {
        self.end - self.first
    }

    /// Where many rows are cut for two threads.
    fn middle(&self) -> Option<usize> {
        let rows = self.spec.shape.row_count();
        (rows > 1 && rows * self.width() >= WORTH_A_THREAD).then_some(rows / 2)
    }

    fn sums<E: Element<Float = F>>(
        self,
        join: &dyn ForkJoin,
        level: Level,
        logits: &[E],
        bytes: &mut [u8],
    ) {
        let length = self.header.row();
        if let Some(middle) = self.middle() {
            let (a, b) = self.split_at(middle);
            let (x_a, x_b) = logits.split_at(middle * self.width());
            let (bytes_a, bytes_b) = bytes.split_at_mut(middle * length);
            return join.join(&mut || a.sums(join, level, x_a, &mut *bytes_a), &mut || {
                b.sums(join, level, x_b, &mut *bytes_b);
            });
        }
        if bytes.is_empty() {
            return;
        }
        self.spec.with_tile_state(|state| {
            let mut sums = WireRow::new(self.first / TILE);
            let rows = logits.chunks_exact(self.width()).zip(bytes.chunks_exact_mut(length));
            for (row, (x, place)) in rows.enumerate() {
                self.sums_of_row(level, x, &self.spec.params(row), &mut sums, state);
                sums.write(self.header.layout, place);
            }
        });
    }

    fn sums_of_row<E: Element<Float = F>>(
        &self,
        level: Level,
        x: &[E],
        params: &RowParams,
        row: &mut WireRow,
        state: &mut TileState<'_, F>,
    ) {
        row.restart(self.first / TILE);
        let capped = Converted { cap: self.spec.cap(), ..Converted::row(x) };
        row.sums.add(level, capped, self.first, &self.targets(params), true, state);
        if self.label(params).is_some() {
            let mut pivots = row.sums.tree.runs().filter_map(|(_, sums)| sums.pivot);
            row.label_logit = pivots.next().map_or(0.0, |pivot| pivot.logit);
        }
        if row.sums.any_nan {
            let place = x.iter().position(|x| x.to_float().is_nan());
            row.first_nan = self.first + place.unwrap_or_default();
        }
        if self.header.layout.capped {
            let mut sums = PartSums::new(self.first / TILE);
            let (x, nothing) = (Converted::row(x), RowTargets::Nothing);
            sums.add(level, x, self.first, &nothing, true, state);
            let Extremes { max, argmax, .. } = sums.extremes();
            row.largest = (max, argmax);
        }
    }

    /// The rows of a total, if it is one.
    fn checked<'b>(&self, total: &'b [u8]) -> Result<&'b [u8], Error> {
        let (_, bytes) = self.header.read(total, 0)?;
        // Nothing is written before all rows are known to be sums.
        for row in 0..self.spec.shape.row_count() {
            self.row(row, &self.spec.params(row), bytes)?;
        }
        Ok(bytes)
    }

    fn row(&self, row: usize, params: &RowParams, total: &[u8]) -> Result<WholeRow, Error> {
        let bytes = self.header.bytes_of(row, total);
        let mut sums = None;
        let head = self.header.read_row(self.label(params), bytes, |_, run| sums = Some(run))?;
        let RowHead { infinite, any_nan, odd, largest, .. } = head;
        let max = sums.map_or(f64::NEG_INFINITY, |sums| sums.max);
        let argmax = odd.or(sums.map(|sums| sums.largest_class)).unwrap_or_default();
        let is_capped = self.header.layout.capped && !any_nan;
        let seen = Extremes {
            max: if infinite > 0 { f64::INFINITY } else { max },
            argmax,
            predicted: if is_capped { largest.1 } else { argmax },
            infinite,
            any_nan,
        };
        Ok(WholeRow { sums: sums.filter(|_| seen.is_finite()), seen })
    }

    /// A row whose gradient can be written, if it is finite and not ignored.
    fn finished(&self, whole: &WholeRow, params: &RowParams) -> Option<FinishedRow<'_, F>> {
        let sums = whole.sums.filter(|_| params.state == State::Live)?;
        let curvature = Hessian::default().softmax(0.0, 2);
        let targets = self.targets(params);
        Some(FinishedRow::new(targets, sums, self.spec.terms(), params.factors, curvature))
    }

    /// The results of a row that is ignored or not finite, and the gradient of some classes.
    fn limit_row(
        &self,
        row: usize,
        params: &RowParams,
        whole: &WholeRow,
        classes: Range<usize>,
        cells: &mut impl DegenerateRow<F>,
        outputs: &mut Outputs<'_, F>,
    ) -> f64 {
        let (spec, seen) = (&self.spec, whole.seen);
        if params.state == State::Live {
            return spec.degenerate_row(row, params, seen, classes, cells, outputs);
        }
        let log_sum_exp = whole.sums.map_or(0.0, |sums| sums.log_sum_exp());
        spec.skipped_row(row, params, (seen, log_sum_exp), classes, cells, outputs)
    }

    fn gradient<E: Element<Float = F>>(
        self,
        join: &dyn ForkJoin,
        level: Level,
        total: &[u8],
        buffers: Buffers<'_, E>,
    ) {
        if let Some(middle) = self.middle() {
            let (a, b) = self.split_at(middle);
            let (total_a, total_b) = total.split_at(middle * self.header.row());
            let buffers = buffers.split_at(middle * self.width(), middle * self.width());
            let (mut of_a, mut of_b) = (Some(buffers.0), Some(buffers.1));
            let run = |part: Self, total, buffers: &mut Option<Buffers<'_, E>>| {
                if let Some(buffers) = buffers.take() {
                    part.gradient(join, level, total, buffers);
                }
            };
            return join
                .join(&mut || run(a, total_a, &mut of_a), &mut || run(b, total_b, &mut of_b));
        }
        self.put_rows(level, total, buffers);
    }

    fn put_rows<E: Element<Float = F>>(
        self,
        level: Level,
        total: &[u8],
        mut buffers: Buffers<'_, E>,
    ) {
        let (width, cap) = (self.width(), self.spec.cap());
        self.spec.with_tile_state(|state| {
            for row in 0..self.spec.shape.row_count() {
                let params = self.spec.params(row);
                // It has been read before.
                let Ok(whole) = self.row(row, &params, total) else { return };
                let at = [row * width; 2];
                let Some(finished) = self.finished(&whole, &params) else {
                    let cells = LongRow { buffers: &mut buffers, at, step: 1, cap, floor: 0.0 };
                    let mut cells = ShardRow { cells, first: self.first };
                    let outputs = &mut Outputs::default();
                    self.limit_row(row, &params, &whole, self.first..self.end, &mut cells, outputs);
                    continue;
                };
                let stream = self.spec.streams();
                let of = Classes { first: self.first, count: width, at, step: 1, stream };
                let none = (&mut [][..], cap, f64::NEG_INFINITY);
                put_classes(level, &finished, &mut buffers, of, none, state);
            }
        });
    }
}

/// The classes of a shard, by their index among all.
struct ShardRow<R> {
    cells: R,
    first: usize,
}

impl<F, R: DegenerateRow<F>> DegenerateRow<F> for ShardRow<R> {
    fn logit(&self, class: usize) -> f64 {
        self.cells.logit(class - self.first)
    }

    fn put(&mut self, class: usize, gradient: F) {
        self.cells.put(class - self.first, gradient);
    }
}

/// For rows whose gradient is not wanted: no logit of theirs is read.
struct NoCells;

impl<F> DegenerateRow<F> for NoCells {
    fn logit(&self, _: usize) -> f64 {
        f64::NAN
    }

    fn put(&mut self, _: usize, _: F) {}
}
