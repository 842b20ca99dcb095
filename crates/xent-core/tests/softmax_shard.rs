//! A batch whose classes are in several shards has the bits of the whole batch.

use std::ops::Range;

use proptest::prelude::*;
use xent_core::{
    Batch, Buffers, Element, Error, Gradient, InTurn, Level, NotFiniteRows, Outputs, RowWeights,
    Shape, SoftmaxBatch, SoftmaxOptions, SoftmaxShard, SoftmaxTargets,
};

const TILE: usize = SoftmaxShard::<f32>::TILE;

/// What a batch writes, as bits.
#[derive(Debug, Default, PartialEq)]
struct Results {
    sum: u64,
    losses: Vec<u64>,
    log_sum_exp: Vec<u64>,
    predicted: Vec<u32>,
    gradient: Vec<u64>,
    not_finite: (usize, Option<usize>),
}

/// All NaNs count as the same.
fn bits<E: Into<f64> + Copy>(values: &[E]) -> Vec<u64> {
    values.iter().map(|&value| sum_bits(value.into())).collect()
}

fn sum_bits(sum: f64) -> u64 {
    if sum.is_nan() { f64::NAN.to_bits() } else { sum.to_bits() }
}

#[derive(Clone, Copy)]
struct Case<'a, E: Element> {
    logits: &'a [E],
    rows: usize,
    classes: usize,
    labels: &'a [i64],
    options: SoftmaxOptions<'a, E::Float>,
    weights: RowWeights<'a, E::Float>,
    /// Whether the gradient is added, or overwrites the logits.
    adds: bool,
    in_place: bool,
}

impl<E: Element + Into<f64>> Case<'_, E>
where
    E::Float: Into<f64>,
{
    fn buffers<'b>(&self, x: &'b [E], gradient: &'b mut [E]) -> Buffers<'b, E> {
        if self.in_place {
            gradient.copy_from_slice(x);
            Buffers::in_place(gradient)
        } else if self.adds {
            gradient.fill(E::from_float(E::Float::from(0.5)));
            Buffers::new(x, Gradient::Add(gradient))
        } else {
            Buffers::gradient(x, gradient)
        }
    }

    fn whole(&self, level: Level) -> Results {
        let zero = E::Float::default();
        let mut gradient = vec![E::default(); self.logits.len()];
        let (mut losses, mut lse) = (vec![zero; self.rows], vec![zero; self.rows]);
        let (mut predicted, not_finite) = (vec![0; self.rows], NotFiniteRows::new());
        let shape = Shape::rows(self.rows, self.classes).unwrap();
        let buffers = self.buffers(self.logits, &mut gradient);
        let targets = SoftmaxTargets::Index(self.labels.into());
        let batch = SoftmaxBatch::with_options(buffers, shape, targets, self.options).unwrap();
        let outputs = Outputs {
            losses: &mut losses,
            log_sum_exp: &mut lse,
            predicted: &mut predicted,
            not_finite: Some(&not_finite),
            ..Outputs::default()
        };
        let batch = batch.with_weights(self.weights).unwrap().with_outputs(outputs).unwrap();
        let sum = sum_bits(batch.run(level));
        Results {
            sum,
            losses: bits(&losses),
            log_sum_exp: bits(&lse),
            predicted,
            gradient: bits(&gradient),
            not_finite: (not_finite.count(), not_finite.first()),
        }
    }

    fn shard(&self, classes: Range<usize>) -> SoftmaxShard<'_, E::Float> {
        let labels = self.labels.into();
        SoftmaxShard::checked_on(&InTurn, self.rows, self.classes, classes, labels, self.options)
            .unwrap()
            .with_weights(self.weights)
            .unwrap()
    }

    /// In shards that start at these tiles, some rows at a time. Every shard has the same results.
    fn in_shards(&self, level: Level, starts: &[usize], rows_at_a_time: usize) -> Results {
        let ends = starts.iter().skip(1).copied().chain([usize::MAX]);
        let class = |tile: usize| tile.saturating_mul(TILE).min(self.classes);
        let shards: Vec<_> =
            starts.iter().zip(ends).map(|(&a, b)| self.shard(class(a)..class(b))).collect();
        let columns: Vec<Vec<E>> = shards
            .iter()
            .map(|shard| {
                let of_row = |row: &[E]| row[shard.classes()].to_vec();
                self.logits.chunks_exact(self.classes).flat_map(of_row).collect()
            })
            .collect();
        let mut gradient = vec![E::default(); self.logits.len()];
        let mut found: Option<Results> = None;
        for (index, of_gradient) in shards.iter().enumerate() {
            let zero = E::Float::default();
            let (mut losses, mut lse) = (vec![zero; self.rows], vec![zero; self.rows]);
            let (mut predicted, not_finite) = (vec![0; self.rows], NotFiniteRows::new());
            let mut sums = vec![0.0; self.rows];
            for first in (0..self.rows).step_by(rows_at_a_time) {
                let rows = first..(first + rows_at_a_time).min(self.rows);
                let part = |shard: &SoftmaxShard<'_, E::Float>, x: &[E]| {
                    let width = shard.classes().len();
                    let mut bytes = vec![0; shard.len_of_sums(rows.len())];
                    let x = &x[rows.start * width..rows.end * width];
                    shard.sums(&InTurn, level, rows.clone(), x, &mut bytes).unwrap();
                    bytes
                };
                let parts: Vec<_> =
                    shards.iter().zip(&columns).map(|(shard, x)| part(shard, x)).collect();
                let mut total = vec![1; of_gradient.len_of_total(rows.len())];
                let parts = parts.iter().map(Vec::as_slice);
                of_gradient.merge(rows.clone(), parts, &mut total).unwrap();
                let outputs = Outputs {
                    losses: &mut losses[rows.clone()],
                    log_sum_exp: &mut lse[rows.clone()],
                    predicted: &mut predicted[rows.clone()],
                    not_finite: Some(&not_finite),
                    ..Outputs::default()
                };
                of_gradient.finish(rows.clone(), &total, &mut sums[rows.clone()], outputs).unwrap();
                let classes = of_gradient.classes();
                let width = classes.len();
                let x = &columns[index][rows.start * width..rows.end * width];
                let mut of_shard = vec![E::default(); x.len()];
                let buffers = self.buffers(x, &mut of_shard);
                of_gradient.gradient(&InTurn, level, rows.clone(), &total, buffers).unwrap();
                for (row, of_row) in rows.zip(of_shard.chunks_exact(width.max(1))) {
                    let at = row * self.classes;
                    gradient[at + classes.start..at + classes.end].copy_from_slice(of_row);
                }
            }
            let results = Results {
                sum: sum_bits(of_gradient.sum(&sums).unwrap()),
                losses: bits(&losses),
                log_sum_exp: bits(&lse),
                predicted,
                gradient: vec![],
                not_finite: (not_finite.count(), not_finite.first()),
            };
            let first = found.get_or_insert_with(|| Results {
                losses: results.losses.clone(),
                log_sum_exp: results.log_sum_exp.clone(),
                predicted: results.predicted.clone(),
                gradient: vec![],
                ..results
            });
            assert_eq!(*first, results, "a shard has other results than the first");
        }
        Results { gradient: bits(&gradient), ..found.unwrap() }
    }
}

fn numbers(count: usize, seed: u32) -> impl Iterator<Item = f32> {
    let mut state = u64::from(seed) | 1 << 40;
    (0..count).map(move |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    })
}

#[derive(Clone, Copy, Debug)]
struct Choice {
    smoothing: bool,
    weights: bool,
    ignored: bool,
    focal: bool,
    z_loss: bool,
    cap: bool,
    sample_weights: bool,
    odd: bool,
    adds: bool,
    in_place: bool,
}

fn check<E: Element + Into<f64>>(
    (rows, classes): (usize, usize),
    starts: &[usize],
    at_a_time: usize,
    seed: u32,
    choice: Choice,
) where
    E::Float: Into<f64>,
{
    let of = |x: f32| E::Float::from(x);
    let mut logits: Vec<f32> = numbers(rows * classes, seed).map(|x| 8.0 * x).collect();
    if choice.odd {
        // A row of each kind that has no softmax, or one by a limit.
        for row in 0..rows {
            let at = row * classes;
            match row % 6 {
                0 => logits[at + classes / 2] = f32::NAN,
                1 => logits[at + classes - 1] = f32::INFINITY,
                2 => {
                    logits[at + 1] = f32::INFINITY;
                    logits[at + classes - 1] = f32::INFINITY;
                }
                3 => logits[at..at + TILE].fill(f32::NEG_INFINITY),
                4 => logits[at..at + classes].fill(f32::NEG_INFINITY),
                _ => logits[at + TILE..at + classes].fill(f32::NAN),
            }
        }
    }
    let logits: Vec<E> = logits.into_iter().map(|x| E::from_float(of(x))).collect();
    let labels: Vec<i64> = (0..rows)
        .map(|row| if choice.ignored && row % 3 == 1 { -1 } else { (row * 4099 % classes) as i64 })
        .collect();
    let class_weights: Vec<_> = (0..classes).map(|c| of((c % 5) as f32 / 2.0)).collect();
    let sample_weights: Vec<_> = (0..rows).map(|row| of((row % 4) as f32 - 1.0)).collect();
    let case = Case {
        logits: &logits,
        rows,
        classes,
        labels: &labels,
        options: SoftmaxOptions {
            class_weights: if choice.weights { &class_weights } else { &[] },
            label_smoothing: if choice.smoothing { 0.1 } else { 0.0 },
            ignore_index: choice.ignored.then_some(-1),
            focal_gamma: if choice.focal && !choice.smoothing { 2.0 } else { 0.0 },
            z_loss: if choice.z_loss { 1e-3 } else { 0.0 },
            soft_cap: if choice.cap { 5.0 } else { 0.0 },
            empty_is_nan: false,
        },
        weights: RowWeights {
            scale: 0.25,
            sample_weights: if choice.sample_weights { &sample_weights } else { &[] },
            upstream: &[],
        },
        adds: choice.adds,
        in_place: choice.in_place,
    };
    for level in Level::available() {
        let whole = case.whole(level);
        let in_shards = case.in_shards(level, starts, at_a_time);
        assert_eq!(in_shards, whole, "{level}, {starts:?}, {choice:?}");
    }
}

/// Tiles that shards start with; the same one twice for an empty shard.
fn starts() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(0..7_usize, 0..5).prop_map(|mut starts| {
        starts.push(0);
        starts.sort_unstable();
        starts
    })
}

fn choices() -> impl Strategy<Value = Choice> {
    any::<[bool; 10]>().prop_map(|[a, b, c, d, e, f, g, odd, adds, in_place]| Choice {
        smoothing: a,
        weights: b,
        ignored: c,
        focal: d,
        z_loss: e,
        cap: f,
        sample_weights: g,
        odd,
        adds,
        in_place,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn shards_have_the_bits_of_the_batch(
        rows in 1..7_usize,
        classes in TILE + 1..6 * TILE,
        starts in starts(),
        at_a_time in 1..8_usize,
        seed: u32,
        choice in choices(),
    ) {
        check::<f32>((rows, classes), &starts, at_a_time, seed, choice);
    }

    #[test]
    #[cfg(feature = "f64")]
    fn shards_of_f64_have_the_bits_of_the_batch(
        rows in 1..5_usize, classes in TILE + 1..4 * TILE, starts in starts(), seed: u32, choice in choices(),
    ) {
        check::<f64>((rows, classes), &starts, 2, seed, choice);
    }

    #[test]
    #[cfg(feature = "half")]
    fn shards_of_16_bits_have_the_bits_of_the_batch(
        rows in 1..5_usize, classes in TILE + 1..4 * TILE, starts in starts(), seed: u32, choice in choices(),
    ) {
        check::<half::bf16>((rows, classes), &starts, 2, seed, choice);
        check::<half::f16>((rows, classes), &starts, 3, seed, choice);
    }
}

const PLAIN: Choice = Choice {
    smoothing: false,
    weights: false,
    ignored: false,
    focal: false,
    z_loss: false,
    cap: false,
    sample_weights: false,
    odd: false,
    adds: false,
    in_place: false,
};

#[test]
fn many_rows_on_several_threads_have_the_bits_of_the_batch() {
    for choice in [PLAIN, Choice { smoothing: true, weights: true, ignored: true, ..PLAIN }] {
        check::<f32>((70, 2 * TILE + 5), &[0, 1], 64, 5, choice);
    }
}

/// A shard of two rows, and the sums of both halves of three tiles.
fn two_parts(x: &[f32], labels: &[i64]) -> (Vec<u8>, Vec<u8>) {
    let (level, classes) = (Level::detect(), x.len() / 2);
    let part = |of: Range<usize>| {
        let options = SoftmaxOptions::default();
        let shard =
            SoftmaxShard::checked_on(&InTurn, 2, classes, of.clone(), labels.into(), options)
                .unwrap();
        let columns = [&x[of.clone()], &x[classes + of.start..classes + of.end]].concat();
        let mut bytes = vec![0; shard.len_of_sums(2)];
        shard.sums(&InTurn, level, 0..2, &columns, &mut bytes).unwrap();
        bytes
    };
    (part(0..2 * TILE), part(2 * TILE..classes))
}

#[test]
fn sums_of_other_versions_rows_classes_and_options_are_refused() {
    let classes = 3 * TILE;
    let x: Vec<f32> = numbers(2 * classes, 3).collect();
    let labels = [17, classes as i64 - 1];
    let (a, b) = two_parts(&x, &labels);
    let options = SoftmaxOptions::default();
    let shard = |options| {
        SoftmaxShard::checked_on(&InTurn, 2, classes, 0..TILE, labels[..].into(), options).unwrap()
    };
    let merged = |shard: SoftmaxShard<'_>, rows: Range<usize>, parts: &[&[u8]]| {
        let mut total = vec![7; shard.len_of_total(rows.len())];
        let result = shard.merge(rows, parts.iter().copied(), &mut total);
        let unwritten = total.iter().all(|&byte| byte == 7);
        result.map_err(|error| (error.to_string(), unwritten))
    };
    let reason = |result: Result<(), (String, bool)>| result.unwrap_err().0;
    let plain = shard(options);
    assert_eq!(merged(plain, 0..2, &[&a, &b]), Ok(()));
    let follow = "part of the rows: its classes do not follow those of the part before it";
    assert_eq!(reason(merged(plain, 0..2, &[&b, &a])), follow);
    assert_eq!(reason(merged(plain, 0..2, &[&a, &a])), follow);
    assert_eq!(
        reason(merged(plain, 0..2, &[&a])),
        "part of the rows: the last classes are missing"
    );
    assert_eq!(reason(merged(plain, 0..1, &[&a, &b])), "part of the rows: other rows");
    let other = "part of the rows: another format of the logits, label smoothing or soft cap";
    let smoothed = shard(SoftmaxOptions { label_smoothing: 0.1, ..options });
    assert_eq!(reason(merged(smoothed, 0..2, &[&a, &b])), other);
    let capped = shard(SoftmaxOptions { soft_cap: 3.0, ..options });
    assert_eq!(reason(merged(capped, 0..2, &[&a, &b])), other);
    let mut version = a.clone();
    version[0] += 1;
    assert!(reason(merged(plain, 0..2, &[&version, &b])).contains("another version"));
    for length in 0..a.len() {
        merged(plain, 0..2, &[&a[..length], &b]).unwrap_err();
    }
    let mut longer = a.clone();
    longer.push(0);
    assert!(reason(merged(plain, 0..2, &[&longer, &b])).contains("more or fewer bytes"));
    // A total is no part, and parts are no total.
    let mut total = vec![0; plain.len_of_total(2)];
    plain.merge(0..2, [&a[..], &b], &mut total).unwrap();
    assert_eq!(reason(merged(plain, 0..2, &[&total])), other);
    let mut losses = [3.0; 2];
    plain.finish(0..2, &a, &mut losses, Outputs::default()).unwrap_err();
    assert_eq!(losses, [3.0; 2]);
}

#[test]
fn no_byte_of_the_sums_makes_a_panic() {
    let classes = 3 * TILE;
    let x: Vec<f32> = numbers(2 * classes, 9).collect();
    let labels = [17, classes as i64 - 1];
    let (a, b) = two_parts(&x, &labels);
    let options = SoftmaxOptions::<f32>::default();
    let shard =
        SoftmaxShard::checked_on(&InTurn, 2, classes, 0..TILE, labels[..].into(), options).unwrap();
    let mut total = vec![0; shard.len_of_total(2)];
    assert_eq!(shard.merge(0..2, [&a[..], &b], &mut total), Ok(()));
    let mut accepted = 0;
    for at in 0..a.len() {
        for value in [0, 1, 3, 4, 0x7f, 0x80, 0xc0, 0xff] {
            let mut changed = a.clone();
            changed[at] = value;
            let mut total = vec![0; shard.len_of_total(2)];
            if shard.merge(0..2, [&changed[..], &b], &mut total).is_ok() {
                let mut gradient = vec![0.0_f32; 2 * TILE];
                let mut losses = [0.0; 2];
                shard.finish(0..2, &total, &mut losses, Outputs::default()).unwrap();
                let buffers = Buffers::in_place(&mut gradient);
                shard.gradient(&InTurn, Level::detect(), 0..2, &total, buffers).unwrap();
                accepted += 1;
            }
        }
    }
    // Other numbers are no faults that can be seen.
    assert!(accepted > 100 && accepted < 8 * a.len() * 3 / 4, "{accepted} of {}", 8 * a.len());
}

#[test]
fn the_bytes_of_a_row_are_as_documented() {
    let options = SoftmaxOptions::<f32>::default();
    let soft = SoftmaxOptions { label_smoothing: 0.1, ..options };
    let labels = [0_i64; 3];
    let of = |classes: Range<usize>, options| {
        SoftmaxShard::checked_on(&InTurn, 3, 32 * TILE - 7, classes, labels[..].into(), options)
            .unwrap()
    };
    let half = of(16 * TILE..32 * TILE - 7, options);
    assert_eq!((half.len_of_row(), half.len_of_sums(3)), (21, 24 + 3 * 21));
    assert_eq!(of(0..16 * TILE, soft).len_of_row(), 1 + 40);
    // 11 tiles: 8, 2 and 1.
    assert_eq!(of(0..11 * TILE, options).len_of_row(), 5 + 3 * 16);
    assert_eq!(of(11 * TILE..11 * TILE, options).len_of_sums(3), 24);
}

#[test]
#[cfg(feature = "f64")]
fn the_bytes_of_a_row_of_f64_are_as_documented() {
    let options = SoftmaxOptions::<f64> { label_smoothing: 0.1, ..SoftmaxOptions::default() };
    let labels = [0_i64; 3];
    let shard = SoftmaxShard::checked_on(&InTurn, 3, 2 * TILE, 0..TILE, labels[..].into(), options);
    assert_eq!(shard.unwrap().len_of_row(), 45);
}

#[test]
fn shards_that_are_none_are_refused() {
    let labels = [0_i64, 5000];
    let options = SoftmaxOptions::<f32>::default();
    let of = |classes: usize, shard: Range<usize>| {
        SoftmaxShard::checked_on(&InTurn, 2, classes, shard, labels[..].into(), options)
            .map(|_| ())
            .map_err(|error| error.to_string())
    };
    assert_eq!(of(6000, 0..6000), Ok(()));
    assert!(of(4096, 0..4096).unwrap_err().contains("give each process some of the rows"));
    let cut = "classes of a shard: expected neighbouring classes from one multiple of 4096 to another, \
               or to the last";
    for shard in [1..6000, 0..5999, 4096..8192, Range { start: TILE, end: 0 }] {
        assert_eq!(of(6000, shard).unwrap_err(), cut);
    }
    assert_eq!(
        of(5000, 0..5000).unwrap_err(),
        "label out of range: row 1 has 5000, expected 0..5000"
    );
    assert!(
        of(usize::MAX / 2, 0..4096).unwrap_err().contains("fit in memory") || usize::BITS == 64
    );
    let shard =
        SoftmaxShard::checked_on(&InTurn, 2, 6000, 0..4096, labels[..].into(), options).unwrap();
    let mut bytes = vec![0; shard.len_of_sums(2)];
    let x = [0.0_f32; 4096];
    let found = shard.sums(&InTurn, Level::detect(), 0..2, &x, &mut bytes);
    assert_eq!(found, Err(Error::Length { of: "logits", expected: 8192, found: 4096 }));
    let found = shard.sums(&InTurn, Level::detect(), 2..3, &x, &mut bytes);
    assert_eq!(found, Err(Error::Length { of: "rows", expected: 2, found: 3 }));
}
