//! Integers, to the numbers that they stand for.

/// `scale × (q - zero_point)` of integers of at most 16 bits. The difference has at most 17 bits and neither wraps nor
/// rounds; the product is rounded once.
#[inline(always)]
pub(crate) fn dequantise(q: i32, scale: f32, zero_point: i32) -> f32 {
    q.wrapping_sub(zero_point) as f32 * scale
}

#[cfg(feature = "quantised")]
pub(crate) mod slices {
    use super::dequantise;
    use crate::dispatch::{Kernel, entries};
    use crate::kernel::sum::TILE;
    use crate::simd::{ACCUMULATORS, Lanes, Simd};

    /// Converts as many integers as there are both integers and places.
    pub(crate) struct Dequantise<'a, Q> {
        pub(crate) scale: f32,
        pub(crate) zero_point: i32,
        pub(crate) from: &'a [Q],
        pub(crate) into: &'a mut [f32],
    }

    impl<Q: Copy + Default + Into<i32>> Kernel for Dequantise<'_, Q> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            let Self { scale, zero_point, from, into } = self;
            let count = from.len().min(into.len());
            let (from, rest) = from[..count].as_chunks::<ACCUMULATORS>();
            let (into, rest_into) = into[..count].as_chunks_mut::<ACCUMULATORS>();
            for (from, into) in from.iter().zip(into) {
                // The next tile, while this one is computed.
                S::F32::prefetch(simd, from, TILE);
                *into = numbers(from, scale, zero_point);
            }
            if !rest.is_empty() {
                let mut padded = [Q::default(); ACCUMULATORS];
                padded[..rest.len()].copy_from_slice(rest);
                let numbers = numbers(&padded, scale, zero_point);
                rest_into.copy_from_slice(&numbers[..rest.len()]);
            }
        }

        entries!();
    }

    /// Of a length that the compiler knows, into an array of its own: so it makes registers of a plain loop, at any
    /// level. In places that might be those of the integers it would store one number after the other.
    #[inline(always)]
    fn numbers<Q: Copy + Into<i32>>(
        from: &[Q; ACCUMULATORS],
        scale: f32,
        zero_point: i32,
    ) -> [f32; ACCUMULATORS] {
        let mut numbers = [0.0; ACCUMULATORS];
        for (number, &q) in numbers.iter_mut().zip(from) {
            *number = dequantise(q.into(), scale, zero_point);
        }
        numbers
    }
}
