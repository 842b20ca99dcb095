//! How long do the loss and gradient of the sigmoid (binary) cross-entropy with logits take, with a
//! target for each element?
//!
//! Compares xent at the best level of the machine with `c = a + b` over logits and targets (the
//! minimum of memory traffic), a loop as a user would write it, and candle's and burn's loss with
//! its backward pass. All run on one thread, and must agree with xent before they are timed.
//!
//! ```sh
//! cargo bench -p xent-benches --bench sigmoid --features peers
//! ```

use xent::{Logits, Reduction, SigmoidCrossEntropy, Targets};
#[cfg(feature = "peers")]
use xent_benches::peers::{burn, candle};
use xent_benches::{Answer, Case, Contestant, Entry, compare, main as contest};

/// Images, and the objects that may be on them.
const SHAPES: &[[usize; 2]] = &[[65_536, 80]];

const CONTESTANTS: &[Entry] = &[
    xent,
    sum,
    scalar_loop,
    #[cfg(feature = "peers")]
    candle::sigmoid,
    #[cfg(feature = "peers")]
    burn::sigmoid,
];

fn main() {
    contest(|criterion| compare(criterion, "sigmoid/loss_and_grad", SHAPES, CONTESTANTS));
}

fn xent(case: &Case) -> Contestant<'_> {
    let sigmoid = SigmoidCrossEntropy::new().with_reduction(Reduction::Sum);
    Contestant::new(
        "xent",
        move |grad| {
            Logits::new(&case.logits, case.classes)
                .and_then(|x| sigmoid.loss_and_grad(x, Targets::dense(&case.targets), grad))
                .expect("a valid batch")
        },
        |loss, grad| Answer { loss: Some(loss), output: Some(grad.to_vec()) },
    )
}

fn inputs<'a>(case: &'a Case) -> impl Iterator<Item = (f32, f32)> + use<'a> {
    case.logits.iter().copied().zip(case.targets.iter().copied())
}

fn sum(case: &Case) -> Contestant<'_> {
    let run = |to: &mut Vec<f32>| {
        to.iter_mut().zip(inputs(case)).for_each(|(to, (a, b))| *to = a + b);
    };
    Contestant::new("c = a + b", run, |(), _| Answer::default())
}

fn scalar_loop(case: &Case) -> Contestant<'_> {
    let run = |grad: &mut Vec<f32>| {
        let mut total = 0.0;
        for (grad, (x, y)) in grad.iter_mut().zip(inputs(case)) {
            total += f64::from(x.max(0.0) - x * y + (-x.abs()).exp().ln_1p());
            *grad = 1.0 / (1.0 + (-x).exp()) - y;
        }
        total
    };
    Contestant::new("scalar loop", run, |loss, grad| Answer {
        loss: Some(loss),
        output: Some(grad.to_vec()),
    })
}
