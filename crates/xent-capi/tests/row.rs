//! The loss of a single row.

use std::ptr::null_mut;

use xent_capi::{Status, xent_evaluate_row_i8, xent_softmax_row_f32, xent_softmax_row_f64};
use xent_core::{evaluate_row, softmax_cross_entropy_row};

#[test]
fn it_has_the_bits_of_the_core() {
    for classes in 1..=32 {
        let x: Vec<f64> = (0..classes).map(|class| (class as f64 * 0.7).sin() * 20.0).collect();
        let narrow: Vec<f32> = x.iter().map(|&x| x as f32).collect();
        let label = classes / 2;
        let (mut loss, mut gradient) = (0.0_f64, vec![0.0; classes]);
        let mut narrow_loss = 0.0_f32;
        let mut narrow_gradient = vec![0.0; classes];
        // SAFETY: vectors of this length, and one loss.
        let done = unsafe {
            let (x, g) = (x.as_ptr(), gradient.as_mut_ptr());
            let wide = xent_softmax_row_f64(x, classes, label, &raw mut loss, g);
            let (x, g) = (narrow.as_ptr(), narrow_gradient.as_mut_ptr());
            [wide, xent_softmax_row_f32(x, classes, label, &raw mut narrow_loss, g)]
        };
        assert_eq!(done, [Status::Ok; 2]);
        let mut want = vec![0.0; classes];
        assert_eq!(softmax_cross_entropy_row(&x, label, &mut want), Ok(loss));
        assert_eq!(gradient, want);
        let mut want = vec![0.0; classes];
        assert_eq!(softmax_cross_entropy_row(&narrow, label, &mut want), Ok(narrow_loss));
        assert_eq!(narrow_gradient, want);
    }
}

#[test]
fn what_is_wrong_is_refused_and_nothing_written() {
    let x = [0.0_f32; 40];
    let mut gradient = [7.0_f32; 40];
    let mut loss = 7.0_f32;
    let refused = |x: *const f32, classes, label, loss: *mut f32, gradient: *mut f32| {
        // SAFETY: longer arrays, or null.
        unsafe { xent_softmax_row_f32(x, classes, label, loss, gradient) }
    };
    let (from, into, at) = (x.as_ptr(), gradient.as_mut_ptr(), &raw mut loss);
    assert_eq!(refused(from, 0, 0, at, into), Status::Classes);
    assert_eq!(refused(from, 33, 0, at, into), Status::Classes);
    assert_eq!(refused(from, 3, 3, at, into), Status::Label);
    assert_eq!(refused(null_mut(), 3, 0, at, into), Status::Null);
    assert_eq!(refused(from, 3, 0, null_mut(), into), Status::Null);
    assert_eq!(refused(from, 3, 0, at, null_mut()), Status::Null);
    assert_eq!(refused(from, 3, 0, into, into), Status::Overlap);
    assert_eq!(refused(into, 3, 0, at, into), Status::Overlap);
    assert!(loss == 7.0 && gradient.iter().all(|g| *g == 7.0));
}

#[test]
fn a_row_of_integers_has_the_bits_of_the_floats_that_it_stands_for() {
    let (scale, zero_point) = (0.21_f32, -7);
    for classes in 1..=32 {
        let q: Vec<i8> = (0..classes).map(|class| (class * 37 % 256) as u8 as i8).collect();
        let x: Vec<f32> = q.iter().map(|&q| (i32::from(q) - zero_point) as f32 * scale).collect();
        let label = classes / 2;
        let (mut loss, mut predicted) = (7.0_f32, 99);
        // SAFETY: a vector of this length, and one of each result.
        let status = unsafe {
            let (loss, predicted) = (&raw mut loss, &raw mut predicted);
            xent_evaluate_row_i8(q.as_ptr(), classes, scale, zero_point, label, loss, predicted)
        };
        let wanted = evaluate_row(&x, label).expect("a row");
        assert_eq!(status, Status::Ok);
        assert_eq!((loss.to_bits(), predicted), (wanted.loss.to_bits(), wanted.predicted));
    }
}

#[test]
fn a_wrong_row_of_integers_is_refused_and_nothing_written() {
    let q = [0_i8; 40];
    let (mut loss, mut predicted) = (7.0_f32, 99_usize);
    let (to, class) = (&raw mut loss, &raw mut predicted);
    let refused = |classes, scale, zero_point, label, loss: *mut f32, predicted: *mut usize| {
        // SAFETY: a longer array, or null.
        unsafe {
            xent_evaluate_row_i8(q.as_ptr(), classes, scale, zero_point, label, loss, predicted)
        }
    };
    assert_eq!(refused(0, 1.0, 0, 0, to, class), Status::Classes);
    assert_eq!(refused(33, 1.0, 0, 0, to, class), Status::Classes);
    assert_eq!(refused(3, 1.0, 0, 3, to, class), Status::Label);
    assert_eq!(refused(3, 0.0, 0, 0, to, class), Status::Quantisation);
    assert_eq!(refused(3, f32::NAN, 0, 0, to, class), Status::Quantisation);
    assert_eq!(refused(3, 1.0, 128, 0, to, class), Status::Quantisation);
    assert_eq!(refused(3, 1.0, 0, 0, null_mut(), class), Status::Null);
    assert_eq!(refused(3, 1.0, 0, 0, to, null_mut()), Status::Null);
    assert!(loss == 7.0 && predicted == 99);
}
