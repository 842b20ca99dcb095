//! Rows that are computed a row in each lane: those of few classes, and columns.

use core::ops::Range;

use super::odd_row::Column;
use super::rows::Outputs;
use super::softmax::Leaf;
use crate::dispatch::{Kernel, entries};
use crate::element::Float;
use crate::kernel::cells::{ADD, Cells, LOSS, WRITE};
use crate::kernel::lanes::{
    self, Alongside, Block, BlockResults, Grid, Gridded, LABEL, OfRows, ROWS, Registers,
};
use crate::kernel::logit_map::LogitMap;
use crate::kernel::sum::LossSum;
use crate::kernel::transpose::{
    RowPlaces, from_columns, to_columns, whole_from_columns, whole_to_columns,
};
use crate::level::Level;
use crate::shape::Shape;
use crate::simd::{Lanes, Simd, Vector, from, from_mut};

impl<F: Float, Z: LogitMap, const KIND: u8, const MODE: u8> Leaf<'_, '_, F, Z, KIND, MODE> {
    /// Whether there may be rows for [`Plain`].
    const LABELS_ALONE: bool = KIND == LABEL && MODE != ADD && Z::IDENTITY;

    /// The sum of the losses of all rows.
    pub(super) fn by_lanes(mut self, level: Level) -> f64 {
        let shape = self.job.shape;
        let end = shape.row_count();
        let mut sum = LossSum::new();
        let mut first = 0;
        while first < end {
            let mut rows = first..end;
            if Self::LABELS_ALONE && self.is_plain() {
                first = self.plain(level, first, &mut sum);
                // Plain rows go on with the next block.
                rows = first..end.min(first + ROWS);
            }
            first = rows.end;
            if shape.inner == 1 && shape.classes <= lanes::CLASSES {
                Narrow { leaf: &mut self, rows, sum: &mut sum }.at(level);
            } else {
                Columns { leaf: &mut self, rows, sum: &mut sum }.at(level);
            }
        }
        sum.total()
    }

    /// Whether rows have losses without further terms, and few classes; and lie one after the other, or
    /// are whole blocks side by side.
    fn is_plain(&self) -> bool {
        let Shape { classes, inner, logits_stride, gradient_stride, .. } = self.job.shape;
        let options = &self.job.options;
        let together = logits_stride == classes && gradient_stride == classes && classes >= 2;
        let side_by_side = inner.is_multiple_of(ROWS) && classes <= lanes::CLASSES;
        let few = if inner == 1 { together } else { side_by_side };
        few && options.focal_gamma == 0.0 && options.z_loss == 0.0
    }

    /// [`Plain`], for the number of classes.
    fn plain(&mut self, level: Level, first: usize, sum: &mut LossSum) -> usize {
        macro_rules! rows_of {
            ($($classes:literal in $fours:literal),*) => {
                match self.job.shape {
                    $(Shape { classes: $classes, inner: 1, .. } => {
                        Plain::<_, _, KIND, MODE, $classes, $fours> { leaf: self, first, sum }.at(level)
                    })*
                    _ => Plain::<_, _, KIND, MODE, 0, 8> { leaf: self, first, sum }.at(level),
                }
            };
        }
        rows_of!(2 in 1, 3 in 1, 4 in 1, 5 in 2, 8 in 2, 10 in 3)
    }

    /// Writes what is known of so many rows of a block, and settles those that the kernel has not.
    #[inline(always)]
    pub(super) fn settle_rows(&mut self, first: usize, rows: usize, results: &mut BlockResults<F>) {
        let Shape { classes, logits_stride, gradient_stride, .. } = self.job.shape;
        self.put_outputs(first, rows, results);
        self.settle(first, rows, results, |row| {
            let start = [row * logits_stride, row * gradient_stride];
            (start, classes, Position { first: 0, step: 1 })
        });
    }

    /// Writes what is known of so many rows of a block.
    #[inline(always)]
    fn put_outputs(&mut self, first: usize, rows: usize, results: &BlockResults<F>) {
        let Outputs { losses, log_sum_exp, predicted, .. } = &self.outputs;
        if losses.is_empty() && log_sum_exp.is_empty() && predicted.is_empty() {
            return;
        }
        for row in 0..rows {
            let loss = results.loss[row].to_f64();
            let log_sum_exp = results.log_sum_exp[row].to_f64();
            let predicted = results.apart[row].to_count();
            self.outputs.put_row(first + row, loss, log_sum_exp, predicted);
        }
    }

    /// Settles the rows of a block that the kernel has not. `cells_of` says where the cells of a row are.
    #[inline(always)]
    fn settle(
        &mut self,
        first: usize,
        rows: usize,
        results: &mut BlockResults<F>,
        cells_of: impl Fn(usize) -> ([usize; 2], usize, Position),
    ) {
        let one = F::from_count(1);
        // Without an early exit: a few comparisons of registers.
        if results.finite.iter().fold(true, |all, &finite| all & (finite == one)) {
            return;
        }
        for row in (0..rows).filter(|&row| results.finite[row] != one) {
            let index = first + row;
            let ([x_at, gradient_at], length, position) = cells_of(index);
            let mut cells = self.cells.part(x_at, gradient_at, length);
            let plan = self.job.plan(index);
            let Position { first, step } = position;
            let mut column = Column { cells: &mut cells, first, step };
            let outputs = &mut self.outputs;
            // Zero, infinite or NaN.
            let loss = self.job.unsettled_row(index, &plan, &mut column, outputs);
            results.loss[row] = F::from_f64(loss);
        }
    }
}

/// Where the classes of a row are among its cells.
struct Position {
    first: usize,
    step: usize,
}

/// Whole blocks of rows of few classes with labels and nothing else, from row `first` on: returns the
/// first row of a block that has others, which are not live or whose largest logit is not finite.
///
/// With so little to ask for, the registers hold all there is; and for some numbers of `CLASSES` (zero for
/// any other) the compiler knows where each logit is.
struct Plain<
    'l,
    'a,
    'o,
    F,
    Z,
    const KIND: u8,
    const MODE: u8,
    const CLASSES: usize,
    const FOURS: usize,
> {
    leaf: &'l mut Leaf<'a, 'o, F, Z, KIND, MODE>,
    first: usize,
    sum: &'l mut LossSum,
}

impl<F, Z, const KIND: u8, const MODE: u8, const CLASSES: usize, const FOURS: usize> Kernel
    for Plain<'_, '_, '_, F, Z, KIND, MODE, CLASSES, FOURS>
where
    F: Float,
    Z: LogitMap,
{
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> usize {
        self.rows::<F::Of<S>>(simd)
    }

    entries!();
}

impl<F, Z, const KIND: u8, const MODE: u8, const CLASSES: usize, const FOURS: usize>
    Plain<'_, '_, '_, F, Z, KIND, MODE, CLASSES, FOURS>
where
    F: Float,
    Z: LogitMap,
{
    #[inline(always)]
    fn rows<V: Lanes<Scalar = F>>(self, token: V::Token) -> usize {
        let Self { leaf, first, sum } = self;
        // A sum of its own, which nothing else can refer to, stays in registers.
        let mut total = *sum;
        let end = Self::blocks::<V>(leaf, first, &mut total, token);
        *sum = total;
        end
    }

    #[inline(always)]
    fn blocks<V: Lanes<Scalar = F>>(
        leaf: &mut Leaf<'_, '_, F, Z, KIND, MODE>,
        mut first: usize,
        sum: &mut LossSum,
        token: V::Token,
    ) -> usize {
        let job = leaf.job;
        let classes = Self::classes(leaf);
        let grid = Grid { stride: ROWS, first: 0, rows: ROWS };
        let mut blocks = [(); BLOCKS].map(|()| job.block(grid, leaf.outputs.convention));
        let mut results = [(); BLOCKS].map(|()| BlockResults::new());
        let zero = V::of(token, 0.0);
        let mut columns = [[[zero; 4]; FOURS]; TOGETHER];
        let (mut largest, mut sums) = ([zero; TOGETHER], [[zero; 3]; TOGETHER]);
        let of_block = ROWS / V::LANES;
        let place = |register: usize| (register / of_block, register % of_block * V::LANES);
        loop {
            let count = ((job.shape.row_count() - first) / ROWS).min(TOGETHER / of_block);
            for (index, block) in blocks.iter_mut().enumerate().take(count) {
                job.fill(block, first + index * ROWS, ROWS);
            }
            let there = Self::load(leaf, token, first, &mut columns[..count * of_block]);
            let mut ready = 0;
            while ready < there {
                let (block, at) = place(ready);
                let plane = columns_of::<V, LOSS, CLASSES>(&mut columns[ready], classes);
                let Some(max) = blocks[block].plain_largest(token, at, &plane) else { break };
                largest[ready] = max;
                ready += 1;
            }
            let whole = ready / of_block;
            if whole == 0 {
                return first;
            }
            for register in 0..whole * of_block {
                let (block, at) = place(register);
                let (columns, max) = (&mut columns[register], largest[register]);
                sums[register] = if MODE == LOSS {
                    let mut plane = columns_of::<V, LOSS, CLASSES>(columns, classes);
                    blocks[block].plain_sums(token, at, &mut plane, max)
                } else {
                    let mut plane = columns_of::<V, WRITE, CLASSES>(columns, classes);
                    blocks[block].plain_sums(token, at, &mut plane, max)
                };
            }
            for register in 0..whole * of_block {
                let (block, at) = place(register);
                let (max, sums) = (largest[register], sums[register]);
                let results = &mut results[block];
                let settled = blocks[block].plain_settled(token, at, max, sums, results);
                if MODE == WRITE {
                    let columns = &mut columns[register];
                    let mut plane = columns_of::<V, WRITE, CLASSES>(columns, classes);
                    blocks[block].plain_gradient(token, at, &mut plane, max, &settled);
                }
            }
            if MODE == WRITE {
                Self::store(leaf, first, &columns[..whole * of_block]);
            }
            for results in &results[..whole] {
                sum.add(&results.loss);
                leaf.put_outputs(first, ROWS, results);
                first += ROWS;
            }
        }
    }
}

impl<F, Z, const KIND: u8, const MODE: u8, const CLASSES: usize, const FOURS: usize>
    Plain<'_, '_, '_, F, Z, KIND, MODE, CLASSES, FOURS>
where
    F: Float,
    Z: LogitMap,
{
    /// How many classes there are, known to the compiler where it may be.
    #[inline(always)]
    fn classes(leaf: &Leaf<'_, '_, F, Z, KIND, MODE>) -> usize {
        if CLASSES == 0 { leaf.job.shape.classes } else { CLASSES }
    }

    /// Whether rows lie one after the other, and not side by side.
    #[inline(always)]
    fn are_together(leaf: &Leaf<'_, '_, F, Z, KIND, MODE>) -> bool {
        CLASSES != 0 || leaf.job.shape.inner == 1
    }

    /// The columns of registers of rows from `first` on: of how many registers.
    #[inline(always)]
    fn load<V: Lanes<Scalar = F>>(
        leaf: &Leaf<'_, '_, F, Z, KIND, MODE>,
        token: V::Token,
        first: usize,
        columns: &mut [[[V; 4]; FOURS]],
    ) -> usize {
        let classes = Self::classes(leaf);
        let logits = leaf.cells.logits();
        if Self::are_together(leaf) {
            for (register, columns) in columns.iter_mut().enumerate() {
                let logits = from(logits, (first + register * V::LANES) * classes);
                if !whole_to_columns(token, logits, classes, columns) {
                    return register;
                }
            }
            return columns.len();
        }
        // Registers of a class together: classes are far apart in memory.
        for class in 0..classes {
            for (register, columns) in columns.iter_mut().enumerate() {
                let start = leaf.job.shape.logit_place(first + register * V::LANES, class);
                let column = &mut columns.as_flattened_mut()[class];
                *column = V::load(token, from(logits, start), V::of(token, 0.0));
            }
        }
        columns.len()
    }

    /// The gradient of registers of rows from `first` on.
    #[inline(always)]
    fn store<V: Lanes<Scalar = F>>(
        leaf: &mut Leaf<'_, '_, F, Z, KIND, MODE>,
        first: usize,
        columns: &[[[V; 4]; FOURS]],
    ) {
        let Shape { inner, gradient_stride, .. } = leaf.job.shape;
        let classes = Self::classes(leaf);
        let together = Self::are_together(leaf);
        let gradient = leaf.cells.gradient_mut();
        if together {
            for (register, columns) in columns.iter().enumerate() {
                let start = (first + register * V::LANES) * classes;
                whole_from_columns(columns, classes, from_mut(gradient, start));
            }
            return;
        }
        for class in 0..classes {
            for (register, columns) in columns.iter().enumerate() {
                let row = first + register * V::LANES;
                let start = row / inner * gradient_stride + row % inner + class * inner;
                columns.as_flattened()[class].store(from_mut(gradient, start));
            }
        }
    }
}

/// The classes of a register of rows.
#[inline(always)]
fn columns_of<V, const MODE: u8, const CLASSES: usize>(
    fours: &mut [[V; 4]],
    classes: usize,
) -> Registers<'_, V, MODE, CLASSES> {
    Registers(&mut fours.as_flattened_mut()[..classes])
}

/// Registers of rows that take each step together, so that the steps of one need not wait for each other:
/// all of them one after the other are longer than what the processor looks ahead.
const TOGETHER: usize = 8;

/// Blocks that those registers have at most. All are filled before the first of them is read: what has
/// just been stored in small parts cannot be loaded as a whole before it has reached the cache.
const BLOCKS: usize = 4;

/// Rows of few classes.
struct Narrow<'l, 'a, 'o, F, Z, const KIND: u8, const MODE: u8> {
    leaf: &'l mut Leaf<'a, 'o, F, Z, KIND, MODE>,
    rows: Range<usize>,
    sum: &'l mut LossSum,
}

impl<F: Float, Z: LogitMap, const KIND: u8, const MODE: u8> Kernel
    for Narrow<'_, '_, '_, F, Z, KIND, MODE>
{
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { leaf, rows, sum } = self;
        let mut scratch = Scratch::<F::Of<S>>::new(simd);
        let grid = Grid { stride: ROWS, first: 0, rows: ROWS };
        let job = leaf.job;
        let mut block = job.block(grid, leaf.outputs.convention);
        let mut first = rows.start;
        while first < rows.end {
            let count = ROWS.min(rows.end - first);
            job.fill(&mut block, first, count);
            let mut results = leaf.transposed(simd, &block, first, count, &mut scratch);
            leaf.settle_rows(first, count, &mut results);
            sum.add(&results.loss[..count]);
            first += count;
        }
    }

    entries!();
}

/// A register of rows, class by class: its logits (then gradients); and what is beside them, as a grid.
struct Scratch<V: Vector> {
    values: [V; lanes::CLASSES],
    weights: [OfRows<V::Scalar>; lanes::CLASSES],
    hessian: [OfRows<V::Scalar>; lanes::CLASSES],
}

impl<V: Vector> Scratch<V> {
    #[inline(always)]
    fn new(token: V::Token) -> Self {
        let zeros = [[V::Scalar::default(); ROWS]; lanes::CLASSES];
        Self { values: [V::of(token, 0.0); _], weights: zeros, hessian: zeros }
    }
}

impl<F: Float, Z: LogitMap, const KIND: u8, const MODE: u8> Leaf<'_, '_, F, Z, KIND, MODE> {
    /// Rows of few classes: a register of them at a time is transposed, and its gradients back.
    #[inline(always)]
    fn transposed<V: Vector<Scalar = F>>(
        &mut self,
        token: V::Token,
        block: &Block<'_, F>,
        first: usize,
        rows: usize,
        scratch: &mut Scratch<V>,
    ) -> BlockResults<F> {
        let Shape { classes, logits_stride, gradient_stride, .. } = self.job.shape;
        let columns = ..classes.min(lanes::CLASSES);
        let values = &mut scratch.values;
        let weights = &mut scratch.weights[columns];
        let hessian = &mut scratch.hessian[columns];
        let wants_hessian = !self.outputs.hessian.is_empty();
        let task = self.task();
        let mut results = BlockResults::new();
        for at in (0..rows).step_by(V::LANES) {
            let row = first + at;
            let places = |stride| RowPlaces { rows: (rows - at).min(V::LANES), stride };
            let mut dense: &[F] = &[];
            if KIND != LABEL && !self.job.dense().is_empty() {
                let dense_rows = from(self.job.dense(), row * classes);
                to_columns(token, dense_rows, places(classes), classes, values);
                for (column, register) in weights.iter_mut().zip(&*values) {
                    register.store(&mut column[at..]);
                }
                dense = weights.as_flattened();
            }
            let logits = from(self.cells.logits(), row * logits_stride);
            to_columns(token, logits, places(logits_stride), classes, values);
            let hessian_place = wants_hessian.then_some(hessian.as_flattened_mut());
            let alongside = Alongside { dense, hessian: hessian_place };
            if MODE == LOSS {
                let mut plane = Registers::<_, LOSS, 0>(&mut values[columns]);
                block.register::<_, Z, _, KIND>(
                    token,
                    at,
                    &mut plane,
                    alongside,
                    task,
                    &mut results,
                );
            } else {
                let mut plane = Registers::<_, WRITE, 0>(&mut values[columns]);
                block.register::<_, Z, _, KIND>(
                    token,
                    at,
                    &mut plane,
                    alongside,
                    task,
                    &mut results,
                );
                let mut cells = self.cells.from(row * logits_stride, row * gradient_stride);
                let settled = |row: usize| results.finite[at + row] == F::from_count(1);
                let places = places(gradient_stride);
                from_columns::<_, MODE>(token, values, places, classes, &mut cells, settled);
            }
            if wants_hessian {
                for (column, register) in hessian.iter().zip(values.iter_mut()) {
                    *register = V::load(token, &column[at..], V::of(token, 0.0));
                }
                let place = from_mut(self.outputs.hessian, row * classes);
                let mut cells = Cells::<_, WRITE>::in_place(place);
                let places = places(classes);
                from_columns::<_, WRITE>(token, values, places, classes, &mut cells, |_| true);
            }
        }
        results
    }
}

/// Rows whose class axis is not the last one.
struct Columns<'l, 'a, 'o, F, Z, const KIND: u8, const MODE: u8> {
    leaf: &'l mut Leaf<'a, 'o, F, Z, KIND, MODE>,
    rows: Range<usize>,
    sum: &'l mut LossSum,
}

impl<F: Float, Z: LogitMap, const KIND: u8, const MODE: u8> Kernel
    for Columns<'_, '_, '_, F, Z, KIND, MODE>
{
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { leaf, rows, sum } = self;
        let inner = leaf.job.shape.inner;
        let mut first = rows.start;
        while first < rows.end {
            let position = first % inner;
            let count = ROWS.min(inner - position).min(rows.end - first);
            let results = leaf.columns::<S>(simd, first / inner, position, count);
            sum.add(&results.loss[..count]);
            first += count;
        }
    }

    entries!();
}

impl<F: Float, Z: LogitMap, const KIND: u8, const MODE: u8> Leaf<'_, '_, F, Z, KIND, MODE> {
    /// Neighbouring rows whose class axis is not the last one.
    #[inline(always)]
    fn columns<S: Simd>(
        &mut self,
        simd: S,
        outer: usize,
        position: usize,
        rows: usize,
    ) -> BlockResults<F> {
        let Shape { classes, inner, logits_stride, gradient_stride, .. } = self.job.shape;
        let first = outer * inner + position;
        let grid = Grid { stride: inner, first: position, rows };
        let job = self.job;
        let mut block = job.block(grid, self.outputs.convention);
        job.fill(&mut block, first, rows);
        let plane = outer * classes * inner..(outer + 1) * classes * inner;
        let dense = self.job.dense().get(plane.clone()).unwrap_or(&[]);
        let mut results = BlockResults::new();
        let task = self.task();
        let start = [outer * logits_stride, outer * gradient_stride];
        let cells = self.cells.part(start[0], start[1], classes * inner);
        let hessian = self.outputs.hessian.get_mut(plane);
        let mut plane = Gridded { cells, grid, classes };
        block.run::<F::Of<S>, Z, _, KIND>(
            simd,
            &mut plane,
            Alongside { dense, hessian },
            task,
            &mut results,
        );
        self.put_outputs(first, rows, &results);
        self.settle(first, rows, &mut results, |row| {
            let position = Position { first: row % inner, step: inner };
            (start, classes * inner, position)
        });
        results
    }
}
