//! The elementwise functions of every `f32` and of many `f64`; the conversions of every number.

use std::ops::RangeInclusive;

use half::{bf16, f16};
use rayon::prelude::*;
use xent_core::{Element, Error, Float, Level};
use xent_reference::ulp::Format;

use super::Chosen;
use crate::bounds::{Answer, Bound, EXP, EXP_SUBNORMAL, LN, LOG1P, NARROW, SIGMOID, WIDEN};
use crate::format::{Checked, Real};
use crate::progress;
use crate::same::{SameLevels, same_bits};
use crate::table::{Finding, Findings};

/// Numbers that one task compares at every level.
const CHUNK: u64 = 1 << 16;
/// The step of a quick run: a prime, so that all low bits occur.
const QUICK_STEP: u64 = 257;
/// How many `f64` are tried in a range; fewer in a quick run.
const SAMPLES: u64 = 1 << 22;
const QUICK_SAMPLES: u64 = 1 << 15;

/// Bit patterns of numbers.
type Range = RangeInclusive<u64>;

/// Bit patterns of numbers, `step` apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Series {
    first: u64,
    last: u64,
    step: u64,
}

impl Series {
    /// The numbers to try: all `f32`, or every n-th; for `f64` a number of samples over all, and as
    /// many again in each range of the center.
    fn of<F: Checked>(center: &[Range], quick: bool) -> Vec<Self> {
        let is_f64 = F::STORED == Format::F64;
        let step = |range: &Range| match (is_f64, quick) {
            // Odd, so that all low bits occur.
            (true, true) => ((range.end() - range.start()) / QUICK_SAMPLES) | 1,
            (true, false) => ((range.end() - range.start()) / SAMPLES) | 1,
            (false, true) => QUICK_STEP,
            (false, false) => 1,
        };
        let series =
            |range: &Range| Self { first: *range.start(), last: *range.end(), step: step(range) };
        let mut all = vec![series(&(0..=last::<F>()))];
        if is_f64 {
            all.extend(center.iter().map(series));
        }
        if is_f64 && !quick {
            // A quick run tries these as well, since it may find nothing worse.
            all.extend(Self::of::<F>(center, true));
            return all;
        }
        if is_f64 || quick {
            all.extend(Self::edges::<F>());
        }
        all
    }

    /// The numbers with the smallest, the largest and the middle significands: one of each for each
    /// exponent and sign.
    fn edges<F: Checked>() -> [Self; 8] {
        let step = 1_u64 << (F::STORED.digits - 1);
        let middle = step / 2;
        [0, 1, 2, middle - 1, middle, middle + 1, step - 2, step - 1].map(|first| Self {
            first,
            last: last::<F>(),
            step,
        })
    }

    /// The same numbers in portions.
    fn chunks(self) -> impl Iterator<Item = Self> {
        let Self { first, last, step } = self;
        let count = (last - first) / step;
        (0..=count / CHUNK).map(move |chunk| {
            let index = chunk * CHUNK;
            let last = first + step * (index + CHUNK - 1).min(count);
            Self { first: first + step * index, last, step }
        })
    }

    fn numbers<E: Checked>(self) -> Vec<E> {
        let count = (self.last - self.first) / self.step;
        (0..=count).map(|i| E::from_bits(self.first + i * self.step)).collect()
    }
}

/// The last bit pattern; each one is a number or a NaN.
fn last<E: Checked>() -> u64 {
    u64::MAX >> (64 - 8 * size_of::<E>())
}

/// A number and its bits.
fn named<E: Checked>(x: E) -> String {
    let width = 2 + 2 * size_of::<E>();
    format!("{x:e} ({:#0width$x})", x.bits())
}

/// The bits of a number from [`named`].
pub(super) fn bits_of(name: &str) -> Option<u64> {
    let (_, digits) = name.split_once("(0x")?;
    u64::from_str_radix(digits.strip_suffix(')')?, 16).ok()
}

/// A function of `xent_core` over the elements of a slice.
type OfSlice<F> = fn(Level, &[F], &mut [F]) -> Result<(), Error>;

/// A function and its exact value.
pub(crate) struct Elementwise<F: Checked> {
    function: OfSlice<F>,
    exact: fn(f64) -> F::Real,
    bound: Bound,
    /// Where the exact value is subnormal, if that is judged separately.
    subnormal: Option<Bound>,
    /// Ranges of inputs where most errors occur, for formats of which only some numbers can be
    /// tried.
    center: Vec<Range>,
}

/// The elementwise functions.
pub(crate) fn functions<F: Float + Checked>() -> [Elementwise<F>; 4] {
    let range = |from: f64, to: f64| F::float(from).bits()..=F::float(to).bits();
    // Slightly beyond the logarithms of the largest and the smallest number.
    let far = 1.1 * std::f64::consts::LN_2 * f64::from(F::STORED.max_exponent);
    [
        Elementwise {
            function: xent_core::exp,
            exact: F::Real::exp,
            bound: EXP.of::<F>(),
            subnormal: Some(EXP_SUBNORMAL.of::<F>()),
            // In the last range the result is subnormal.
            center: vec![range(1e-3, far), range(-1e-3, -far), range(-0.9 * far, -far)],
        },
        Elementwise {
            function: xent_core::ln,
            exact: F::Real::ln,
            bound: LN.of::<F>(),
            subnormal: None,
            center: vec![range(0.5, 1.0), range(1.0, 2.0)],
        },
        Elementwise {
            function: xent_core::log1p,
            exact: F::Real::ln_1p,
            bound: LOG1P.of::<F>(),
            subnormal: None,
            center: vec![
                range(1e-17, 1e-3),
                range(1e-3, 0.5),
                range(0.5, 1.0),
                range(1.0, 4.0),
                range(-1e-17, -1e-3),
                range(-1e-3, -1.0),
            ],
        },
        Elementwise {
            function: xent_core::sigmoid,
            exact: F::Real::sigmoid,
            bound: SIGMOID.of::<F>(),
            subnormal: None,
            center: vec![range(1e-3, 40.0), range(-1e-3, -far)],
        },
    ]
}

impl<F: Float + Checked> Elementwise<F> {
    /// Judges the function at every level; the exact values are computed once.
    pub(crate) fn check(&self, x: &[F], findings: &mut Findings) {
        let exact: Vec<F::Real> = x.iter().map(|x| (self.exact)(x.wide())).collect();
        let least_normal = 2.0_f64.powi(F::STORED.min_exponent);
        let mut out = vec![F::default(); x.len()];
        let mut levels = SameLevels::of::<F>();
        for level in Level::available() {
            (self.function)(level, x, &mut out).expect("equal lengths");
            let got: Vec<f64> = out.iter().map(|x| x.wide()).collect();
            let mut normal = Finding::new(self.bound, level);
            let mut subnormal = self.subnormal.map(|bound| (Finding::new(bound, level), bound));
            for ((&x, &exact), &got) in x.iter().zip(&exact).zip(&got) {
                let error = self.bound.error(Answer::new(exact), got);
                let size = exact.to_f64().abs();
                let is_subnormal = size != 0.0 && size < least_normal;
                match &mut subnormal {
                    Some((finding, bound)) if is_subnormal => {
                        finding.record(error, bound.at(level), || named(x));
                    }
                    _ => normal.record(error, self.bound.at(level), || named(x)),
                }
            }
            findings.add(normal);
            if let Some((finding, _)) = subnormal {
                findings.add(finding);
            }
            levels.compare(level, &got, findings, |i| {
                format!("{} of {}", self.bound.name, named(x[i]))
            });
        }
    }

    fn sweep(&self, quick: bool) -> Findings {
        let series = Series::of::<F>(&self.center, quick);
        sweep(self.bound.name, &series, |series, findings| {
            self.check(&series.numbers(), findings);
        })
    }
}

/// Checks all series, in parallel.
fn sweep(
    name: &'static str,
    series: &[Series],
    check: impl Fn(Series, &mut Findings) + Sync,
) -> Findings {
    let chunks: Vec<Series> = series.iter().flat_map(|series| series.chunks()).collect();
    let bar = progress::bar(name, chunks.len() as u64);
    let findings = chunks
        .par_iter()
        .map(|&chunk| {
            let mut findings = Findings::default();
            check(chunk, &mut findings);
            bar.inc(1);
            findings
        })
        .reduce(Findings::default, Findings::merged);
    bar.finish_and_clear();
    findings
}

/// The number with these bits, from the definition of the format.
fn decoded(format: Format, bits: u64) -> f64 {
    let fraction = 1_u64 << (format.digits - 1);
    let exponents = (format.max_exponent - format.min_exponent + 2) as u64;
    let rest = (bits % fraction) as f64 / fraction as f64;
    let biased = bits / fraction % (exponents + 1);
    let sign = if bits / fraction > exponents { -1.0 } else { 1.0 };
    let magnitude = if biased == 0 {
        rest * 2.0_f64.powi(format.min_exponent)
    } else if biased < exponents {
        (1.0 + rest) * 2.0_f64.powi(format.min_exponent - 1 + biased as i32)
    } else if rest == 0.0 {
        f64::INFINITY
    } else {
        f64::NAN
    };
    sign * magnitude
}

/// The number of a format nearest to an `f32`, ties to even: the nearest multiple of the spacing
/// there. Everything is exact in `f64`.
fn nearest(format: Format, x: f64) -> f64 {
    let spacing = format.spacing(x);
    let rounded = (x / spacing).round_ties_even() * spacing;
    let overflows = rounded.abs() >= 2.0_f64.powi(format.max_exponent + 1);
    if overflows { f64::INFINITY.copysign(x) } else { rounded }
}

/// Converts all numbers of a 16-bit format to `f32`, and all `f32` (or a part of them) to it.
fn conversions<E: Checked + Element<Float = f32>>(quick: bool) -> Findings {
    let numbers: Vec<f64> = (0..1 << 16).map(|bits| decoded(E::STORED, bits)).collect();
    let all = Series { first: 0, last: (1 << 16) - 1, step: 1 };
    let widened = sweep("widen", &[all], |series, findings| {
        let x: Vec<E> = series.numbers();
        let mut out = vec![f32::NEG_INFINITY; x.len()];
        for level in Level::available() {
            xent_core::widen(level, &x, &mut out).expect("equal lengths");
            let got: Vec<f64> = out.iter().map(|&x| x.into()).collect();
            let exact = &numbers[series.first as usize..=series.last as usize];
            same_bits(WIDEN.of::<E>(), level, [&got, exact], findings, |i| named(x[i]));
        }
    });
    let floats = Series::of::<f32>(&[], quick);
    let narrowed = sweep("narrow", &floats, |series, findings| {
        let x: Vec<f32> = series.numbers();
        let exact: Vec<f64> = x.iter().map(|&x| nearest(E::STORED, x.into())).collect();
        let mut out = vec![E::default(); x.len()];
        for level in Level::available() {
            xent_core::narrow(level, &x, &mut out).expect("equal lengths");
            let got: Vec<f64> = out.iter().map(|x| numbers[x.bits() as usize]).collect();
            same_bits(NARROW.of::<E>(), level, [&got, &exact], findings, |i| named(x[i]));
        }
    });
    widened.merged(narrowed)
}

/// Tries all chosen functions in all formats.
pub(super) fn run(quick: bool, chosen: &Chosen<'_>) -> Findings {
    fn sweeps<F: Float + Checked>(quick: bool, chosen: &Chosen<'_>) -> Findings {
        let functions = functions::<F>().into_iter();
        functions
            .filter(|function| chosen.has(function.bound.name))
            .map(|function| function.sweep(quick))
            .fold(Findings::default(), Findings::merged)
    }
    let floats = sweeps::<f32>(quick, chosen).merged(sweeps::<f64>(quick, chosen));
    if chosen.has(WIDEN.name) || chosen.has(NARROW.name) {
        floats.merged(conversions::<bf16>(quick)).merged(conversions::<f16>(quick))
    } else {
        floats
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_all_of_a_series() {
        let series = Series { first: 5, last: 5 + 3 * 200_000 + 2, step: 3 };
        let chunks: Vec<Series> = series.chunks().collect();
        assert_eq!(chunks.len(), 4);
        let numbers: Vec<f64> = chunks.into_iter().flat_map(Series::numbers).collect();
        assert_eq!(numbers, (0..=200_000).map(|i| f64::from_bits(5 + 3 * i)).collect::<Vec<_>>());
    }

    #[test]
    fn edges_are_in_every_exponent_of_both_signs() {
        let numbers: Vec<f32> =
            Series::edges::<f32>().into_iter().flat_map(Series::numbers).collect();
        assert_eq!(numbers.len(), 8 * 2 * 256);
        let [two, three, four] = [2.0_f32, 3.0, 4.0];
        let of_two = [two.next_down().next_down(), two.next_down(), 2.0, two.next_up()];
        let of_three = [three.next_down(), 3.0, three.next_up()];
        for edge in of_two.into_iter().chain(of_three).chain([four.next_down(), 4.0]) {
            assert!(numbers.contains(&edge) && numbers.contains(&-edge), "{edge:e}");
        }
        assert!(!numbers.contains(&2.5));

        let numbers: Vec<f64> =
            Series::edges::<f64>().into_iter().flat_map(Series::numbers).collect();
        assert_eq!(numbers.len(), 8 * 2 * 2048);
        for x in [1.0_f64, 3.0, 4.0] {
            for edge in [x.next_down(), x, x.next_up()] {
                assert!(numbers.contains(&edge) && numbers.contains(&-edge), "{edge:e}");
            }
        }
        assert!(numbers.contains(&-f64::from_bits(1)) && numbers.contains(&f64::MIN));
    }

    #[test]
    fn f64_is_sampled_and_f32_is_not() {
        let [exp, ..] = functions::<f32>();
        let [all] = Series::of::<f32>(&exp.center, false)[..] else { panic!("one series") };
        assert_eq!(all, Series { first: 0, last: u32::MAX.into(), step: 1 });
        let [exp, ..] = functions::<f64>();
        // All numbers, each range of the center and eight edges; and those of a quick run.
        for (quick, count) in [(true, 4 + 8), (false, 4 + (4 + 8))] {
            let series = Series::of::<f64>(&exp.center, quick);
            assert_eq!(series.len(), count);
            assert!(series.iter().all(|series| series.step % 2 == 1 || series.step == 1 << 52));
        }
    }

    #[test]
    fn a_wrong_function_is_noticed_at_every_level() {
        fn failures<F: Float + Checked>(function: OfSlice<F>) -> usize {
            let [exp, ..] = functions::<F>();
            let mut findings = Findings::default();
            let x = [-3.0, 0.0, 0.5, 2.0].map(F::nearest);
            Elementwise { function, ..exp }.check(&x, &mut findings);
            findings.failures()
        }
        fn off<F: Float + Checked>(level: Level, x: &[F], out: &mut [F]) -> Result<(), Error> {
            xent_core::exp(level, x, out)?;
            out[2] = F::from_bits(out[2].bits() + 2);
            Ok(())
        }
        assert_eq!((failures::<f32>(xent_core::exp), failures::<f64>(xent_core::exp)), (0, 0));
        let levels = Level::available().count();
        assert_eq!((failures::<f32>(off), failures::<f64>(off)), (levels, levels));
    }

    #[test]
    fn numbers_of_sixteen_bits_are_what_their_formats_say() {
        for bits in 0..1 << 16 {
            let want = f64::from(f32::from_bits((bits as u32) << 16));
            let got = decoded(Format::BF16, bits);
            assert!(got == want || got.is_nan() && want.is_nan(), "{bits:#06x}: {got:e}");
        }
        let least = 2.0_f64.powi(-24);
        for (bits, want) in [
            (0x0001, least),
            (0x03ff, 1023.0 * least),
            (0x0400, 1024.0 * least),
            (0x3c00, 1.0),
            (0x7bff, 65504.0),
            (0x7c00, f64::INFINITY),
            (0x8000, -0.0),
            (0xc000, -2.0),
        ] {
            assert_eq!(decoded(Format::F16, bits).to_bits(), want.to_bits(), "{bits:#06x}");
        }
        assert!(decoded(Format::F16, 0x7c01).is_nan() && decoded(Format::F16, 0xffff).is_nan());
    }

    #[test]
    fn the_nearest_number_is_the_even_one_of_two() {
        let least = 2.0_f64.powi(-24);
        for (x, want) in [
            (1.0 + 2.0_f64.powi(-11), 1.0),
            (1.0 + 3.0 * 2.0_f64.powi(-11), 1.0 + 2.0_f64.powi(-9)),
            (least / 2.0, 0.0),
            (-least / 2.0, -0.0),
            (f64::from((least as f32 / 2.0).next_up()), least),
            (1.5 * least, 2.0 * least),
            (2047.5 * least, 2048.0 * least),
            (65519.0, 65504.0),
            (65520.0, f64::INFINITY),
            (-1e30, f64::NEG_INFINITY),
        ] {
            assert_eq!(nearest(Format::F16, x).to_bits(), want.to_bits(), "{x:e}");
        }
        assert!(nearest(Format::F16, f64::NAN).is_nan());
        let largest = f64::from(f32::from_bits(0x7f7f_0000));
        assert_eq!(nearest(Format::BF16, f64::from(f32::from_bits(0x7f7f_7fff))), largest);
        assert_eq!(nearest(Format::BF16, f64::from(f32::from_bits(0x7f7f_8000))), f64::INFINITY);
    }
}
