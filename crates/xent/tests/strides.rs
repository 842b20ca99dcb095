//! Rows with elements between them: the last may end with its logits, or be as long as the others.

use xent::{
    Hessian, Level, LogisticLoss, Logits, LogitsMut, Pass, SigmoidCrossEntropy,
    SoftmaxCrossEntropy, Targets,
};

const NAN: f32 = f32::NAN;

#[test]
fn the_last_row_may_have_its_padding() {
    for (rows, classes, stride) in
        [(3, 3, 5), (1, 2, 7), (40, 10, 11), (5, 40, 48), (2, 5000, 5001)]
    {
        let x: Vec<f32> = (0..rows * classes).map(|i| ((i * 37 % 101) as f32) / 20.0).collect();
        let labels: Vec<u32> = (0..rows).map(|row| (row % classes) as u32).collect();
        let whole: Vec<f32> = x
            .chunks(classes)
            .flat_map(|row| row.iter().copied().chain(std::iter::repeat_n(NAN, stride - classes)))
            .collect();
        let short = &whole[..whole.len() - (stride - classes)];
        for level in Level::available() {
            let loss = SoftmaxCrossEntropy::new().with_level(level);
            let targets = Targets::index(&labels);
            let mut grad = vec![7.0; x.len()];
            let plain = Logits::new(&x, classes).unwrap();
            let wanted = loss.loss_and_grad(plain, targets, &mut grad).unwrap();
            let y = vec![0.25; x.len()];
            let sigmoid = SigmoidCrossEntropy::new().with_level(level);
            let of_sigmoid = sigmoid.loss(plain, Targets::dense(&y)).unwrap();
            let mut of_plain = vec![0.0; x.len()];
            let pass = Pass::new().hessian(&mut of_plain, Hessian::Exact);
            loss.evaluate(plain, targets, pass).unwrap();
            for buffer in [&whole[..], short] {
                let logits = || Logits::with_stride(buffer, rows, classes, stride).unwrap();
                for length in [whole.len(), short.len()] {
                    let mut strided = vec![7.0; length];
                    let value = loss.loss_and_grad(logits(), targets, &mut strided).unwrap();
                    assert_eq!(value, wanted);
                    for (row, grad) in grad.chunks(classes).enumerate() {
                        assert_eq!(strided[row * stride..][..classes], *grad);
                        let gap = strided.get(row * stride + classes..(row + 1) * stride);
                        assert!(gap.unwrap_or(&[]).iter().all(|g| *g == 7.0));
                    }
                }
                // Added up row by row.
                let value = sigmoid.loss(logits(), Targets::dense(&y)).unwrap();
                assert!((value - of_sigmoid).abs() <= 1e-6 * of_sigmoid);
                let mut h = vec![0.0; x.len()];
                let pass = Pass::new().hessian(&mut h, Hessian::Exact);
                loss.evaluate(logits(), targets, pass).unwrap();
                assert_eq!(h, of_plain);
                let mut in_place = buffer.to_vec();
                let mutable = LogitsMut::with_stride(&mut in_place, rows, classes, stride).unwrap();
                assert_eq!(loss.loss_and_grad_in_place(mutable, targets).unwrap(), wanted);
                assert_eq!(in_place[..classes], grad[..classes]);
            }
            for length in [short.len() - 1, whole.len() + 1] {
                let wrong = vec![0.0_f32; length];
                assert!(Logits::with_stride(&wrong, rows, classes, stride).is_err());
            }
        }
    }
}

#[test]
fn one_positive_weight_is_that_of_every_class() {
    let x: Vec<f32> = (0..60).map(|i| (i * 37 % 101) as f32 / 20.0 - 2.5).collect();
    let p: Vec<f32> = (0..60).map(|i| (i * 37 % 101) as f32 / 101.0).collect();
    let y: Vec<f32> = (0..60).map(|i| (i % 3) as f32 / 2.0).collect();
    for level in Level::available() {
        for (outer, classes, inner) in [(20, 3, 1), (2, 3, 10), (1, 60, 1), (60, 1, 1)] {
            let many = vec![2.5; classes];
            let shape = |x| Logits::with_columns(x, outer, classes, inner).unwrap();
            macro_rules! compare {
                ($loss:ident, $x:expr) => {
                    let [one, each] = [&[2.5][..], &many].map(|weights| {
                        let mut grad = vec![0.0; 60];
                        let loss = $loss::new().with_level(level).with_pos_weight(weights).unwrap();
                        let value = loss.loss_and_grad(shape($x), Targets::dense(&y), &mut grad);
                        (value.unwrap(), grad)
                    });
                    assert_eq!(one, each, "{level}, {classes}");
                };
            }
            compare!(SigmoidCrossEntropy, &x);
            compare!(LogisticLoss, &p);
        }
    }
    let loss = SigmoidCrossEntropy::new().with_pos_weight([1.0, 2.0]).unwrap();
    assert!(loss.loss(Logits::new(&x, 3).unwrap(), Targets::dense(&y)).is_err());
}
