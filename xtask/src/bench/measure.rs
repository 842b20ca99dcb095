//! Times taken in turns.

use std::time::{Duration, Instant};

use half::{bf16, f16};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use xent_core::{Batch, Level};

use super::workspace::Workspace;
use crate::format::Checked;

/// Elements that a thread copies at once.
const COPY_CHUNK: usize = 1 << 15;

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// For each case.
    budget: Duration,
    /// Rounds at least, whatever they take.
    rounds: usize,
}

impl Effort {
    pub(crate) const QUICK: Self = Self { budget: Duration::from_millis(250), rounds: 5 };
    pub(crate) const FULL: Self = Self { budget: Duration::from_millis(1500), rounds: 15 };

    /// Whether so many rounds since then are not yet enough.
    pub(crate) fn goes_on(self, rounds: usize, start: Instant) -> bool {
        rounds < self.rounds || start.elapsed() < self.budget
    }
}

/// What is measured.
pub(crate) type Contender<'a, E> = &'a dyn Fn(&mut Workspace<E>);

/// The median time of each contender. They take turns, so that a slow moment of the machine strikes
/// all of them.
pub(crate) fn medians<E: Checked, const N: usize>(
    effort: Effort,
    workspace: &mut Workspace<E>,
    contenders: [Contender<'_, E>; N],
) -> [Duration; N] {
    let mut times = [const { Vec::new() }; N];
    contenders.iter().for_each(|contender| contender(workspace));
    let start = Instant::now();
    while effort.goes_on(times[0].len(), start) {
        for (times, contender) in times.iter_mut().zip(contenders) {
            let start = Instant::now();
            contender(workspace);
            times.push(start.elapsed());
        }
    }
    times.map(|mut times| median(&mut times))
}

/// The middle one; of an even number, the later of two.
pub(crate) fn median(times: &mut [Duration]) -> Duration {
    let middle = times.len() / 2;
    *times.select_nth_unstable(middle).1
}

/// A format of logits, and what a loop of three streams does with it.
pub(crate) trait Measured: Checked {
    /// Takes no time to speak of.
    fn with(self, other: Self::Float) -> Self;
}

macro_rules! measured {
    ($($element:ident),*: $with:expr) => {
        $(
            impl Measured for $element {
                fn with(self, other: Self::Float) -> Self {
                    $with(self, other)
                }
            }
        )*
    };
}
measured!(f32, f64: |a, b| a + b);
// A conversion would take longer than the memory.
measured!(bf16, f16: |a: Self, b: f32| Self::from_bits(a.to_bits() ^ b.to_bits() as u16));

/// So many threads, and the work that they can be given.
pub(crate) struct Runner {
    threads: usize,
    /// None for the thread that asks.
    pool: Option<ThreadPool>,
}

impl Runner {
    pub(crate) fn new(threads: usize) -> Self {
        let build = || ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = (threads > 1).then(|| build().expect("the system has threads to give"));
        Self { threads, pool }
    }

    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    pub(crate) fn solve(&self, batch: impl Batch, level: Level) -> f64 {
        match &self.pool {
            None => batch.run(level),
            Some(pool) => pool.install(|| xent_rayon::run(batch, level)),
        }
    }

    pub(crate) fn copy<E: Checked>(&self, from: &[E], to: &mut [E]) {
        match &self.pool {
            None => to.copy_from_slice(from),
            Some(pool) => pool.install(|| {
                let chunks = to.par_chunks_mut(COPY_CHUNK).zip(from.par_chunks(COPY_CHUNK));
                chunks.for_each(|(to, from)| to.copy_from_slice(from));
            }),
        }
    }

    pub(crate) fn add<E: Measured>(&self, a: &[E], b: &[E::Float], to: &mut [E]) {
        let add = |a: &[E], b: &[E::Float], to: &mut [E]| {
            to.iter_mut().zip(a).zip(b).for_each(|((to, &a), &b)| *to = a.with(b));
        };
        match &self.pool {
            None => add(a, b, to),
            Some(pool) => pool.install(|| {
                let chunks = to
                    .par_chunks_mut(COPY_CHUNK)
                    .zip(a.par_chunks(COPY_CHUNK))
                    .zip(b.par_chunks(COPY_CHUNK));
                chunks.for_each(|((to, a), b)| add(a, b, to));
            }),
        }
    }
}
