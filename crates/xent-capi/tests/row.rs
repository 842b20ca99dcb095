//! The loss of a single row.

use std::ptr::null_mut;

use xent_capi::{Status, xent_softmax_row_f32, xent_softmax_row_f64};
use xent_core::softmax_cross_entropy_row;

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
