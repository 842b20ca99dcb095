//! Times of contenders that take turns.

use std::time::{Duration, Instant};

use half::{bf16, f16};
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::workspace::Results;
use crate::format::Checked;

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// The time for each case.
    budget: Duration,
    /// The minimum of rounds, however long they take.
    rounds: usize,
}

impl Effort {
    /// Enough to see that everything runs, and roughly how fast.
    pub(crate) const QUICK: Self = Self { budget: Duration::from_millis(40), rounds: 3 };
    pub(crate) const SHORT: Self = Self { budget: Duration::from_millis(250), rounds: 5 };
    pub(crate) const FULL: Self = Self { budget: Duration::from_millis(1500), rounds: 15 };

    /// Whether more rounds are needed, after that many since then.
    fn goes_on(self, rounds: usize, start: Instant) -> bool {
        rounds < self.rounds || start.elapsed() < self.budget
    }
}

/// The minimum time of a turn, so that reading the clock does not matter: shorter calls are repeated.
const TURN: Duration = Duration::from_micros(50);

/// A call to measure.
pub(crate) type Contender<'a, E> = Box<dyn Fn(&mut Results<E>) + 'a>;

/// The median time of a call of each contender, in seconds. They take turns, so that a slow moment of the machine
/// affects all of them.
pub(crate) fn medians<E: Checked, const N: usize>(
    effort: Effort,
    results: &mut Results<E>,
    contenders: [&Contender<'_, E>; N],
) -> [f64; N] {
    let mut times = [const { Vec::new() }; N];
    let calls = contenders.map(|contender| calls_a_turn(contender, results));
    let start = Instant::now();
    while effort.goes_on(times[0].len(), start) {
        for ((times, contender), calls) in times.iter_mut().zip(contenders).zip(calls) {
            times.push(turn(contender, results, calls).as_secs_f64() / f64::from(calls));
        }
    }
    times.map(|mut times| median(&mut times))
}

fn turn<E: Checked>(
    contender: &Contender<'_, E>,
    results: &mut Results<E>,
    calls: u32,
) -> Duration {
    let start = Instant::now();
    for _ in 0..calls {
        contender(results);
    }
    start.elapsed()
}

/// The number of calls that fill a turn. The first call, with cold caches, does not count.
fn calls_a_turn<E: Checked>(contender: &Contender<'_, E>, results: &mut Results<E>) -> u32 {
    contender(results);
    let mut calls = 1;
    while turn(contender, results, calls) < TURN {
        calls *= 2;
    }
    calls
}

/// The median; of an even number, the later of the two in the middle.
fn median(times: &mut [f64]) -> f64 {
    let middle = times.len() / 2;
    *times.select_nth_unstable_by(middle, f64::total_cmp).1
}

/// A format of logits, and the loops in it that are not losses of xent.
pub(crate) trait Measured: Checked {
    /// A factor for the gradient of a mean, so that it is not subnormal in this format: the loss scale of 16-bit
    /// training.
    const LOSS_SCALE: f64;

    /// A loop over three streams, whose arithmetic takes no noticeable time.
    fn with(self, other: Self::Float) -> Self;

    /// The standard library's.
    fn exp(x: Self::Float) -> Self::Float;

    /// The standard library's.
    fn ln(x: Self::Float) -> Self::Float;
}

macro_rules! measured {
    ($($element:ident as $float:ident, scaled by $scale:literal: $with:expr;)*) => {
        $(
            impl Measured for $element {
                const LOSS_SCALE: f64 = $scale;

                fn with(self, other: Self::Float) -> Self {
                    $with(self, other)
                }

                fn exp(x: $float) -> $float {
                    x.exp()
                }

                fn ln(x: $float) -> $float {
                    x.ln()
                }
            }
        )*
    };
}
measured! {
    f32 as f32, scaled by 1.0: |a, b| a + b;
    f64 as f64, scaled by 1.0: |a, b| a + b;
    // A conversion would take longer than the memory accesses.
    bf16 as f32, scaled by 1.0: |a: Self, b: f32| Self::from_bits(a.to_bits() ^ b.to_bits() as u16);
    f16 as f32, scaled by 65536.0: |a: Self, b: f32| Self::from_bits(a.to_bits() ^ b.to_bits() as u16);
}

/// The threads that share the work.
pub(crate) struct Threads {
    count: usize,
    pool: ThreadPool,
}

impl Threads {
    pub(crate) fn new(count: usize) -> Self {
        let pool = ThreadPoolBuilder::new().num_threads(count).build();
        Self { count, pool: pool.expect("the system has threads to give") }
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Measures on one of these threads: `xent` then uses exactly these threads, and entering the pool is not part
    /// of a call.
    pub(crate) fn enter<R: Send>(&self, measure: impl FnOnce() -> R + Send) -> R {
        self.pool.install(measure)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::thread::sleep;

    use super::*;
    use crate::bench::workspace::Workspace;

    #[test]
    fn a_short_call_is_repeated_and_a_long_one_is_not() {
        let mut results = Workspace::<f32>::for_cases(&[]).results;
        let (short_calls, long_calls) = (Cell::new(0), Cell::new(0));
        let short: Contender<'_, f32> = Box::new(|_| short_calls.set(short_calls.get() + 1));
        let long: Contender<'_, f32> = Box::new(|_| {
            long_calls.set(long_calls.get() + 1);
            sleep(Duration::from_millis(5));
        });
        let effort = Effort { budget: Duration::ZERO, rounds: 4 };
        let [short_time, long_time] = medians(effort, &mut results, [&short, &long]);
        // One that does not count, one to time it, and four rounds.
        assert_eq!(long_calls.get(), 6);
        assert!(long_time >= 0.005, "{long_time}");
        assert!(short_calls.get() > 100, "{short_calls:?}");
        assert!(short_time < 1e-5, "{short_time} s is the time of a turn, not of a call");
    }

    #[test]
    fn work_is_done_by_that_many_threads() {
        for count in [1, 3] {
            assert_eq!(Threads::new(count).enter(rayon::current_num_threads), count);
        }
    }

    #[test]
    fn the_median_of_an_even_number_is_the_later_of_two() {
        assert_eq!(median(&mut [4.0, 1.0, 3.0]), 3.0);
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), 3.0);
    }
}
