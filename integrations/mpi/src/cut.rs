//! Which classes each rank has.

use std::ops::Range;

use xent_core::SoftmaxShard;

/// The classes of each rank, as even as multiples of 4096 classes allow.
///
/// ```
/// // 31.3 multiples: 16 for each of two ranks, the last one short.
/// assert_eq!(xent_mpi::even_shards(128_256, 2), [0..65_536, 65_536..128_256]);
/// ```
#[must_use]
pub fn even_shards(classes: usize, ranks: usize) -> Vec<Range<usize>> {
    const TILE: usize = SoftmaxShard::<f32>::TILE;
    let tiles = classes.div_ceil(TILE);
    let start = |rank: usize| (tiles * rank / ranks.max(1) * TILE).min(classes);
    (0..ranks).map(|rank| start(rank)..start(rank + 1)).collect()
}
