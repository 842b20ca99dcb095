//! The kernel of rows of few classes: a register of rows is loaded class by class (by a transpose in registers, if
//! rows are contiguous), and all steps are done in registers.

use super::block::{BlockSums, BlockTargets, FinishSoft, ROWS, RawTargets, RowBlock, RowSupply};
use super::lane_task::{LaneLayout, LaneTask};
use super::lanes::{
    self, LabelLanes, LaneGradient, Largest, SecondTask, label_sums, largest, second_derivatives,
    soft_sums,
};
use super::narrow_targets::{weights_of_targets, weights_of_teacher};
use super::planes::{Registers, SecondPlane, SoftPlane};
use super::row_buffers::{GradMode, RowBuffers};
use super::sum::LossSum;
use super::transpose::{
    RowPlaces, add_columns, from_columns, to_columns, whole_from_columns, whole_to_columns,
};
use crate::dispatch::{Kernel, entries};
use crate::simd::Compute;
use crate::simd::{Lanes, Simd, Vector, from, from_mut};

/// Rows of more classes use another kernel.
pub(crate) const CLASSES: usize = 32;

/// Registers of rows that go through each step together, so that the steps of one need not wait for each other: all
/// steps of a register are longer than the processor looks ahead.
const TOGETHER: usize = 8;

/// The same for rows with a weight for every class, which need twice as many registers.
const SOFT_TOGETHER: usize = 4;

/// Blocks that are filled in before the first of them is read: values stored in small parts cannot be loaded as a
/// whole before they have reached the cache.
pub(crate) const BLOCKS: usize = 4;

/// Rows of at most [`CLASSES`] classes. If `OF` is not zero, rows of exactly that many classes with labels, in
/// `FOURS` times four registers: the compiler then knows where each logit is.
pub(crate) struct Narrow<'a, 'b, F: Compute, const OF: usize, const FOURS: usize> {
    pub(crate) task: LaneTask,
    pub(crate) buffers: RowBuffers<'b, F>,
    pub(crate) rows: usize,
    pub(crate) supply: &'a mut dyn RowSupply<F>,
    /// As many as the rows fill, or [`BLOCKS`].
    pub(crate) blocks: &'a mut [RowBlock<F>],
}

impl<F: Compute, const OF: usize, const FOURS: usize> Kernel for Narrow<'_, '_, F, OF, FOURS> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f64 {
        self.chunks::<F::Of<S>>(simd)
    }

    entries!();
}

impl<F: Compute, const OF: usize, const FOURS: usize> Narrow<'_, '_, F, OF, FOURS> {
    #[inline(always)]
    fn chunks<V: Lanes<Scalar = F>>(mut self, token: V::Token) -> f64 {
        let zero = V::of(token, 0.0);
        let mut sum = LossSum::new();
        let of_chunk = (TOGETHER * V::LANES).max(ROWS).min(self.blocks.len() * ROWS);
        let mut columns = [[[zero; 4]; FOURS]; TOGETHER];
        // Created once, and only if rows have such targets.
        let is_soft = OF == 0 && !self.task.labels;
        let mut room = if is_soft { Some(SoftScratch::<V, FOURS>::new(token)) } else { None };
        let mut first = 0;
        while first < self.rows {
            let rows = self.task.layout.run(first, self.rows, of_chunk);
            self.supply.fill(self.blocks, first, rows);
            let some_degenerate = match &mut room {
                Some(room) => self.soft::<V>(token, first, rows, room),
                None => self.labels::<V>(token, first, rows, &mut columns),
            };
            let blocks = self.blocks.iter().enumerate().take(rows.div_ceil(ROWS));
            let some_degenerate = blocks.fold(some_degenerate, |some, (index, block)| {
                some | block.some_nan((rows - index * ROWS).min(ROWS))
            });
            if some_degenerate || self.task.takes_rows {
                self.supply.finish(self.blocks, first, rows, &mut self.buffers);
            }
            for (index, block) in self.blocks.iter().enumerate().take(rows.div_ceil(ROWS)) {
                sum.add(&block.loss[..(rows - index * ROWS).min(ROWS)]);
            }
            first += rows;
        }
        sum.total()
    }

    #[inline(always)]
    fn classes(&self) -> usize {
        if OF == 0 { self.task.layout.classes } else { OF }
    }

    /// Rows with labels or without targets. Returns whether some must be computed otherwise.
    #[inline(always)]
    fn labels<V: Lanes<Scalar = F>>(
        &mut self,
        token: V::Token,
        first: usize,
        rows: usize,
        columns: &mut [[[V; 4]; FOURS]; TOGETHER],
    ) -> bool {
        let mut some_degenerate = false;
        let zero = V::of(token, 0.0);
        let classes = self.classes();
        let writes = self.buffers.mode() != GradMode::None;
        let adds = self.buffers.mode() == GradMode::Add;
        let of_nothing = matches!(self.supply.targets(), BlockTargets::Nothing);
        let wants_class = self.task.largest_class || of_nothing || self.task.second.is_some();
        let none = Largest { max: zero, finite: zero, some_degenerate: false };
        let (mut maxima, mut sums) = ([none; TOGETHER], [[zero; 3]; TOGETHER]);
        for start in (0..rows).step_by(TOGETHER * V::LANES) {
            let count = (rows - start).div_ceil(V::LANES).min(TOGETHER);
            let (layout, here) = (self.task.layout, (first + start, rows - start));
            let logits = self.buffers.logits();
            load::<V, OF, FOURS>(token, logits, layout, here, &mut columns[..count]);
            for register in 0..count {
                let row = start + register * V::LANES;
                let block = &mut self.blocks[row / ROWS];
                let plane = plane_of::<V, OF>(&mut columns[register], classes, adds);
                maxima[register] = largest(token, row % ROWS, &plane, block, wants_class);
                some_degenerate |= maxima[register].some_degenerate;
            }
            for register in 0..count {
                let row = start + register * V::LANES;
                let block = &self.blocks[row / ROWS];
                let label = label_of::<V>(token, row % ROWS, block, of_nothing);
                let mut plane = plane_of::<V, OF>(&mut columns[register], classes, adds);
                sums[register] = label_sums(token, &mut plane, label, maxima[register]);
            }
            for register in 0..count {
                let row = start + register * V::LANES;
                let (at, block) = (row % ROWS, &mut self.blocks[row / ROWS]);
                let pivot = label_of::<V>(token, at, block, of_nothing);
                let largest = maxima[register];
                let terms = self.task.terms;
                let coefficients =
                    block.finish_labels(token, at, largest.max, sums[register], terms);
                block.put(at, &coefficients);
                let mut plane = plane_of::<V, OF>(&mut columns[register], classes, adds);
                if let Some(curvature) = self.task.second {
                    block.all_weights = block.label_weights;
                    let mut place = Columns { registers: &mut [zero; CLASSES] };
                    let [_, exp, others] = sums[register];
                    let label = Some(LabelLanes { class: pivot, exp, others });
                    let second = SecondTask { unit: 1.0, curvature, terms, label };
                    second_derivatives(token, at, &plane, largest, block, second, &mut place);
                    let count = (rows - row).min(V::LANES);
                    self.store_second::<V>(first + row, count, place.registers);
                }
                if writes {
                    let live = lanes::live::<V>(token, at, &self.blocks[row / ROWS]);
                    let gradient =
                        LaneGradient::of_labels(token, largest, pivot, &coefficients, live);
                    gradient.put_labels(token, &mut plane);
                }
            }
            if writes {
                self.store::<V>(token, first + start, rows - start, &mut columns[..count]);
            }
        }
        some_degenerate
    }

    /// Rows with a weight for every class. Returns whether some must be computed otherwise.
    #[inline(always)]
    fn soft<V: Lanes<Scalar = F>>(
        &mut self,
        token: V::Token,
        first: usize,
        rows: usize,
        room: &mut SoftScratch<V, FOURS>,
    ) -> bool {
        let mut some_degenerate = false;
        let zero = V::of(token, 0.0);
        let classes = self.classes();
        let adds = self.buffers.mode() == GradMode::Add;
        let none = Largest { max: zero, finite: zero, some_degenerate: false };
        let mut maxima = [none; SOFT_TOGETHER];
        let SoftScratch { columns, weights, teacher, sums } = room;
        for start in (0..rows).step_by(SOFT_TOGETHER * V::LANES) {
            let count = (rows - start).div_ceil(V::LANES).min(SOFT_TOGETHER);
            let BlockTargets::Raw(raw) = self.supply.targets() else { return false };
            let (layout, here) = (self.task.layout, (first + start, rows - start));
            let logits = self.buffers.logits();
            load::<V, 0, FOURS>(token, logits, layout, here, &mut columns[..count]);
            if !raw.dense.is_empty() {
                let stride = layout.classes * layout.inner;
                let layout = LaneLayout { strides: [stride; 2], ..layout };
                load::<V, 0, FOURS>(token, raw.dense, layout, here, &mut weights[..count]);
            }
            let RawTargets { is_teacher, own_gradient, .. } = raw;
            // All registers of each block, or as many as there is space for; the other registers of a block repeat
            // the work.
            let mut register = 0;
            while register < count {
                let row = start + register * V::LANES;
                let index = row / ROWS;
                let end = (register + (ROWS - row % ROWS) / V::LANES).min(count);
                for register in register..end {
                    let at = (start + register * V::LANES) % ROWS;
                    let block = &mut self.blocks[index];
                    let of_row = &mut weights[register].as_flattened_mut()[..classes];
                    if is_teacher {
                        let teacher = &mut teacher[register].as_flattened_mut()[..classes];
                        let (of_row, unit) = ((of_row, teacher), self.task.unit);
                        let class_weights = raw.class_weights;
                        weights_of_teacher(token, at, of_row, block, class_weights, unit);
                    } else {
                        weights_of_targets(token, at, of_row, block, &raw);
                    }
                    let mut plane = plane_of::<V, OF>(&mut columns[register], classes, adds);
                    let largest = largest(token, at, &plane, block, true);
                    maxima[register] = largest;
                    some_degenerate |= largest.some_degenerate;
                    let all = teacher[register].as_flattened();
                    let soft = SoftRegisters {
                        weights: &weights[register].as_flattened()[..classes],
                        teacher: if is_teacher { all } else { &[] },
                    };
                    let of_block = (&mut *block, &mut *sums);
                    let options = (self.task.unit, own_gradient);
                    soft_sums(token, at, &mut plane, &soft, largest, of_block, options);
                }
                FinishSoft {
                    block: &mut self.blocks[index],
                    sums: &*sums,
                    unit: self.task.unit,
                    z_loss: self.task.terms.z_loss,
                    own_gradient_weights: own_gradient,
                    has_teacher: is_teacher,
                }
                .at(self.task.level);
                register = end;
            }
            for register in 0..count {
                let row = start + register * V::LANES;
                let (at, index) = (row % ROWS, row / ROWS);
                let block = &self.blocks[index];
                let mut plane = plane_of::<V, OF>(&mut columns[register], classes, adds);
                let largest = maxima[register];
                if let Some(curvature) = self.task.second {
                    let mut place = Columns { registers: &mut [zero; CLASSES] };
                    let (unit, terms) = (self.task.unit, self.task.terms);
                    let second = SecondTask { unit, curvature, terms, label: None };
                    second_derivatives(token, at, &plane, largest, block, second, &mut place);
                    let count = (rows - row).min(V::LANES);
                    self.store_second::<V>(first + row, count, place.registers);
                }
                let block = &self.blocks[index];
                if self.buffers.mode() != GradMode::None {
                    let unit = V::of(token, self.task.unit);
                    let gradient = LaneGradient::of_soft(token, at, block, largest, unit);
                    let soft = SoftRegisters {
                        weights: &weights[register].as_flattened()[..classes],
                        teacher: &[],
                    };
                    gradient.put_soft(token, at, &mut plane, &soft, block, own_gradient);
                }
            }
            if self.buffers.mode() != GradMode::None {
                self.store::<V>(token, first + start, rows - start, &mut columns[..count]);
            }
        }
        some_degenerate
    }

    /// The gradient of the registers of rows from `first` on, which hold `rows` rows.
    #[inline(always)]
    fn store<V: Lanes<Scalar = F>>(
        &mut self,
        token: V::Token,
        first: usize,
        rows: usize,
        columns: &mut [[[V; 4]; FOURS]],
    ) {
        let classes = self.classes();
        let LaneLayout { inner, strides: [_, stride], .. } = self.task.layout;
        let adds = self.buffers.mode() == GradMode::Add;
        let start = self.task.layout.start(first, stride);
        let gradient = self.buffers.gradient_mut();
        if OF != 0 || inner == 1 {
            for (register, columns) in columns.iter_mut().enumerate() {
                let rows = (rows - register * V::LANES).min(V::LANES);
                let into = from_mut(gradient, start + register * V::LANES * stride);
                let places = RowPlaces { rows, stride };
                if adds {
                    add_columns(token, columns.as_flattened_mut(), places, classes, into);
                }
                let whole = rows == V::LANES && stride == classes;
                if !(whole && whole_from_columns(columns, classes, into)) {
                    from_columns(columns.as_flattened_mut(), places, classes, into);
                }
            }
            return;
        }
        for class in 0..classes {
            let column = from_mut(gradient, start + class * inner);
            let length = rows.min(column.len());
            let column = &mut column[..length];
            for (register, columns) in columns.iter().enumerate() {
                let place = from_mut(column, register * V::LANES);
                let mut g = columns.as_flattened()[class];
                if adds {
                    g = V::load(token, place, V::of(token, 0.0)) + g;
                }
                g.store(place);
            }
        }
    }

    /// The second derivatives of a register of rows.
    #[inline(always)]
    fn store_second<V: Lanes<Scalar = F>>(
        &mut self,
        first: usize,
        rows: usize,
        registers: &mut [V; CLASSES],
    ) {
        let (classes, inner) = (self.classes(), self.task.layout.inner);
        let start = self.task.layout.start(first, classes * inner);
        if inner == 1 {
            let into = from_mut(self.supply.hessian(), start);
            let places = RowPlaces { rows, stride: classes };
            from_columns(registers, places, classes, into);
            return;
        }
        for (class, register) in registers.iter().enumerate().take(classes) {
            let column = from_mut(self.supply.hessian(), start + class * inner);
            let length = rows.min(column.len());
            register.store(&mut column[..length]);
        }
    }
}

/// The columns of the registers of rows from `first` on, which hold `rows` rows. With `OF`, contiguous rows.
#[inline(always)]
fn load<V: Lanes, const OF: usize, const FOURS: usize>(
    token: V::Token,
    from_rows: &[V::Scalar],
    layout: LaneLayout,
    (first, rows): (usize, usize),
    columns: &mut [[[V; 4]; FOURS]],
) {
    let LaneLayout { classes, inner, strides: [stride, _] } = layout;
    let classes = if OF == 0 { classes } else { OF };
    if OF != 0 || inner == 1 {
        for (register, columns) in columns.iter_mut().enumerate() {
            let rows = (rows - register * V::LANES).min(V::LANES);
            let x = from(from_rows, (first + register * V::LANES) * stride);
            let whole = rows == V::LANES && stride == classes;
            if !(whole && whole_to_columns(token, x, classes, columns)) {
                let places = RowPlaces { rows, stride };
                to_columns(token, x, places, classes, columns.as_flattened_mut());
            }
        }
        return;
    }
    // The registers of a class together, because classes are far apart in memory.
    let start = layout.start(first, stride);
    for class in 0..classes {
        let column = from(from_rows, start + class * inner);
        let column = column.get(..rows).unwrap_or(column);
        for (register, columns) in columns.iter_mut().enumerate() {
            let place = &mut columns.as_flattened_mut()[class];
            *place = V::load(token, from(column, register * V::LANES), V::of(token, 0.0));
        }
    }
}

/// Scratch buffer for registers of rows with a weight for every class.
struct SoftScratch<V: Vector, const FOURS: usize> {
    columns: [[[V; 4]; FOURS]; SOFT_TOGETHER],
    weights: [[[V; 4]; FOURS]; SOFT_TOGETHER],
    /// The distance of a teacher's logits below the largest.
    teacher: [[[V; 4]; FOURS]; SOFT_TOGETHER],
    sums: BlockSums<V::Scalar>,
}

impl<V: Vector, const FOURS: usize> SoftScratch<V, FOURS> {
    #[inline(always)]
    fn new(token: V::Token) -> Self {
        let zeros = [[[V::of(token, 0.0); 4]; FOURS]; SOFT_TOGETHER];
        Self { columns: zeros, weights: zeros, teacher: zeros, sums: BlockSums::new() }
    }
}

/// The label of each row, or the class of its largest logit.
#[inline(always)]
pub(crate) fn label_of<V: Vector>(
    token: V::Token,
    at: usize,
    block: &RowBlock<V::Scalar>,
    of_nothing: bool,
) -> V {
    let labels = if of_nothing { &block.largest_class } else { &block.labels };
    V::load(token, from(labels, at), V::of(token, 0.0))
}

/// The classes of a register of rows.
#[inline(always)]
fn plane_of<V, const OF: usize>(
    fours: &mut [[V; 4]],
    classes: usize,
    adds: bool,
) -> Registers<'_, V, OF> {
    Registers { classes: &mut fours.as_flattened_mut()[..classes], adds }
}

/// Second derivatives before they are written.
struct Columns<'a, V> {
    registers: &'a mut [V; CLASSES],
}

impl<V: Vector> SecondPlane<V> for Columns<'_, V> {
    #[inline(always)]
    fn put(&mut self, class: usize, value: V) {
        self.registers[class] = value;
    }
}

/// The weights of a register of rows, and the distance of a teacher's logits below the largest.
struct SoftRegisters<'a, V> {
    weights: &'a [V],
    /// Empty if there are none.
    teacher: &'a [V],
}

impl<V: Vector> SoftPlane<V> for SoftRegisters<'_, V> {
    #[inline(always)]
    fn weight(&self, _: V::Token, class: usize) -> V {
        self.weights[class]
    }

    #[inline(always)]
    fn has_teacher(&self) -> bool {
        !self.teacher.is_empty()
    }

    #[inline(always)]
    fn teacher_distance(&self, _: V::Token, class: usize) -> V {
        self.teacher[class]
    }
}
