//! How long do the loss and gradient of the softmax cross-entropy take, with a label for each row?
//!
//! Compares xent at the best level of the machine with a copy of the logits (the minimum of memory
//! traffic), a loop as a user would write it, and other crates: candle's and burn's loss with its
//! backward pass, and rten's softmax, which is only the forward half. All run on one thread, and
//! must agree with xent before they are timed.
//!
//! ```sh
//! cargo bench -p xent-benches --bench softmax --features peers
//! ```

use std::hint::black_box;

use xent::{Logits, Reduction, SoftmaxCrossEntropy, Targets};
#[cfg(feature = "peers")]
use xent_benches::peers::{burn, candle, rten};
use xent_benches::{Answer, Case, Contestant, Entry, ROWS, compare, main as contest};

const CONTESTANTS: &[Entry] = &[
    xent,
    copy,
    scalar_loop,
    #[cfg(feature = "peers")]
    candle::softmax,
    #[cfg(feature = "peers")]
    burn::softmax,
    #[cfg(feature = "peers")]
    rten::softmax,
];

fn main() {
    contest(|criterion| compare(criterion, "softmax/loss_and_grad", ROWS, CONTESTANTS));
}

fn xent(case: &Case) -> Contestant<'_> {
    let softmax = SoftmaxCrossEntropy::new().with_reduction(Reduction::Sum);
    Contestant::new(
        "xent",
        move |grad| {
            Logits::new(&case.logits, case.classes)
                .and_then(|x| softmax.loss_and_grad(x, Targets::index(&case.labels), grad))
                .expect("a valid batch")
        },
        |loss, grad| Answer { loss: Some(loss), output: Some(grad.to_vec()) },
    )
}

fn copy(case: &Case) -> Contestant<'_> {
    Contestant::new("copy", |to| to.copy_from_slice(&case.logits), |(), _| Answer::default())
}

fn scalar_loop(case: &Case) -> Contestant<'_> {
    let run = |grad: &mut Vec<f32>| {
        let mut total = 0.0;
        let rows = case.rows_of(black_box(&case.logits)).zip(grad.chunks_exact_mut(case.classes));
        for ((x, grad), &label) in rows.zip(&case.labels) {
            let max = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let mut sum = 0.0;
            for (grad, x) in grad.iter_mut().zip(x) {
                *grad = (x - max).exp();
                sum += *grad;
            }
            for grad in grad.iter_mut() {
                *grad /= sum;
            }
            grad[label as usize] -= 1.0;
            total += f64::from(sum.ln() + max - x[label as usize]);
        }
        total
    };
    Contestant::new("scalar loop", run, |loss, grad| Answer {
        loss: Some(loss),
        output: Some(grad.to_vec()),
    })
}
