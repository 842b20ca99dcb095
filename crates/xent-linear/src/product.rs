//! Products of matrices, by the crate `matrixmultiply`: the only unsafe code of this crate.
//!
//! An element of a product is a sum over 256 terms at a time, each a chain of fused multiply-adds in order; these sums
//! are added in order. It does not depend on how the product is cut into rows and columns, so threads can share it.

use core::ops::Range;
use core::sync::atomic::{AtomicPtr, Ordering};

use xent_core::Float;

/// The terms of a chain of fused multiply-adds.
pub(crate) const TERMS: usize = 256;

/// A matrix that is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'a, F> {
    values: &'a [F],
    rows: usize,
    columns: usize,
    /// From a row, and from a column, to the next.
    steps: [usize; 2],
}

impl<'a, F> Matrix<'a, F> {
    /// Row after row, with `stride` elements from the start of one to the next.
    pub(crate) fn new(values: &'a [F], rows: usize, columns: usize, stride: usize) -> Self {
        check_span(values.len(), rows, columns, stride);
        Self { values, rows, columns, steps: [stride, 1] }
    }

    /// A row of a matrix whose rows are contiguous.
    pub(crate) fn row(&self, row: usize) -> &'a [F] {
        let start = self.at(row, 0);
        &self.values[start..start + self.columns]
    }

    pub(crate) fn transposed(self) -> Self {
        let [row, column] = self.steps;
        Self { rows: self.columns, columns: self.rows, steps: [column, row], ..self }
    }

    /// The index of an element.
    fn at(&self, row: usize, column: usize) -> usize {
        row * self.steps[0] + column * self.steps[1]
    }

    pub(crate) fn rows_of(self, rows: Range<usize>) -> Self {
        assert!(rows.start <= rows.end && rows.end <= self.rows, "rows of the matrix");
        let first = self.at(rows.start, 0).min(self.values.len());
        Self { values: &self.values[first..], rows: rows.len(), ..self }
    }

    pub(crate) fn columns_of(self, columns: Range<usize>) -> Self {
        self.transposed().rows_of(columns).transposed()
    }
}

/// A matrix that is written, row after row.
#[derive(Debug)]
pub(crate) struct MatrixMut<'a, F> {
    values: &'a mut [F],
    rows: usize,
    columns: usize,
    stride: usize,
}

impl<'a, F> MatrixMut<'a, F> {
    pub(crate) fn new(values: &'a mut [F], rows: usize, columns: usize, stride: usize) -> Self {
        check_span(values.len(), rows, columns, stride);
        Self { values, rows, columns, stride }
    }
}

/// The last row ends with its elements.
fn check_span(length: usize, rows: usize, columns: usize, stride: usize) {
    assert!(columns <= stride, "a stride of at least a row");
    let span = if rows == 0 { 0 } else { (rows - 1) * stride + columns };
    assert!(span <= length, "a matrix in its slice");
}

/// A part of a product, for one thread.
#[derive(Debug)]
pub struct Part<'a, F> {
    a: Matrix<'a, F>,
    b: Matrix<'a, F>,
    into: &'a Place<F>,
    rows: Range<usize>,
    columns: Range<usize>,
    adds: bool,
}

/// Where a product is written. (A pointer that threads may share; nothing about it is atomic.)
#[derive(Debug)]
struct Place<F> {
    start: AtomicPtr<F>,
    stride: usize,
}

/// Formats that there is a product for.
pub trait Product: Float {
    /// Computes a part of a product.
    fn multiply(part: Part<'_, Self>);

    /// To nearest.
    fn rounded(value: f64) -> Self;
}

macro_rules! product {
    ($float:ty, $gemm:ident) => {
        impl Product for $float {
            #[allow(trivial_numeric_casts, reason = "one of the formats is f64")]
            fn rounded(value: f64) -> Self {
                value as $float
            }

            fn multiply(part: Part<'_, $float>) {
                let Part { a, b, into, rows, columns, adds } = part;
                let (a, b) = (a.rows_of(rows.clone()), b.columns_of(columns.clone()));
                assert_eq!(a.columns, b.rows, "as many columns as rows");
                let [a_row, a_column] = a.steps.map(|step| step as isize);
                let [b_row, b_column] = b.steps.map(|step| step as isize);
                let beta = if adds { 1.0 } else { 0.0 };
                let first = rows.start * into.stride + columns.start;
                let start = into.start.load(Ordering::Relaxed);
                // SAFETY: `Matrix` holds that all elements of `a` and `b`, with these steps, are in their slices
                // (`check_span`, and parts of a matrix are inside of it). `into` comes from a `MatrixMut`, which
                // holds the same and is borrowed until `multiply` below returns; the rows and columns are inside of
                // it, and no two parts have an element in common. Steps fit `isize`, as those of a slice do. With a
                // factor of zero, what is there is not read.
                unsafe {
                    matrixmultiply::$gemm(
                        rows.len(),
                        a.columns,
                        columns.len(),
                        1.0,
                        a.values.as_ptr(),
                        a_row,
                        a_column,
                        b.values.as_ptr(),
                        b_row,
                        b_column,
                        beta,
                        start.add(first),
                        into.stride as isize,
                        1,
                    );
                }
            }
        }
    };
}
product!(f32, sgemm);
#[cfg(feature = "f64")]
product!(f64, dgemm);

/// With fewer multiplications, a part is not cut for threads.
const WORTH_A_THREAD: usize = 1 << 19;

/// Rows and columns of a part, but the last, are multiples of this: whole tiles of the product's kernels.
const UNIT: usize = 64;

/// `c = a b`, or `c += a b`, on the threads of the current rayon pool.
pub(crate) fn multiply<F: Product>(
    a: Matrix<'_, F>,
    b: Matrix<'_, F>,
    c: MatrixMut<'_, F>,
    adds: bool,
) {
    assert_eq!((a.rows, b.columns, a.columns), (c.rows, c.columns, b.rows), "shapes of a product");
    if c.rows == 0 || c.columns == 0 {
        return;
    }
    let into = Place { start: AtomicPtr::new(c.values.as_mut_ptr()), stride: c.stride };
    let part = Part { a, b, into: &into, rows: 0..c.rows, columns: 0..c.columns, adds };
    let work = (c.rows * c.columns).saturating_mul(a.columns);
    let threads = rayon::current_num_threads().min(work / WORTH_A_THREAD).max(1);
    // More parts than threads, so that one that is late holds up less; but each copies its rows of `b`.
    let long = c.rows.max(c.columns);
    let parts = if threads == 1 {
        1
    } else if long >= 64 * UNIT * threads {
        4 * threads
    } else {
        threads
    };
    split(part, parts);
}

fn split<F: Product>(part: Part<'_, F>, parts: usize) {
    let (rows, columns) = (part.rows.clone(), part.columns.clone());
    let by_rows = rows.len() >= columns.len();
    let range = if by_rows { rows.clone() } else { columns.clone() };
    let of_first = (range.len() * (parts / 2) / parts.max(1)).next_multiple_of(UNIT);
    if parts < 2 || of_first >= range.len() {
        return F::multiply(part);
    }
    let middle = range.start + of_first;
    let cut = |range: Range<usize>| {
        let (rows, columns) =
            if by_rows { (range, columns.clone()) } else { (rows.clone(), range) };
        Part { rows, columns, ..part }
    };
    let (first, second) = (cut(range.start..middle), cut(middle..range.end));
    rayon::join(|| split(first, parts / 2), || split(second, parts - parts / 2));
}
