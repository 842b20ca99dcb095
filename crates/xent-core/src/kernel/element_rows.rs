//! From the losses of elements to those of rows.

use super::sum::CompensatedSum;
use crate::dispatch::{Kernel, entries};
use crate::simd::Compute;
use crate::simd::{ACCUMULATORS, Lanes, STRIP, Simd, from};

/// The sum of the losses of each row, as if each were a tile: as many rows as there are sums.
pub(crate) struct RowSums<'a, F> {
    pub(crate) losses: &'a [F],
    pub(crate) classes: usize,
    pub(crate) sums: &'a mut [f64],
}

impl<F: Compute> Kernel for RowSums<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (row, place) in self.losses.chunks(self.classes).zip(self.sums) {
            let mut sum = CompensatedSum::new(simd);
            for strip in row.chunks(STRIP) {
                add::<F::Of<S>>(simd, strip, &mut sum);
            }
            *place = sum.total();
        }
    }

    entries!();
}

/// Adds the losses of at most a strip.
#[inline(always)]
fn add<V: Lanes>(token: V::Token, strip: &[V::Scalar], sum: &mut CompensatedSum<V>) {
    let zero = V::of(token, 0.0);
    for register in 0..ACCUMULATORS / V::LANES {
        let term =
            |row| V::load(token, from(strip, row * ACCUMULATORS + register * V::LANES), zero);
        sum.add(register, [term(0), term(1), term(2), term(3)]);
    }
}
