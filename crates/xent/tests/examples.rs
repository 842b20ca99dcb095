//! Each example runs, and what it asserts holds.

#[path = "../examples/boosting.rs"]
mod boosting;
#[path = "../examples/evaluation.rs"]
mod evaluation;
#[path = "../examples/reduction.rs"]
mod reduction;
#[path = "../examples/training.rs"]
mod training;

#[test]
fn boosting_runs() {
    boosting::main().unwrap();
}

#[test]
fn evaluation_runs() {
    evaluation::main().unwrap();
}

#[test]
fn reduction_runs() {
    reduction::main().unwrap();
}

#[test]
fn training_runs() {
    training::main().unwrap();
}
