//! `cargo xtask ulp`: the elementwise functions over every float of their domain.

use std::ops::RangeInclusive;

use rayon::prelude::*;
use xent_core::{Error, Level};

use crate::bounds::{Bound, EXP, EXP_SUBNORMAL, Exact, LN, LOG1P, SIGMOID};
use crate::progress;
use crate::same::SameLevels;
use crate::table::{Finding, Findings};

/// Floats that one task compares at every level.
const CHUNK: u32 = 1 << 16;
/// The step of a quick run: a prime, so that all low bits come up.
const QUICK_STEP: u32 = 257;

/// A function of `xent_core` over the elements of a slice.
type OfSlice = fn(Level, &[f32], &mut [f32]) -> Result<(), Error>;

/// A function, its exact value and its domain.
pub(crate) struct Elementwise {
    function: OfSlice,
    exact: fn(f64) -> f64,
    bound: Bound,
    /// Where the exact value is subnormal, if that is judged apart.
    subnormal: Option<Bound>,
    /// Bit patterns of the inputs.
    domain: &'static [RangeInclusive<u32>],
}

/// The elementwise functions.
pub(crate) const FUNCTIONS: [Elementwise; 4] = [
    Elementwise {
        function: xent_core::exp,
        exact: f64::exp,
        bound: EXP,
        subnormal: Some(EXP_SUBNORMAL),
        domain: &[0..=u32::MAX],
    },
    Elementwise {
        function: xent_core::ln,
        exact: f64::ln,
        bound: LN,
        subnormal: None,
        domain: &[0..=f32::INFINITY.to_bits()],
    },
    Elementwise {
        function: xent_core::log1p,
        exact: f64::ln_1p,
        bound: LOG1P,
        subnormal: None,
        domain: &[0..=1.0_f32.to_bits()],
    },
    Elementwise {
        function: xent_core::sigmoid,
        exact: xent_reference::sigmoid::sigmoid,
        bound: SIGMOID,
        subnormal: None,
        domain: &[0..=f32::MAX.to_bits(), (-0.0_f32).to_bits()..=f32::MIN.to_bits()],
    },
];

impl Elementwise {
    /// Judges the function at every level; the exact values are computed once.
    pub(crate) fn check(&self, x: &[f32], findings: &mut Findings) {
        let exact: Vec<f64> = x.iter().map(|&x| (self.exact)(x.into())).collect();
        let mut out = vec![0.0; x.len()];
        let mut levels = SameLevels::default();
        for level in Level::available() {
            (self.function)(level, x, &mut out).expect("equal lengths");
            let at = |x: f32| format!("{x:e} ({:#010x})", x.to_bits());
            let mut normal = Finding::new(self.bound, level);
            let mut subnormal = self.subnormal.map(|bound| (Finding::new(bound, level), bound));
            for ((&x, &exact), &got) in x.iter().zip(&exact).zip(&out) {
                let error = Exact::new(exact).error(got);
                let is_subnormal = exact != 0.0 && exact.abs() < f64::from(f32::MIN_POSITIVE);
                match &mut subnormal {
                    Some((finding, bound)) if is_subnormal => {
                        finding.record(error, bound.at(level), || at(x));
                    }
                    _ => normal.record(error, self.bound.at(level), || at(x)),
                }
            }
            findings.add(normal);
            if let Some((finding, _)) = subnormal {
                findings.add(finding);
            }
            levels
                .compare(level, &out, findings, |i| format!("{} of {}", self.bound.name, at(x[i])));
        }
    }

    /// All of the domain, or every `step`-th float of it.
    fn sweep(&self, step: u32) -> Findings {
        let chunks: Vec<(u32, u32)> = self
            .domain
            .iter()
            .flat_map(|range| {
                let (start, last) = (*range.start(), (range.end() - range.start()) / step);
                (0..=last / CHUNK).map(move |chunk| {
                    let first = chunk * CHUNK;
                    (start + first * step, (last - first).min(CHUNK - 1))
                })
            })
            .collect();

        let bar = progress::bar(self.bound.name, chunks.len() as u64);
        let findings = chunks
            .par_iter()
            .map(|&(start, last)| {
                let x: Vec<f32> = (0..=last).map(|i| f32::from_bits(start + i * step)).collect();
                let mut findings = Findings::default();
                self.check(&x, &mut findings);
                bar.inc(1);
                findings
            })
            .reduce(Findings::default, Findings::merged);
        bar.finish_and_clear();
        findings
    }
}

/// Sweeps all functions.
pub(crate) fn run(quick: bool) -> Findings {
    let step = if quick { QUICK_STEP } else { 1 };
    FUNCTIONS
        .iter()
        .map(|function| function.sweep(step))
        .reduce(Findings::merged)
        .unwrap_or_default()
}
