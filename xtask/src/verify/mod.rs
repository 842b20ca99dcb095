//! `cargo xtask verify`: every public function at every level against the reference.

mod loss;
mod sigmoid;
mod slices;
mod softmax;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rayon::prelude::*;

use crate::bounds::Distances;
use crate::progress;
use crate::rows::{self, Rows};
use crate::table::Findings;
use crate::ulp::FUNCTIONS;

/// A check of everything that one function, or one loss, does with a batch of rows.
type Check = fn(&Batch, &mut StdRng, &mut Findings);

/// What is checked. A new loss is a line here, and a function that describes it to [`loss`].
const CHECKS: [Check; 5] =
    [elementwise, slices::check, softmax::index, softmax::dense, sigmoid::check];

/// Class counts around the ends of tiles, and those of vocabularies; the slowest first.
const LARGE: [usize; 9] = [128_256, 32_000, 8193, 8192, 8191, 4097, 4096, 4095, 1000];
/// Up to here every class count is tried: past four of the widest registers, twice.
const EVERY_UP_TO: usize = 129;

/// Rows, and what their bounds depend on.
struct Batch {
    rows: Rows,
    wide: Vec<Vec<f64>>,
    distances: Vec<Distances>,
    /// The gradient's scale.
    scale: f64,
}

impl Batch {
    fn new(rows: Rows, scale: f64) -> Self {
        let wide: Vec<Vec<f64>> =
            rows.iter().map(|x| x.iter().map(|&x| x.into()).collect()).collect();
        let distances = wide.iter().map(|x| Distances::new(x)).collect();
        Self { rows, wide, distances, scale }
    }
}

/// One class count, tried once.
#[derive(Clone, Copy, Debug)]
struct Plan {
    classes: usize,
    repetition: u64,
}

impl Plan {
    fn all(quick: bool) -> Vec<Self> {
        let (large, small) = if quick { (3, 6) } else { (64, 1600) };
        let plans = |classes, repetitions| {
            (0..repetitions).map(move |repetition| Self { classes, repetition })
        };
        let large = LARGE.into_iter().flat_map(|classes| plans(classes, large));
        large.chain((1..=EVERY_UP_TO).flat_map(|classes| plans(classes, small))).collect()
    }

    fn run(self) -> Findings {
        let mut rng = StdRng::seed_from_u64((self.classes as u64) << 32 | self.repetition);
        let mut batches =
            vec![rows::random(self.classes, &mut rng), rows::any_bits(self.classes, &mut rng)];
        if self.repetition == 0 {
            batches.extend(rows::edge(self.classes, &mut rng));
        }
        let mut findings = Findings::default();
        for rows in batches {
            // A sum, a mean over the rows, and a gradient made larger.
            let scale = match self.repetition % 3 {
                0 => 1.0,
                1 => 1.0 / rows.kinds.len() as f64,
                _ => 3.0,
            };
            let batch = Batch::new(rows, scale);
            for check in CHECKS {
                check(&batch, &mut rng, &mut findings);
            }
        }
        findings
    }
}

/// Runs all plans.
pub(crate) fn run(quick: bool) -> Findings {
    let plans = Plan::all(quick);
    let bar = progress::bar("verify", plans.iter().map(|plan| plan.classes as u64).sum());
    let findings = plans
        .par_iter()
        .map(|plan| {
            let findings = plan.run();
            bar.inc(plan.classes as u64);
            findings
        })
        .reduce(Findings::default, Findings::merged);
    bar.finish_and_clear();
    findings
}

/// exp, ln, log1p and sigmoid of all logits.
fn elementwise(batch: &Batch, _: &mut StdRng, findings: &mut Findings) {
    for function in &FUNCTIONS {
        function.check(&batch.rows.logits, findings);
    }
}
