//! What a mean divides by is known before it is computed.

use xent::{Logits, MeanOver, Pass, Reduction, SigmoidCrossEntropy, SoftmaxCrossEntropy, Targets};

const X: [f32; 8] = [0.5, 1.0, -1.0, 2.0, 0.0, 0.0, 3.0, -2.0];
const SAMPLES: [f32; 4] = [1.0, 0.0, 3.0, 0.25];

fn logits() -> Logits<'static> {
    Logits::new(&X, 2).expect("rows")
}

#[test]
fn the_denominator_of_a_softmax_is_that_of_its_report() {
    let labels = [1_i8, 0, -1, 0];
    let targets = Targets::index(&labels);
    // Of PyTorch the class weights, the rows, the rows that are not ignored (whatever they weigh), and all
    // weights.
    for (mean_over, wanted) in [
        (MeanOver::PyTorch, 2.0 + 0.5 + 0.5),
        (MeanOver::AllRows, 4.0),
        (MeanOver::NotIgnored, 3.0),
        (MeanOver::Weights, 2.0 + 0.25 * 0.5),
    ] {
        let loss = SoftmaxCrossEntropy::new()
            .with_class_weights([0.5, 2.0])
            .expect("weights")
            .with_ignore_index(-1)
            .with_mean_over(mean_over);
        let got = loss.denominator(logits(), targets, &SAMPLES).expect("valid");
        assert_eq!(got, wanted, "{mean_over:?}");
        let pass = || Pass::new().sample_weights(&SAMPLES);
        let mean = loss.evaluate(logits(), targets, pass()).expect("valid");
        assert_eq!(mean.denominator, wanted, "{mean_over:?}");
        let sum = loss.with_reduction(Reduction::Sum);
        let sum = sum.evaluate(logits(), targets, pass()).expect("valid");
        assert_eq!(sum.denominator, 1.0);
        assert_eq!(mean.loss, sum.loss / wanted, "{mean_over:?}");
    }
}

#[test]
fn the_denominator_of_a_sigmoid_counts_elements() {
    let y = [0.0; 8];
    let loss = SigmoidCrossEntropy::new();
    let got = loss.denominator(logits(), Targets::dense(&y), &[]).expect("valid");
    assert_eq!(got, 8.0);
}
