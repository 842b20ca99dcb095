//! Compares the crate with the peers' results; `golden/README.md` describes the files.
//!
//! Reductions, class weights, smoothing, ignored rows and `pos_weight` are implemented here, from
//! the definitions, around the crate's functions of a row.

mod answer;
mod compare;
mod cross_entropy;
mod extended;
mod hessian;
mod probabilities;

use answer::Answer;
use compare::{Counts, compare};
use xent_reference::golden::{Case, File, Loss, cases};

/// The crate's result. Each group of losses has a file of its own.
fn answer(case: &Case) -> Answer {
    let mut answer = match case.loss {
        Loss::Softmax => cross_entropy::softmax(case),
        Loss::Sigmoid => cross_entropy::sigmoid(case),
        Loss::MultilabelSoftmax => cross_entropy::multilabel_softmax(case),
        Loss::MultinomialLogistic => probabilities::multinomial_logistic(case),
        Loss::NegativeLogLikelihood => probabilities::negative_log_likelihood(case),
        Loss::Logistic => probabilities::logistic(case),
        Loss::SoftmaxFocal => extended::softmax_focal(case),
        Loss::SigmoidFocal => extended::sigmoid_focal(case),
        Loss::Distillation => extended::distillation(case),
        Loss::ZLoss => extended::z_loss(case),
        Loss::SoftCap => extended::soft_cap(case),
        Loss::SoftMargin => extended::soft_margin(case),
    };
    if case.hessian_exact.is_some() {
        hessian::add(case, &mut answer);
    }
    answer
}

/// The options that a loss uses here; a case that sets another one fails.
fn used(loss: Loss) -> &'static [&'static str] {
    match loss {
        Loss::Softmax => &["class_weights", "sample_weights", "label_smoothing", "ignore_index"],
        Loss::Sigmoid => &["class_weights", "pos_weight"],
        Loss::NegativeLogLikelihood => &["class_weights"],
        Loss::SoftmaxFocal => &["gamma"],
        Loss::SigmoidFocal => &["gamma", "alpha"],
        Loss::Distillation => &["temperature"],
        Loss::ZLoss => &["z_loss"],
        Loss::SoftCap => &["soft_cap"],
        _ => &[],
    }
}

fn run(file: File, expected: usize) {
    let cases = cases(file);
    let mut counts = Counts::default();
    for case in &cases {
        compare::check_options(case, used(case.loss));
        compare(case, &answer(case), &mut counts);
    }
    println!("{}: {} cases ran, {counts}", file.name(), cases.len());
    assert_eq!(cases.len(), expected, "every case of {} runs", file.name());
}

#[test]
fn softmax_of_an_index_target_agrees_with_the_peer() {
    run(File::SoftmaxIndex, 73);
}

#[test]
fn softmax_of_a_dense_target_agrees_with_the_peer() {
    run(File::SoftmaxDense, 74);
}

#[test]
fn sigmoid_of_a_dense_target_agrees_with_the_peer() {
    run(File::SigmoidDense, 72);
}

#[test]
fn multilabel_softmax_agrees_with_the_peer() {
    run(File::MultilabelSoftmax, 12);
}

#[test]
fn losses_of_probabilities_agree_with_the_peers() {
    run(File::FromProbabilities, 54);
}

#[test]
fn extended_losses_agree_with_the_peers() {
    run(File::Extended, 65);
}

#[test]
fn hessians_agree_with_the_peers() {
    run(File::Hessian, 10);
}
