//! The number of threads does not change what is rejected, nor which element the error names.

use xent_core::{
    Buffers, Error, ForkJoin, InTurn, Labels, LikelihoodBatch, LikelihoodInput, LikelihoodOptions,
    MultiLabel, Shape, SigmoidBatch, SigmoidInput, SigmoidOptions, SigmoidTargets, SoftmaxBatch,
    SoftmaxOptions, SoftmaxTargets, Values,
};
use xent_rayon::Threads;

const ROWS: usize = 70_000;
const CLASSES: usize = 9;

/// Places that are reproducible and without a pattern.
struct Places(u64);

impl Places {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) as usize % below
    }

    /// Two places, the first one first.
    fn two(&mut self, below: usize) -> [usize; 2] {
        let (a, b) = (self.next(below), self.next(below));
        [a.min(b), a.max(b)]
    }
}

/// Runs a check without threads and on 1, 2, 3 and 8 threads: all must agree.
fn on_all(check: impl Fn(&dyn ForkJoin) -> Result<usize, Error> + Sync) -> Result<usize, Error> {
    let in_turn = check(&InTurn);
    for threads in [1, 2, 3, 8] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let found = pool.expect("threads to run on").install(|| check(&Threads));
        assert_eq!(found, in_turn, "with {threads} threads");
    }
    in_turn
}

/// The expected error for an element of contiguous rows, or of columns.
fn of(values: Values, (element, value): (usize, f32), inner: usize) -> Error {
    let (block, within) = (element / (CLASSES * inner), element % (CLASSES * inner));
    let (row, class) = (Some(block * inner + within % inner), Some(within / inner));
    Error::Value { of: values, element, row, class, value: value.into() }
}

/// The layouts of the same number of rows.
fn layouts() -> [(Shape, usize); 3] {
    let shape = |outer, inner| (Shape::columns(outer, CLASSES, inner).expect("a shape"), inner);
    [shape(ROWS, 1), shape(70, 1000), shape(1, ROWS)]
}

#[test]
fn the_first_of_two_bad_targets_is_named_at_any_number_of_threads() {
    let mut places = Places(1);
    let x = vec![0.25_f32; ROWS * CLASSES];
    for (shape, inner) in layouts() {
        for _ in 0..3 {
            let [first, second] = places.two(x.len());
            let mut targets = vec![0.5; x.len()];
            targets[second] = f32::NAN;
            targets[first] = -2.0;
            let bad = (first, -2.0);
            let softmax = |targets| {
                on_all(|join| {
                    let (x, options) = (Buffers::loss(&x), SoftmaxOptions::default());
                    let batch = SoftmaxBatch::checked_on(join, x, shape, targets, options)?;
                    Ok(batch.counts().valid_rows)
                })
            };
            let dense = softmax(SoftmaxTargets::Dense(&targets));
            assert_eq!(dense, Err(of(Values::SoftmaxTargets, bad, inner)));
            let labels = softmax(SoftmaxTargets::MultiLabel(&targets, MultiLabel::Exact));
            assert_eq!(labels, Err(of(Values::MultiLabels, bad, inner)));
            for input in [SigmoidInput::Logits, SigmoidInput::Probabilities] {
                let found = on_all(|join| {
                    let options = SigmoidOptions { input, ..SigmoidOptions::default() };
                    let (x, targets) = (Buffers::loss(&x), SigmoidTargets::Dense(&targets));
                    Ok(SigmoidBatch::checked_on(join, x, shape, targets, options, &[])?.clamped())
                });
                assert_eq!(found, Err(of(Values::SigmoidTargets, bad, inner)));
            }
        }
    }
}

#[test]
fn the_first_of_two_bad_labels_is_named_at_any_number_of_threads() {
    let mut places = Places(2);
    let x = vec![0.25_f32; ROWS * CLASSES];
    let classes = CLASSES;
    for (shape, inner) in layouts() {
        let [first, second] = places.two(ROWS);
        let mut labels: Vec<i16> = (0..ROWS).map(|row| (row % classes) as i16).collect();
        labels[second] = 9;
        labels[first] = -7;
        let index = on_all(|join| {
            let targets = SoftmaxTargets::Index(Labels::from(&labels[..]));
            let options = SoftmaxOptions::default();
            let batch = SoftmaxBatch::checked_on(join, Buffers::loss(&x), shape, targets, options)?;
            Ok(batch.counts().valid_rows)
        });
        assert_eq!(index, Err(Error::Label { row: first, label: -7, classes }));

        // Zero or one for every class: the row is that of the element.
        let [first, second] = places.two(x.len());
        let mut hot: Vec<u8> = (0..x.len()).map(|at| (at % 2) as u8).collect();
        hot[second] = 2;
        hot[first] = 255;
        let found = on_all(|join| {
            let targets = SigmoidTargets::MultiHot(Labels::from(&hot[..]));
            let options = SigmoidOptions::default();
            let batch =
                SigmoidBatch::checked_on(join, Buffers::loss(&x), shape, targets, options, &[])?;
            Ok(batch.clamped())
        });
        let row = first / (classes * inner) * inner + first % inner;
        assert_eq!(found, Err(Error::Label { row, label: 255, classes: 2 }));
    }
}

#[test]
fn the_row_of_the_first_bad_class_of_a_list_is_named_at_any_number_of_threads() {
    let mut places = Places(3);
    let x = vec![0.25_f32; ROWS * CLASSES];
    let shape = Shape::rows(ROWS, CLASSES).expect("a shape");
    // Rows without a class, with one and with two.
    let offsets: Vec<usize> = (0..=ROWS).map(|row| row / 3 * 3 + [0, 0, 1][row % 3]).collect();
    let mut positives = vec![4_u32; offsets[ROWS]];
    let [first, second] = places.two(positives.len());
    positives[second] = 12;
    positives[first] = 11;
    let found = on_all(|join| {
        let classes = Labels::from(&positives[..]);
        let targets = SigmoidTargets::Positives { offsets: &offsets, classes };
        let (x, options) = (Buffers::loss(&x), SigmoidOptions::default());
        Ok(SigmoidBatch::checked_on(join, x, shape, targets, options, &[])?.clamped())
    });
    let row = (0..ROWS).find(|&row| offsets[row + 1] > first);
    let row = row.expect("a row");
    assert_eq!(found, Err(Error::Label { row, label: 11, classes: CLASSES }));
}

#[test]
fn the_first_of_two_bad_probabilities_is_named_and_the_clamped_ones_counted() {
    let mut places = Places(4);
    let labels: Vec<u64> = (0..ROWS as u64).map(|row| row % CLASSES as u64).collect();
    for (shape, inner) in layouts() {
        let place = |row: usize| {
            let class = row % CLASSES;
            (row / inner * CLASSES + class) * inner + row % inner
        };
        let check = |p: &[f32]| {
            let of_labels = on_all(|join| {
                let (p, input) = (Buffers::loss(p), LikelihoodInput::Probabilities);
                let labels = Labels::from(&labels[..]);
                let batch = LikelihoodBatch::checked_on(
                    join,
                    p,
                    shape,
                    labels,
                    input,
                    LikelihoodOptions::default(),
                    &[],
                )?;
                Ok(batch.clamped())
            });
            let hot: Vec<i64> = (0..p.len()).map(|at| i64::from(at % 5 == 0)).collect();
            let of_elements = on_all(|join| {
                let input = SigmoidInput::Probabilities;
                let options = SigmoidOptions { input, ..SigmoidOptions::default() };
                let (p, targets) =
                    (Buffers::loss(p), SigmoidTargets::MultiHot(Labels::from(&hot[..])));
                Ok(SigmoidBatch::checked_on(join, p, shape, targets, options, &[])?.clamped())
            });
            [of_labels, of_elements]
        };
        let mut p = vec![0.25; ROWS * CLASSES];
        let rows: Vec<usize> = (0..5).map(|_| places.next(ROWS)).collect();
        for &row in &rows {
            p[place(row)] = 0.0;
        }
        let clamped = |is_hot: &dyn Fn(usize) -> bool| {
            Ok((0..p.len()).filter(|&at| p[at] == 0.0 && is_hot(at)).count())
        };
        assert_eq!(check(&p), [clamped(&|_| true), clamped(&|at| at % 5 == 0)]);

        let mut two = [places.next(ROWS), places.next(ROWS)].map(place);
        two.sort_unstable();
        p[two[1]] = 1.5;
        p[two[0]] = -0.5;
        let by_elements = of(Values::Probabilities, (two[0], -0.5), inner);
        // Rows are checked in their own order, which differs from the order of elements in columns.
        let first = (0..ROWS).map(place).find(|&at| !(0.0..=1.0).contains(&p[at]));
        let first = first.expect("one of the two");
        let by_rows = of(Values::Probabilities, (first, p[first]), inner);
        assert_eq!(check(&p), [Err(by_rows), Err(by_elements)]);
    }
}

#[test]
fn rows_with_labels_are_counted_at_any_number_of_threads() {
    let mut places = Places(5);
    let x = vec![0.25_f32; ROWS * CLASSES];
    for (shape, _) in layouts() {
        let mut labels = vec![0.0; x.len()];
        (0..40_000).for_each(|_| labels[places.next(x.len())] = 1.0);
        let found = on_all(|join| {
            let targets = SoftmaxTargets::MultiLabel(&labels, MultiLabel::Exact);
            let (x, options) = (Buffers::loss(&x), SoftmaxOptions::default());
            Ok(SoftmaxBatch::checked_on(join, x, shape, targets, options)?.counts().valid_rows)
        });
        let rows = (0..ROWS)
            .filter(|&row| (0..CLASSES).any(|class| labels[shape.place(row, class)] != 0.0));
        assert_eq!(found, Ok(rows.count()));
    }
}
