//! [rten-vecmath](https://docs.rs/rten-vecmath): vectorised functions of a slice, forward only.

use rten_simd::SimdOp;
use rten_vecmath::{ExtendInit, LogSoftmax, MaxNum, Softmax, SumExpSub};

use crate::{Answer, Case, Contestant};

/// `Softmax` of each row: neither a loss nor its gradient, but most of the work.
pub fn softmax(case: &Case) -> Contestant<'_> {
    let run = |to: &mut Vec<f32>| {
        to.clear();
        for x in case.rows_of(&case.logits) {
            to.extend_init(|rest| Softmax::new(x, &mut rest[..x.len()]).dispatch());
        }
    };
    Contestant::new("rten, softmax only", run, |(), softmax| {
        let mut gradient = softmax.to_vec();
        let mut loss = 0.0;
        for (row, &label) in gradient.chunks_exact_mut(case.classes).zip(&case.labels) {
            let p = &mut row[label as usize];
            loss -= f64::from(*p).ln();
            *p -= 1.0;
        }
        Answer { loss: Some(loss), output: Some(gradient) }
    })
}

/// `MaxNum`, then `SumExpSub`, of each row.
pub fn log_sum_exp(case: &Case) -> Contestant<'_> {
    let run = |to: &mut Vec<f32>| {
        for (to, x) in to.iter_mut().zip(case.rows_of(&case.logits)) {
            let max = MaxNum::new(x).dispatch();
            *to = SumExpSub::new(x, max).dispatch().ln() + max;
        }
    };
    Contestant::new("rten", run, |(), to| Answer::of(&to[..case.rows]))
}

/// `LogSoftmax` of each row.
pub fn log_softmax(case: &Case) -> Contestant<'_> {
    let run = |to: &mut Vec<f32>| {
        to.clear();
        for x in case.rows_of(&case.logits) {
            to.extend_init(|rest| LogSoftmax::new(x, &mut rest[..x.len()]).dispatch());
        }
    };
    Contestant::new("rten", run, |(), to| Answer::of(to))
}
