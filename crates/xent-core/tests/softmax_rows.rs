//! Rows whose logits come some at a time have the bits of the whole batch.

use proptest::prelude::*;
use xent_core::{
    Batch, Buffers, Error, InTurn, Level, MultiLabel, NotFiniteRows, Outputs, RowWeights, Shape,
    SoftmaxBatch, SoftmaxOptions, SoftmaxRows, SoftmaxTargets,
};

/// What a batch writes, as bits.
#[derive(Debug, Default, PartialEq)]
struct Results {
    sum: u64,
    losses: Vec<u32>,
    log_sum_exp: Vec<u32>,
    predicted: Vec<u32>,
    gradient: Vec<u32>,
    not_finite: (usize, Option<usize>),
}

fn bits(values: &[f32]) -> Vec<u32> {
    // The sign of a NaN may be either.
    let one = |value: &f32| if value.is_nan() { f32::NAN.to_bits() } else { value.to_bits() };
    values.iter().map(one).collect()
}

fn sum_bits(sum: f64) -> u64 {
    if sum.is_nan() { f64::NAN.to_bits() } else { sum.to_bits() }
}

struct Case<'a> {
    logits: &'a [f32],
    rows: usize,
    classes: usize,
    targets: SoftmaxTargets<'a>,
    options: SoftmaxOptions<'a>,
    weights: RowWeights<'a>,
}

impl Case<'_> {
    fn whole(&self, level: Level) -> Results {
        let mut gradient = vec![0.0; self.logits.len()];
        let (mut losses, mut lse) = (vec![0.0; self.rows], vec![0.0; self.rows]);
        let (mut predicted, not_finite) = (vec![0; self.rows], NotFiniteRows::new());
        let shape = Shape::rows(self.rows, self.classes).unwrap();
        let buffers = Buffers::gradient(self.logits, &mut gradient);
        let batch = SoftmaxBatch::with_options(buffers, shape, self.targets, self.options).unwrap();
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

    /// In parts of some rows each; the gradient overwrites the logits.
    fn in_parts(&self, level: Level, parts: &[usize]) -> Results {
        let rows =
            SoftmaxRows::checked_on(&InTurn, self.rows, self.classes, self.targets, self.options);
        let rows = rows.unwrap().with_weights(self.weights).unwrap();
        let mut gradient = self.logits.to_vec();
        let (mut losses, mut lse) = (vec![0.0; self.rows], vec![0.0; self.rows]);
        let (mut predicted, not_finite) = (vec![0; self.rows], NotFiniteRows::new());
        let mut sums = vec![0.0; self.rows];
        let (mut first, mut part) = (0, parts.iter().cycle());
        while first < self.rows {
            let end = (first + part.next().unwrap()).min(self.rows);
            let outputs = Outputs {
                losses: &mut losses[first..end],
                log_sum_exp: &mut lse[first..end],
                predicted: &mut predicted[first..end],
                not_finite: Some(&not_finite),
                ..Outputs::default()
            };
            let logits = &mut gradient[first * self.classes..end * self.classes];
            let buffers = Buffers::in_place(logits);
            rows.run(&InTurn, level, first, buffers, &mut sums[first..end], outputs).unwrap();
            first = end;
        }
        Results {
            sum: sum_bits(rows.sum(&sums).unwrap()),
            losses: bits(&losses),
            log_sum_exp: bits(&lse),
            predicted,
            gradient: bits(&gradient),
            not_finite: (not_finite.count(), not_finite.first()),
        }
    }
}

fn shapes() -> impl Strategy<Value = (usize, usize)> {
    prop_oneof![
        (1..200_usize, 1..40_usize),
        (1..60_usize, 33..700_usize),
        (1..12_usize, 4090..5000_usize),
        (1000..1400_usize, prop_oneof![Just(2_usize), Just(10), Just(33), Just(64)]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn rows_in_parts_have_the_bits_of_the_batch(
        ((rows, classes), kind, parts, seed, weighted, capped, odd) in (
            shapes(),
            0..5_usize,
            proptest::collection::vec(1..90_usize, 1..4),
            any::<u32>(),
            any::<bool>(),
            any::<bool>(),
            any::<bool>(),
        ),
    ) {
        let mut state = u64::from(seed) | 1 << 40;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        let mut logits: Vec<f32> = (0..rows * classes).map(|_| 6.0 * next()).collect();
        if odd {
            logits[rows / 2 * classes] = f32::NAN;
            logits[0] = f32::NEG_INFINITY;
            logits[(rows - 1) * classes] = f32::INFINITY;
        }
        let labels: Vec<i16> = (0..rows).map(|row| {
            if row % 7 == 3 { -1 } else { (row * 31 % classes) as i16 }
        }).collect();
        let dense: Vec<f32> = (0..rows * classes).map(|_| next().max(0.0)).collect();
        let sample_weights: Vec<f32> = (0..rows).map(|_| (next() * 2.0).max(-1.0)).collect();
        let targets = match kind {
            0 | 1 => SoftmaxTargets::Index(labels[..].into()),
            2 => SoftmaxTargets::Dense(&dense),
            3 => SoftmaxTargets::MultiLabel(&dense, MultiLabel::Exact),
            _ => SoftmaxTargets::Teacher(&dense, 1.5),
        };
        let options = SoftmaxOptions {
            label_smoothing: if kind == 1 { 0.1 } else { 0.0 },
            ignore_index: (kind < 2).then_some(-1),
            soft_cap: if capped && kind != 4 { 5.0 } else { 0.0 },
            ..SoftmaxOptions::default()
        };
        let weights = RowWeights {
            scale: 0.25,
            sample_weights: if weighted { &sample_weights } else { &[] },
            upstream: &[],
        };
        let case = Case { logits: &logits, rows, classes, targets, options, weights };
        for level in Level::available() {
            prop_assert_eq!(case.in_parts(level, &parts), case.whole(level), "{}", level);
        }
    }
}

#[test]
fn rows_that_are_ignored_are_known_before_their_logits() {
    let targets = SoftmaxTargets::from(&[0_i8, -1, 2, 1]);
    let options = SoftmaxOptions { ignore_index: Some(-1), ..SoftmaxOptions::default() };
    let rows = SoftmaxRows::checked_on(&InTurn, 4, 3, targets, options).unwrap();
    let weights =
        RowWeights { scale: 0.5, sample_weights: &[1.0, 1.0, 0.0, -3.0], upstream: &[2.0; 4] };
    let rows = rows.with_weights(weights).unwrap();
    assert_eq!([0, 1, 2, 3].map(|row| rows.is_ignored(row)), [false, true, true, false]);
    assert_eq!([0, 1, 2, 3].map(|row| rows.label(row)), [Some(0), None, Some(2), Some(1)]);
    assert_eq!([0, 3].map(|row| rows.gradient_factor(row)), [1.0, -3.0]);
    assert_eq!(rows.with_scale(1.0).gradient_factor(0), 2.0);
    assert_eq!((rows.counts().rows, rows.counts().valid_rows), (4, 3));
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let targets = SoftmaxTargets::from(&[0_i8, 2]);
    let rows = SoftmaxRows::checked_on(&InTurn, 2, 3, targets, SoftmaxOptions::default()).unwrap();
    let run = |first: usize, logits: &[f32], count: usize| {
        let mut losses = vec![7.0; count];
        let outputs = Outputs::default();
        let buffers = Buffers::loss(logits);
        let result = rows.run(&InTurn, Level::detect(), first, buffers, &mut losses, outputs);
        assert!(result.is_ok() || losses.iter().all(|loss| *loss == 7.0));
        result
    };
    assert_eq!(run(1, &[0.0; 3], 1), Ok(()));
    let error = Error::Length { of: "losses", expected: 1, found: 2 };
    assert_eq!(run(1, &[0.0; 6], 2), Err(error));
    assert_eq!(run(usize::MAX, &[], 1), Err(Error::Length { of: "losses", expected: 0, found: 1 }));
    assert!(matches!(run(0, &[0.0; 4], 2), Err(Error::Length { of: "logits", .. })));
    assert_eq!(rows.sum(&[1.0]), Err(Error::Length { of: "losses", expected: 2, found: 1 }));
    let labels = SoftmaxTargets::from(&[0_i8, 3]);
    let error =
        SoftmaxRows::<f32>::checked_on(&InTurn, 2, 3, labels, SoftmaxOptions::default()).err();
    assert_eq!(error, Some(Error::Label { row: 1, label: 3, classes: 3 }));
}
