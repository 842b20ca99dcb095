//! Logits from views of arrays: which row and class an element is of.
#![cfg(feature = "ndarray")]

use ndarray::{Array2, Array3, ArrayView, Axis, Dimension, Slice};
use xent::{Error, Logits, LogitsMut, Reduction, SoftmaxCrossEntropy, Targets, predict};

/// Each row's largest logit is in a class of its own choice: `(i + 2 j + 3 k) % classes`.
fn marked(shape: (usize, usize, usize), axis: usize) -> Array3<f32> {
    Array3::from_shape_fn(shape, |(i, j, k)| {
        let mut at = [i, j, k];
        let class = std::mem::take(&mut at[axis]);
        let classes = [shape.0, shape.1, shape.2][axis];
        f32::from(u8::from((at[0] + 2 * at[1] + 3 * at[2]) % classes == class))
    })
}

fn predicted<D: Dimension>(view: ArrayView<'_, f32, D>, axis: usize) -> Vec<u32> {
    let logits = Logits::from_array(view, Axis(axis)).expect("contiguous");
    let mut classes = vec![9; logits.rows()];
    predict::argmax(logits, &mut classes).expect("a place for each row");
    classes
}

/// What [`marked`] marks, the other axes in their order.
fn wanted(shape: (usize, usize, usize), axis: usize) -> Vec<u32> {
    let mut lengths = [shape.0, shape.1, shape.2];
    let classes = std::mem::replace(&mut lengths[axis], 1);
    let mut rows = Vec::new();
    for i in 0..lengths[0] {
        for j in 0..lengths[1] {
            for k in 0..lengths[2] {
                rows.push(((i + 2 * j + 3 * k) % classes) as u32);
            }
        }
    }
    rows
}

#[test]
fn the_class_axis_may_be_anywhere() {
    for shape in [(2, 3, 5), (4, 1, 3), (1, 4, 2), (3, 2, 1), (5, 2, 2)] {
        for axis in 0..3 {
            let x = marked(shape, axis);
            assert_eq!(predicted(x.view(), axis), wanted(shape, axis), "{shape:?}, axis {axis}");
        }
    }
}

#[test]
fn a_transposed_matrix_is_read_as_it_is() {
    let x = Array2::from_shape_vec((2, 3), vec![0.0_f32, 1.0, 2.0, 3.0, 0.5, 5.0]).unwrap();
    // Seen as three rows of two classes, whose class axis is the longest stride.
    assert_eq!(predicted(x.t(), 1), [1, 0, 1]);
}

#[test]
fn what_would_need_a_copy_is_refused() {
    let x = marked((2, 3, 5), 2);
    let refused = |view: ArrayView<'_, f32, ndarray::Ix3>, axis| {
        assert_eq!(Logits::from_array(view, Axis(axis)).unwrap_err(), Error::Layout);
    };
    refused(x.slice_axis(Axis(2), Slice::from(..4)), 2);
    let mut reversed = x.view();
    reversed.invert_axis(Axis(0));
    refused(reversed, 2);
    // Rows in another order than their labels.
    refused(x.view().permuted_axes([2, 1, 0]), 1);
    refused(x.view(), 3);
}

#[test]
fn an_axis_of_one_element_has_no_order_or_direction() {
    let x = marked((2, 1, 5), 2);
    let mut reversed = x.view();
    reversed.invert_axis(Axis(1));
    assert_eq!(predicted(reversed, 2), wanted((2, 1, 5), 2));
    let swapped = x.view().permuted_axes([1, 0, 2]);
    assert_eq!(predicted(swapped, 2), wanted((2, 1, 5), 2));
}

#[test]
fn one_class_is_a_row_for_each_element() {
    let x = marked((4, 1, 3), 1);
    let logits = Logits::from_array(x.view(), Axis(1)).expect("contiguous");
    assert_eq!((logits.rows(), logits.classes()), (12, 1));
}

#[test]
fn a_gradient_takes_the_place_of_an_array() {
    let mut x = Array2::<f32>::zeros((2, 2));
    let logits = LogitsMut::from_array(x.view_mut(), Axis(1)).expect("contiguous");
    let loss = SoftmaxCrossEntropy::new().with_reduction(Reduction::Sum);
    loss.loss_and_grad_in_place(logits, Targets::index(&[0_u8, 1])).expect("valid");
    assert_eq!(x, ndarray::array![[-0.5, 0.5], [0.5, -0.5]]);
}
