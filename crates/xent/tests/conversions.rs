//! What can be given as logits, targets and weights: whatever it is, the result has the same bits.
#![cfg(feature = "alloc")]

use proptest::collection::vec;
use proptest::prelude::*;
use xent::{
    Error, InputError, IntoLogits, IntoLogitsMut, IntoTargets, Labels, Logits, LogitsMut, Pass,
    SigmoidCrossEntropy, SoftmaxCrossEntropy, Targets, predict,
};

const CLASSES: usize = 3;

/// The bits of the loss and of its gradient.
fn solve<'l, 't>(
    logits: impl IntoLogits<'l, Element = f32>,
    targets: impl IntoTargets<'t, f32>,
    elements: usize,
) -> (u64, Vec<u32>) {
    let mut grad = vec![f32::NAN; elements];
    let value = SoftmaxCrossEntropy::new().loss_and_grad(logits, targets, &mut grad).unwrap();
    (value.to_bits(), grad.iter().map(|g| g.to_bits()).collect())
}

fn solve_in_place<'l, 't>(
    logits: impl IntoLogitsMut<'l, Element = f32>,
    targets: impl IntoTargets<'t, f32>,
) -> u64 {
    SoftmaxCrossEntropy::new().loss_and_grad_in_place(logits, targets).unwrap().to_bits()
}

fn batch() -> impl Strategy<Value = (Vec<f32>, Vec<u8>)> {
    (1..20_usize)
        .prop_flat_map(|rows| (vec(-9.0..9.0_f32, rows * CLASSES), vec(0..CLASSES as u8, rows)))
}

proptest! {
    #[test]
    fn logits_have_the_same_bits_whatever_they_are((x, labels) in batch()) {
        let explicit = Logits::new(&x, CLASSES).unwrap();
        let want = solve(explicit, Targets::index(&labels), x.len());
        prop_assert_eq!(&solve((&x, CLASSES), &labels, x.len()), &want);
        prop_assert_eq!(&solve((&x[..], CLASSES), &labels[..], x.len()), &want);
        let (x_rows, _) = x.as_chunks::<CLASSES>();
        let mut of_arrays = Vec::new();
        for (row, label) in x_rows.iter().zip(&labels) {
            let of_row = solve((row, CLASSES), &[*label], CLASSES);
            prop_assert_eq!(&of_row, &solve((&row[..], CLASSES), Targets::index(&[*label]), CLASSES));
            of_arrays.push(of_row);
        }
        prop_assert_eq!(of_arrays.len(), labels.len());

        let (mut a, mut b, mut c) = (x.clone(), x.clone(), x.clone());
        prop_assert_eq!(solve_in_place((&mut a, CLASSES), &labels), want.0);
        prop_assert_eq!(solve_in_place((&mut b[..], CLASSES), &labels), want.0);
        let explicit = LogitsMut::new(&mut c, CLASSES).unwrap();
        prop_assert_eq!(solve_in_place(explicit, &labels), want.0);
        for in_place in [a, b, c] {
            prop_assert_eq!(&in_place.iter().map(|g| g.to_bits()).collect::<Vec<_>>(), &want.1);
        }
    }

    #[test]
    fn targets_have_the_same_bits_whatever_they_are((x, labels) in batch()) {
        let want = solve((&x, CLASSES), Targets::index(&labels), x.len());
        macro_rules! integers {
            ($($integer:ty),*) => {$({
                let of_byte = |&label: &u8| <$integer>::try_from(label).expect("a class");
                let labels: Vec<$integer> = labels.iter().map(of_byte).collect();
                prop_assert_eq!(&solve((&x, CLASSES), &labels, x.len()), &want);
                prop_assert_eq!(&solve((&x, CLASSES), &labels[..], x.len()), &want);
                prop_assert_eq!(&solve((&x, CLASSES), Labels::from(&labels[..]), x.len()), &want);
                let first = [labels[0]];
                let alone = solve((&x[..CLASSES], CLASSES), &first, CLASSES);
                prop_assert_eq!(alone, solve((&x[..CLASSES], CLASSES), &first[..], CLASSES));
            })*};
        }
        integers!(u8, u16, u32, u64, usize, i8, i16, i32, i64);

        let mut dense = vec![0.0; x.len()];
        labels.iter().enumerate().for_each(|(row, &class)| dense[row * CLASSES + usize::from(class)] = 1.0);
        let want = solve((&x, CLASSES), Targets::dense(&dense), x.len());
        prop_assert_eq!(&solve((&x, CLASSES), &dense, x.len()), &want);
        prop_assert_eq!(&solve((&x, CLASSES), &dense[..], x.len()), &want);

        // Zero or one for each logit, of the losses that take it.
        let hot: Vec<i32> = dense.iter().map(|&y| y as i32).collect();
        let sigmoid = SigmoidCrossEntropy::new();
        let want = sigmoid.loss((&x, CLASSES), Targets::multi_hot(&hot)).unwrap();
        prop_assert_eq!(sigmoid.loss((&x, CLASSES), &hot).unwrap(), want);
    }

    #[test]
    fn weights_have_the_same_bits_borrowed_or_owned((x, labels) in batch(), w in prop::array::uniform3(0.1..4.0_f32)) {
        let evaluate = |loss: &SoftmaxCrossEntropy<'_>| loss.loss((&x, CLASSES), &labels).unwrap();
        let (array, many, new) = (&w, w.to_vec(), SoftmaxCrossEntropy::new);
        let want = evaluate(&new().with_class_weights(&w[..]).unwrap());
        prop_assert_eq!(evaluate(&new().with_class_weights(array).unwrap()), want);
        prop_assert_eq!(evaluate(&new().with_class_weights(&many).unwrap()), want);
        let owned: [SoftmaxCrossEntropy<'static>; 2] =
            [new().with_class_weights(w).unwrap(), new().with_class_weights(many).unwrap()];
        for loss in owned {
            prop_assert_eq!(evaluate(&loss), want);
            prop_assert_eq!(evaluate(&loss.clone()), want);
        }
    }
}

#[test]
fn other_formats_are_computed_in_their_float() {
    let (x, y) = ([2.0, 1.0, 0.0_f64], [1.0, 0.0, 0.0]);
    let loss = SoftmaxCrossEntropy::new();
    assert_eq!(loss.loss((&x, 3), &y), loss.loss((&x, 3), Targets::dense(&y)));
    #[cfg(feature = "half")]
    {
        let x = x.map(half::bf16::from_f64);
        let (y, loss) = ([1.0, 0.0, 0.0_f32], SoftmaxCrossEntropy::new());
        assert_eq!(loss.loss((&x, 3), &y), loss.loss((&x, 3), Targets::dense(&y)));
        assert_eq!(loss.loss((&x, 3), &[0]), loss.loss((&x, 3), Targets::index(&[0_u8])));
    }
}

#[test]
fn what_does_not_fit_is_an_error_of_the_crate() {
    let loss = SoftmaxCrossEntropy::new();
    let x = [0.0_f32; 7];
    let ragged = Error::Input(InputError::Ragged { found: 7, classes: 3 });
    assert_eq!(loss.loss((&x, 3), &[0, 1]), Err(ragged));
    assert_eq!(loss.loss((&x, 0), &[0]), Err(Error::Input(InputError::ZeroClasses)));
    let length = InputError::Length { of: "labels", expected: 2, found: 3 };
    assert_eq!(loss.loss((&x[..6], 3), &[0, 1, 2]), Err(length.into()));
    let length = InputError::Length { of: "targets", expected: 6, found: 2 };
    assert_eq!(loss.loss((&x[..6], 3), &[0.0, 1.0]), Err(length.into()));
    // A class of each row is nothing that a question for each class is answered with.
    let sigmoid = SigmoidCrossEntropy::new().loss((&x[..6], 3), &[0, 1]);
    assert!(matches!(sigmoid, Err(Error::Targets { found: "indices", .. })));
    let mut among = [false; 2];
    let floats = predict::in_top_k((&x[..6], 3), &[0.0; 2], 1, &mut among);
    assert!(matches!(floats, Err(Error::Targets { expected: "indices", .. })));
}

#[test]
fn a_pass_takes_them_too() {
    let x = [2.0, 1.0, 0.0, 0.0, 3.0, 0.0_f32];
    let labels = vec![0_i64, 2];
    let loss = SoftmaxCrossEntropy::new();
    let (mut grad, mut in_place) = ([0.0; 6], x);
    let report = loss.evaluate((&x, 3), &labels, Pass::new().grad(&mut grad)).unwrap();
    let other = loss.evaluate_in_place((&mut in_place, 3), &labels, Pass::new()).unwrap();
    assert_eq!((report, grad), (other, in_place));
    assert_eq!(loss.denominator((&x, 3), &labels, &[]), Ok(2.0));
    assert_eq!(loss.counts((&x, 3), &labels, &[]).unwrap().rows, 2);
}

#[cfg(all(feature = "ndarray", feature = "ndarray-0-16"))]
mod arrays {
    use super::*;
    use ndarray::{Array1, Array2, Axis, s};
    use ndarray_0_16 as older;

    proptest! {
        #[test]
        fn arrays_have_the_bits_of_their_slices((x, labels) in batch()) {
            let rows = labels.len();
            let want = solve((&x, CLASSES), &labels, x.len());
            let of_labels = Array1::from(labels.clone());
            let matrix = Array2::from_shape_vec((rows, CLASSES), x.clone()).unwrap();
            prop_assert_eq!(&solve(&matrix, &of_labels, x.len()), &want);
            prop_assert_eq!(&solve(matrix.view(), of_labels.view(), x.len()), &want);
            prop_assert_eq!(&solve((matrix.view(), Axis(1)), &labels, x.len()), &want);
            let mut in_place = matrix.clone();
            prop_assert_eq!(solve_in_place(&mut in_place, &of_labels), want.0);
            let bits: Vec<u32> = in_place.iter().map(|g| g.to_bits()).collect();
            prop_assert_eq!(&bits, &want.1);
            let mut in_place = matrix.clone();
            prop_assert_eq!(solve_in_place(in_place.view_mut(), &of_labels), want.0);

            let of_labels = older::Array1::from(labels.clone());
            let matrix = older::Array2::from_shape_vec((rows, CLASSES), x.clone()).unwrap();
            prop_assert_eq!(&solve(&matrix, &of_labels, x.len()), &want);
        }
    }

    #[test]
    fn targets_that_are_no_neighbours_are_refused() {
        let x = Array2::<f32>::zeros((2, 2));
        let labels = Array1::from(vec![0_u8, 1, 0, 1]);
        let loss = SoftmaxCrossEntropy::new();
        assert!(loss.loss(&x, labels.slice(s![..2])).is_ok());
        let error = loss.loss(&x, labels.slice(s![..;2])).unwrap_err();
        assert!(error.to_string().contains("not neighbours in memory"), "{error}");
        let error = loss.loss(&x, labels.slice(s![..2;-1])).unwrap_err();
        assert!(matches!(error, Error::Layout { .. }));
    }
}
