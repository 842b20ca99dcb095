//! `cargo xtask verify`: compares every public function at every level with the reference.

mod loss;
pub(crate) mod sigmoid;
pub(crate) mod slices;
pub(crate) mod softmax;

use half::{bf16, f16};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rayon::prelude::*;
use xent_core::Float;

use crate::bounds::Distances;
use crate::format::Checked;
use crate::progress;
use crate::rows::{self, Rows};
use crate::table::Findings;
use crate::ulp::sweep;

/// All checks of a function, or of a loss, on a batch of rows.
pub(crate) type Check<E> = fn(&Batch<E>, &mut StdRng, &mut Findings);

/// Numbers of classes around the ends of tiles, and sizes of vocabularies; the slowest first.
const LARGE: [usize; 9] = [128_256, 32_000, 8193, 8192, 8191, 4097, 4096, 4095, 1000];
/// Every number of classes up to here is tried: past four of the widest registers, twice.
const EVERY_UP_TO: usize = 129;

/// Rows, and the quantities that their bounds depend on.
pub(crate) struct Batch<E> {
    rows: Rows<E>,
    wide: Vec<Vec<f64>>,
    distances: Vec<Distances>,
    /// The gradient's scale.
    scale: f64,
}

impl<E: Checked> Batch<E> {
    pub(crate) fn new(rows: Rows<E>, scale: f64) -> Self {
        let wide: Vec<Vec<f64>> =
            rows.iter().map(|x| x.iter().map(|x| x.wide()).collect()).collect();
        let distances = wide.iter().map(|x| Distances::new(x)).collect();
        Self { rows, wide, distances, scale }
    }
}

/// The plan for one format.
#[derive(Clone, Copy, Debug)]
struct Scope {
    run: fn(Plan) -> Findings,
    /// The time of a class, relative to the fastest format.
    cost: u64,
    /// How often each of [`LARGE`] is tried, from the second number on.
    large: (u64, usize),
    /// How often each number of classes up to [`EVERY_UP_TO`] is tried.
    small: u64,
}

/// The slowest first. The `f64` oracle takes dozens of times as long as the other; the 16-bit
/// formats use the kernels of `f32`, and need fewer random rows.
const QUICK: [Scope; 4] = [
    Scope { run: Plan::of_float::<f64>, cost: 40, large: (1, 4097), small: 1 },
    Scope { run: Plan::of_float::<f32>, cost: 1, large: (3, LARGE[0]), small: 6 },
    Scope { run: Plan::of_sixteen::<bf16>, cost: 1, large: (1, 8193), small: 2 },
    Scope { run: Plan::of_sixteen::<f16>, cost: 1, large: (1, 8193), small: 2 },
];
const FULL: [Scope; 4] = [
    Scope { large: (2, LARGE[0]), small: 24, ..QUICK[0] },
    Scope { large: (64, LARGE[0]), small: 1600, ..QUICK[1] },
    Scope { large: (4, LARGE[0]), small: 100, ..QUICK[2] },
    Scope { large: (4, LARGE[0]), small: 100, ..QUICK[3] },
];

/// One try of a number of classes in a format.
#[derive(Clone, Copy, Debug)]
struct Plan {
    scope: Scope,
    classes: usize,
    repetition: u64,
}

impl Plan {
    fn all(scope: Scope) -> impl Iterator<Item = Self> {
        let (repetitions, largest) = scope.large;
        let large = LARGE.into_iter().filter(move |&classes| classes <= largest);
        let large = large.map(move |classes| (classes, repetitions));
        let small = (1..=EVERY_UP_TO).map(move |classes| (classes, scope.small));
        large.chain(small).flat_map(move |(classes, repetitions)| {
            (0..repetitions).map(move |repetition| Self { scope, classes, repetition })
        })
    }

    /// All checks. A new loss is a word here and in [`of_sixteen`](Self::of_sixteen), and a
    /// function that describes it to [`loss`].
    fn of_float<F: Float + Checked>(self) -> Findings {
        self.run(&[elementwise::<F>, slices::check, softmax::index, softmax::dense, sigmoid::check])
    }

    fn of_sixteen<E: Checked>(self) -> Findings {
        self.run::<E>(&[softmax::index, softmax::dense, sigmoid::check])
    }

    fn run<E: Checked>(self, checks: &[Check<E>]) -> Findings {
        let mut rng = StdRng::seed_from_u64((self.classes as u64) << 32 | self.repetition);
        let mut batches =
            vec![rows::random(self.classes, &mut rng), rows::any_bits(self.classes, &mut rng)];
        if self.repetition == 0 {
            batches.extend(rows::edge(self.classes, &mut rng));
        }
        let mut findings = Findings::default();
        for rows in batches {
            // A sum, a mean over the rows, and an enlarged gradient.
            let scale = match self.repetition % 3 {
                0 => 1.0,
                1 => 1.0 / rows.kinds.len() as f64,
                _ => 3.0,
            };
            let batch = Batch::new(rows, scale);
            for check in checks {
                check(&batch, &mut rng, &mut findings);
            }
        }
        findings
    }

    fn cost(self) -> u64 {
        self.scope.cost * self.classes as u64
    }
}

/// Runs all plans.
pub(crate) fn run(quick: bool) -> Findings {
    let scopes = if quick { QUICK } else { FULL };
    let plans: Vec<Plan> = scopes.into_iter().flat_map(Plan::all).collect();
    let bar = progress::bar("verify", plans.iter().map(|plan| plan.cost()).sum());
    let findings = plans
        .par_iter()
        .map(|plan| {
            let findings = (plan.scope.run)(*plan);
            bar.inc(plan.cost());
            findings
        })
        .reduce(Findings::default, Findings::merged);
    bar.finish_and_clear();
    findings
}

/// exp, ln, log1p and sigmoid of all logits.
pub(crate) fn elementwise<F: Float + Checked>(
    batch: &Batch<F>,
    _: &mut StdRng,
    findings: &mut Findings,
) {
    for function in sweep::functions::<F>() {
        function.check(&batch.rows.logits, findings);
    }
}
