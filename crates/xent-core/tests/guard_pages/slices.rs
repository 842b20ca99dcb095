//! The functions of a slice.

use xent_core::{Error, Float, Level};

use crate::hold::{Answer, Bits, Number, hold};
use crate::of_every_format;

/// Lengths around the widths of registers, strips and tiles.
pub(crate) fn lengths() -> impl Iterator<Item = usize> {
    let around = [127, 128, 129, 255, 256, 257, 1000, 4095, 4096, 4097, 8191, 8193, 12_290];
    (0..=70).chain(around)
}

type Function<F> = fn(Level, &[F], &mut [F]) -> Result<(), Error>;

fn functions<F: Float + Bits>() -> [(&'static str, Function<F>); 6] {
    [
        ("exp", xent_core::exp),
        ("ln", xent_core::ln),
        ("log1p", xent_core::log1p),
        ("sigmoid", xent_core::sigmoid),
        ("softmax", xent_core::softmax),
        ("log_softmax", xent_core::log_softmax),
    ]
}

fn functions_of_one_slice<F: Float + Bits>() {
    for length in lengths() {
        let mut x = F::spread(length, 9.0);
        for special in [None, Some(f64::INFINITY), Some(f64::NAN)] {
            if let (Some(special), Some(last)) = (special, x.last_mut()) {
                *last = F::of(special);
            }
            for (name, function) in functions::<F>() {
                hold(&(name, length, special), &|level, place| {
                    let (x, mut out) = (place.of(&x), place.of(&vec![F::of(0.5); length]));
                    function(level, &x, &mut out).expect("equal lengths");
                    let mut answer = Answer::default();
                    answer.add(&out);
                    answer
                });
            }
            hold(&("max, log_sum_exp", length, special), &|level, place| {
                let x = place.of(&x);
                let mut answer = Answer::default();
                answer.add(&[xent_core::max(level, &x), xent_core::log_sum_exp(level, &x)]);
                answer
            });
        }
    }
}

#[test]
fn functions_of_f32() {
    functions_of_one_slice::<f32>();
}

#[test]
fn functions_of_f64() {
    functions_of_one_slice::<f64>();
}

fn conversions<E: Number>() {
    for length in lengths() {
        let x = E::spread(length, 9.0);
        hold(&("widen, narrow", E::NAME, length), &|level, place| {
            let x = place.of(&x);
            let mut wide = place.of(&vec![E::Float::default(); length]);
            xent_core::widen(level, &x, &mut wide).expect("equal lengths");
            let mut back = place.of(&vec![E::default(); length]);
            xent_core::narrow(level, &wide, &mut back).expect("equal lengths");
            let mut answer = Answer::default();
            answer.add(&wide);
            answer.add(&back);
            answer
        });
    }
}

of_every_format!(conversions);
