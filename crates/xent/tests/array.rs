//! Logits from views of arrays: which row and class an element is of.
#![cfg(all(feature = "ndarray", feature = "ndarray-0-16"))]

use ndarray::{Array2, Array3, ArrayView, Axis, Dimension, Slice};
use xent::{Logits, LogitsMut, Reduction, SoftmaxCrossEntropy, Targets, predict};

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
    let reason = |view: ArrayView<'_, f32, ndarray::Ix3>, axis| {
        Logits::from_array(view, Axis(axis)).unwrap_err().to_string()
    };
    let gaps = x.slice_axis(Axis(2), Slice::from(..4));
    assert!(reason(gaps, 2).contains("`narrow` and its rows with `every`"));
    let mut reversed = x.view();
    reversed.invert_axis(Axis(0));
    assert!(reason(reversed, 2).contains("negative stride"));
    let row = x.slice_axis(Axis(0), Slice::from(..1));
    let broadcast = row.broadcast((4, 3, 5)).expect("one row");
    assert!(reason(broadcast, 2).contains("stride of 0"));
    // Rows in another order than their labels.
    assert!(reason(x.view().permuted_axes([2, 1, 0]), 1).contains("another order"));
    assert!(reason(x.view(), 3).contains("no such class axis"));
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

#[test]
fn classes_and_rows_of_an_array_are_chosen_without_a_copy() {
    let x = Array2::from_shape_fn((4, 5), |(i, j)| ((i * 7 + j * 3) % 11) as f32);
    let loss = SoftmaxCrossEntropy::new();
    let value = |logits, labels: &[u8]| loss.loss(logits, Targets::index(labels)).expect("valid");
    let all = || Logits::from_array(x.view(), Axis(1)).expect("contiguous");

    let copy = x.slice(ndarray::s![.., 1..4]).to_owned();
    let copied = Logits::from_array(copy.view(), Axis(1)).expect("contiguous");
    assert_eq!(
        value(all().narrow(1..4).expect("there"), &[0, 1, 2, 0]),
        value(copied, &[0, 1, 2, 0])
    );

    let copy = x.slice(ndarray::s![..;2, ..]).to_owned();
    let copied = Logits::from_array(copy.view(), Axis(1)).expect("contiguous");
    assert_eq!(value(all().every(2).expect("step"), &[4, 1]), value(copied, &[4, 1]));

    // Of columns, too.
    let columns = x.t().as_standard_layout().into_owned();
    let columns = Logits::from_array(columns.view(), Axis(0)).expect("contiguous");
    let narrowed = columns.narrow(1..4).expect("there");
    assert_eq!(
        value(narrowed, &[0, 1, 2, 0]),
        value(all().narrow(1..4).expect("there"), &[0, 1, 2, 0])
    );
    assert!(all().narrow(3..6).is_err() && all().narrow(2..2).is_err() && all().every(0).is_err());
}

#[test]
fn arrays_of_the_version_before_are_read_alike() {
    use ndarray_0_16 as older;
    let x = older::Array2::from_shape_fn((3, 4), |(i, j)| ((i * 7 + j * 3) % 5) as f32);
    let y = Array2::from_shape_fn((3, 4), |(i, j)| ((i * 7 + j * 3) % 5) as f32);
    let loss = SoftmaxCrossEntropy::new();
    let labels = Targets::index(&[3_i32, 0, 1]);
    let of_older = Logits::from_array(x.view(), older::Axis(1)).expect("contiguous");
    let of_newer = Logits::from_array(y.view(), Axis(1)).expect("contiguous");
    assert_eq!(loss.loss(of_older, labels), loss.loss(of_newer, labels));
    let mut x = x;
    let logits = LogitsMut::from_array(x.view_mut(), older::Axis(1)).expect("contiguous");
    loss.loss_and_grad_in_place(logits, labels).expect("valid");
    assert!(x.sum().abs() < 1e-6);
    let reversed = x.slice(older::s![..;-1, ..]);
    let error = Logits::from_array(reversed, older::Axis(1)).unwrap_err();
    assert!(error.to_string().contains("negative stride"), "{error}");
}
