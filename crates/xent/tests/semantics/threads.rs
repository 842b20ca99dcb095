//! What does not depend on the number of threads.

use xent::{
    Logits, MultiLabelSoftmax, Pass, Reduction, SigmoidCrossEntropy, SoftmaxCrossEntropy, Targets,
};

use crate::support::{bits, numbers};

#[test]
fn any_number_of_threads_returns_the_same_bits() {
    let (rows, classes) = (9000, 37);
    let x = numbers(rows * classes, 1, 10.0);
    let labels: Vec<u16> = (0..rows as u16).map(|row| row % 37).collect();
    let dense: Vec<f32> = x.iter().map(|x| x.abs() / 10.0).collect();
    let solve = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut all = Vec::new();
            let mut grad = vec![0.0; x.len()];
            let mut take = |value: f64, grad: &[f32]| {
                all.push((value.to_bits(), bits(grad)));
            };
            for reduction in [Reduction::Mean, Reduction::Sum] {
                let logits = || Logits::new(&x, classes).unwrap();
                let pass = Pass::new().grad(&mut grad);
                let loss = SoftmaxCrossEntropy::new().with_reduction(reduction);
                let report = loss.evaluate(logits(), Targets::index(&labels), pass).unwrap();
                take(report.loss, &grad);
                let pass = Pass::new().grad(&mut grad);
                let loss = SigmoidCrossEntropy::new().with_reduction(reduction);
                let report = loss.evaluate(logits(), Targets::dense(&dense), pass).unwrap();
                take(report.loss, &grad);
                let pass = Pass::new().grad(&mut grad);
                let loss = MultiLabelSoftmax::new().with_reduction(reduction);
                let columns = Logits::with_columns(&x, 90, classes, 100).unwrap();
                let report = loss.evaluate(columns, Targets::dense(&dense), pass).unwrap();
                take(report.loss, &grad);
            }
            all
        })
    };
    let one = solve(1);
    for threads in [2, 3, 7] {
        assert_eq!(solve(threads), one, "{threads} threads");
    }
}
