//! From logits to predicted classes.

use core::cmp::Ordering;

use xent_core::{Element, Error as InputError};

use crate::{Error, IntoLogits, IntoTargets, Logits, Targets};

/// The class of the largest logit of every row, the first of equals; for a row with NaN the first NaN, as in
/// `numpy.argmax`. `classes` has one place for each row.
///
/// ```
/// use xent::predict;
///
/// let mut classes = [0; 2];
/// predict::argmax((&[1.0, 2.0, 5.0, 4.0_f32], 2), &mut classes)?;
/// assert_eq!(classes, [1, 0]);
/// # Ok::<(), xent::Error>(())
/// ```
///
/// # Errors
/// [`Error::Input`] if there is not one place for each row.
pub fn argmax<'l>(logits: impl IntoLogits<'l>, classes: &mut [u32]) -> Result<(), Error> {
    let logits = logits.into_logits()?;
    check("predicted classes", logits.rows(), classes.len())?;
    for (row, place) in classes.iter_mut().enumerate() {
        *place = u32::try_from(first_nan_or_largest(&logits, row)).unwrap_or(u32::MAX);
    }
    Ok(())
}

/// Whether the label of every row is among its `k` largest logits. Of equal logits the first counts as larger, and
/// a NaN is larger than any number, so a `k` of one agrees with [`argmax`]. A label that is not a class, such as an
/// ignored one, is never among them. `among` has one place for each row.
///
/// ```
/// use xent::predict;
///
/// let mut among = [false; 2];
/// let logits = (&[1.0, 2.0, 5.0, 4.0, 3.0, 4.0_f32], 3);
/// predict::in_top_k(logits, &[1_u8, 2], 2, &mut among)?;
/// assert_eq!(among, [true, true]);
/// predict::in_top_k(logits, &[1_u8, 2], 1, &mut among)?;
/// assert_eq!(among, [false, false]);
/// # Ok::<(), xent::Error>(())
/// ```
///
/// # Errors
/// [`Error::Input`] if `k` is zero, or there is not one label and one place for each row; [`Error::Targets`] if the
/// labels are not integers.
pub fn in_top_k<'l, 't, L: IntoLogits<'l>>(
    logits: L,
    labels: impl IntoTargets<'t, <L::Element as Element>::Float>,
    k: usize,
    among: &mut [bool],
) -> Result<(), Error> {
    if k == 0 {
        return Err(InputError::Option { option: "k", reason: "expected at least one" }.into());
    }
    let (logits, targets) = (logits.into_logits()?, labels.into_targets()?);
    let Targets::Index(labels) = targets else {
        return Err(Error::Targets { expected: "indices", found: targets.name() });
    };
    check("labels", logits.rows(), labels.len())?;
    check("rows among the largest", logits.rows(), among.len())?;
    for (row, place) in among.iter_mut().enumerate() {
        let label = labels.get(row).and_then(|label| usize::try_from(label).ok());
        *place = label.filter(|label| *label < logits.classes()).is_some_and(|label| {
            let of_label = logits.get(row, label).to_float().into();
            let larger = (0..logits.classes()).filter(|&class| {
                let other: f64 = logits.get(row, class).to_float().into();
                match other.partial_cmp(&of_label) {
                    Some(Ordering::Greater) => true,
                    Some(Ordering::Equal) => class < label,
                    Some(Ordering::Less) => false,
                    None => other.is_nan() && (!of_label.is_nan() || class < label),
                }
            });
            larger.take(k).count() < k
        });
    }
    Ok(())
}

/// Every class whose sigmoid is at least `threshold`, in the order of the logits (without a stride). With
/// `at_least_one`, a row without any gets the class with the lowest loss, which has the largest logit.
///
/// ```
/// use xent::predict;
///
/// let logits = (&[2.0, 1.0, -1.0, -3.0, -1.0, -2.0_f32], 3);
/// let mut belongs = [false; 6];
/// predict::multi_label(logits, 0.5, true, &mut belongs)?;
/// assert_eq!(belongs, [true, true, false, false, true, false]);
/// # Ok::<(), xent::Error>(())
/// ```
///
/// # Errors
/// [`Error::Input`] if the threshold is not in [0, 1] or there is not one place for each logit.
pub fn multi_label<'l>(
    logits: impl IntoLogits<'l>,
    threshold: f64,
    at_least_one: bool,
    belongs: &mut [bool],
) -> Result<(), Error> {
    if !(0.0..=1.0).contains(&threshold) {
        let reason = "expected a probability, from 0 to 1";
        return Err(InputError::Option { option: "threshold", reason }.into());
    }
    let logits = logits.into_logits()?;
    check("predicted labels", logits.shape.elements(), belongs.len())?;
    // σ(x) >= t where x >= ln(t / (1 - t)).
    let least = xent_core::logit(threshold);
    for row in 0..logits.rows() {
        let mut any = false;
        for class in 0..logits.classes() {
            let above = logits.get(row, class).to_float().into() >= least;
            belongs[logits.shape.place(row, class)] = above;
            any |= above;
        }
        if at_least_one && !any {
            belongs[logits.shape.place(row, largest(&logits, row))] = true;
        }
    }
    Ok(())
}

fn check(of: &'static str, expected: usize, found: usize) -> Result<(), InputError> {
    if expected == found { Ok(()) } else { Err(InputError::Length { of, expected, found }) }
}

fn first_nan_or_largest<E: Element>(logits: &Logits<'_, E>, row: usize) -> usize {
    let mut largest = (0, f64::NEG_INFINITY);
    for class in 0..logits.classes() {
        let x: f64 = logits.get(row, class).to_float().into();
        if x.is_nan() {
            return class;
        }
        if x > largest.1 {
            largest = (class, x);
        }
    }
    largest.0
}

/// The class of the largest number of a row.
fn largest<E: Element>(logits: &Logits<'_, E>, row: usize) -> usize {
    let mut largest = (0, f64::NEG_INFINITY);
    for class in 0..logits.classes() {
        let x = logits.get(row, class).to_float().into();
        if x > largest.1 {
            largest = (class, x);
        }
    }
    largest.0
}
