//! The classes of the largest logits.

use xent_core::Float;

/// Writes the classes of the largest numbers of a row, the largest first. The first of equals counts as larger, and
/// NaN as larger than any number.
pub(crate) fn top_k<F: Float>(row: &[F], classes: &mut [u32]) {
    let mut found = 0;
    for (class, x) in row.iter().enumerate() {
        // Classes that have been found come first of equals.
        let is_larger = |than: u32| row.get(than as usize).is_none_or(|than| beats(*x, *than));
        if found == classes.len() {
            if !is_larger(classes[found - 1]) {
                continue;
            }
        } else {
            found += 1;
        }
        let mut at = found - 1;
        while at > 0 && is_larger(classes[at - 1]) {
            classes[at] = classes[at - 1];
            at -= 1;
        }
        classes[at] = class as u32;
    }
}

fn beats<F: Float>(x: F, than: F) -> bool {
    let is_nan = |x: F| x.partial_cmp(&x).is_none();
    x > than || is_nan(x) && !is_nan(than)
}
