//! Contestants, and the contest.

use std::fmt;
use std::hint::black_box;
use std::time::Duration;

use approx::{assert_relative_eq, relative_eq};
use criterion::{Criterion, Throughput};
use rayon::ThreadPoolBuilder;

use crate::Case;

/// A line of the table of contestants: prepares one of them for a case.
pub type Entry = fn(&Case) -> Contestant<'_>;

/// The results of a contestant, as far as it has any. The default is none, for one that only moves
/// bytes.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The sum of all losses.
    pub loss: Option<f64>,
    /// The gradient of that sum, or another output that the benchmark asks for.
    pub output: Option<Vec<f32>>,
}

impl Answer {
    /// The allowed relative error of a loss.
    const LOSS: f64 = 1e-4;
    /// The same for an output, and the absolute error allowed near zero.
    const OUTPUT: f32 = 1e-3;
    const ZERO: f32 = 1e-5;

    /// For a benchmark without a loss.
    #[must_use]
    pub fn of(output: &[f32]) -> Self {
        Self { loss: None, output: Some(output.to_vec()) }
    }

    fn check(&self, expected: &Self, name: &str) {
        if let (Some(mine), Some(theirs)) = (self.loss, expected.loss) {
            assert!(
                relative_eq!(mine, theirs, max_relative = Self::LOSS),
                "{name} has a loss of {mine} instead of {theirs}"
            );
        }
        if let (Some(mine), Some(theirs)) = (&self.output, &expected.output) {
            assert_relative_eq!(
                mine.as_slice(),
                theirs.as_slice(),
                epsilon = Self::ZERO,
                max_relative = Self::OUTPUT
            );
        }
    }
}

type Attempt<'a> = dyn FnMut(&mut Vec<f32>, Wanted) -> Option<Answer> + 'a;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Time,
    Answer,
}

/// A contestant for a case.
pub struct Contestant<'a> {
    name: &'static str,
    attempt: Box<Attempt<'a>>,
}

impl<'a> Contestant<'a> {
    /// `run` is timed; it may use a buffer with a place for each element. `answer` converts its
    /// result and that buffer.
    pub fn new<T>(
        name: &'static str,
        mut run: impl FnMut(&mut Vec<f32>) -> T + 'a,
        answer: impl Fn(T, &[f32]) -> Answer + 'a,
    ) -> Self {
        let attempt = move |buffer: &mut Vec<f32>, wanted| {
            let made = black_box(run(black_box(buffer)));
            (wanted == Wanted::Answer).then(|| answer(made, buffer))
        };
        Self { name, attempt: Box::new(attempt) }
    }

    fn answer(&mut self, buffer: &mut Vec<f32>) -> Answer {
        (self.attempt)(buffer, Wanted::Answer).expect("asked for the answer")
    }
}

impl fmt::Debug for Contestant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contestant").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Times all contestants on all shapes.
///
/// # Panics
/// If one of them disagrees with the first.
pub fn compare(
    criterion: &mut Criterion,
    question: &str,
    shapes: &[[usize; 2]],
    contestants: &[Entry],
) {
    for &shape @ [rows, classes] in shapes {
        let case = Case::new(shape);
        let mut buffer = vec![0.0; case.logits.len()];
        let mut group = criterion.benchmark_group(format!("{question}/{rows}x{classes}"));
        group.throughput(Throughput::Elements(case.logits.len() as u64));
        let expected = contestants[0](&case).answer(&mut buffer);
        for entry in contestants {
            let mut contestant = entry(&case);
            contestant.answer(&mut buffer).check(&expected, contestant.name);
            group.bench_function(contestant.name, |bencher| {
                bencher.iter(|| (contestant.attempt)(&mut buffer, Wanted::Time));
            });
        }
        group.finish();
    }
}

/// The `main` of every benchmark: one thread, short measurements, criterion's arguments.
pub fn main(bench: impl FnOnce(&mut Criterion)) {
    #[cfg(feature = "peers")]
    crate::peers::keep_to_one_thread();
    // `xent` and others use all threads of this pool.
    ThreadPoolBuilder::new()
        .num_threads(1)
        .use_current_thread()
        .build_global()
        .expect("nobody has used the pool yet");
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    bench(&mut criterion);
    criterion.final_summary();
}
