//! Every loss is some loss: as an object it has the bits that it has by itself.
#![cfg(feature = "alloc")]

use xent::{
    BatchCounts, Distillation, Element, Error, LogisticLoss, Logits, LogitsMut, Loss,
    MultiLabelSoftMargin, MultiLabelSoftmax, MultinomialLogistic, NegativeLogLikelihood, Pass,
    Policy, Reduction, Report, SigmoidCrossEntropy, SoftmaxCrossEntropy, Targets,
};

const X: [f32; 6] = [0.5, 0.25, 0.25, 0.125, 0.5, 0.375];
const Y: [f32; 6] = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0];
const LABELS: [u8; 2] = [0, 2];

/// Owned, as a program keeps them.
fn all() -> Vec<(Box<dyn Loss<f32>>, Targets<'static>)> {
    let (w, index, dense) = ([1.0, 2.0, 0.5], Targets::index(&LABELS), Targets::dense(&Y));
    vec![
        (Box::new(SoftmaxCrossEntropy::new().with_class_weights(w).unwrap()), index),
        (Box::new(MultiLabelSoftmax::new().with_class_weights(w).unwrap()), dense),
        (Box::new(Distillation::new(2.0).unwrap()), Targets::teacher(&Y)),
        (Box::new(SigmoidCrossEntropy::new().with_pos_weight(w).unwrap()), dense),
        (Box::new(MultiLabelSoftMargin::new()), dense),
        (Box::new(LogisticLoss::new().with_class_weights(w).unwrap()), dense),
        (Box::new(MultinomialLogistic::new().with_class_weights(w).unwrap()), index),
        (Box::new(NegativeLogLikelihood::new()), index),
    ]
}

#[test]
fn every_loss_is_an_object() {
    for (loss, targets) in all() {
        let logits = || Logits::new(&X, 3).unwrap();
        let mut grads = [[0.0; 6]; 3];
        let [grad, of_pass, of_train] = &mut grads;
        let value = loss.loss(logits(), targets).unwrap();
        assert_eq!(loss.loss_and_grad(logits(), targets, grad), Ok(value));
        let report = loss.evaluate(logits(), targets, Pass::new().grad(of_pass)).unwrap();
        assert_eq!(report.loss, value);
        assert_eq!(loss.train(logits(), targets, of_train).unwrap().loss, value);
        assert!(grads[0].iter().any(|g| *g != 0.0) && grads.iter().all(|grad| *grad == grads[0]));
        let (mut a, mut b, mut c) = (X, X, X);
        let in_place = |x| LogitsMut::new(x, 3).unwrap();
        assert_eq!(loss.loss_and_grad_in_place(in_place(&mut a), targets), Ok(value));
        assert_eq!(loss.train_in_place(in_place(&mut b), targets).unwrap().loss, value);
        let report = loss.evaluate_in_place(in_place(&mut c), targets, Pass::new()).unwrap();
        assert_eq!(report.loss, value);
        assert!([a, b, c].iter().all(|x| *x == grads[0]));
        let denominator = loss.denominator(logits(), targets, &[]).unwrap();
        assert_eq!(denominator, report.denominator);
        assert_eq!(loss.counts(logits(), targets, &[]).unwrap().rows, 2);
        assert_eq!(loss.policy(), Policy::default());
    }
}

#[test]
fn objects_have_the_bits_of_the_losses_by_themselves() {
    let loss = SoftmaxCrossEntropy::new().with_label_smoothing(0.1).unwrap();
    let (mut a, mut b) = ([0.0; 6], [0.0; 6]);
    let value = loss.loss_and_grad((&X, 3), &LABELS, &mut a).unwrap();
    let object: Box<dyn Loss> = Box::new(loss);
    let logits = Logits::new(&X, 3).unwrap();
    assert_eq!(object.loss_and_grad(logits, Targets::index(&LABELS), &mut b), Ok(value));
    assert_eq!(a, b);
}

#[test]
fn losses_go_to_other_threads() {
    let loss: Box<dyn Loss<f64> + Send + Sync> =
        Box::new(SoftmaxCrossEntropy::new().with_class_weights(vec![1.0, 2.0]).unwrap());
    let x = [0.0, 0.0];
    let value = std::thread::scope(|scope| {
        let solve = || loss.loss(Logits::new(&x, 2)?, Targets::index(&[1_i64]));
        scope.spawn(solve).join().unwrap()
    });
    assert_eq!(value, Ok(std::f64::consts::LN_2));
}

/// A loss of somebody else: half of another.
struct Half<L>(L);

impl<E: Element, L: Loss<E>> Loss<E> for Half<L> {
    fn evaluate(
        &self,
        logits: Logits<'_, E>,
        targets: Targets<'_, E::Float>,
        pass: Pass<'_, E>,
    ) -> Result<Report, Error> {
        let mut report = self.0.evaluate(logits, targets, pass.scale(0.5))?;
        report.loss *= 0.5;
        Ok(report)
    }

    fn evaluate_in_place(
        &self,
        logits: LogitsMut<'_, E>,
        targets: Targets<'_, E::Float>,
        pass: Pass<'_, E>,
    ) -> Result<Report, Error> {
        let mut report = self.0.evaluate_in_place(logits, targets, pass.scale(0.5))?;
        report.loss *= 0.5;
        Ok(report)
    }

    fn counts(
        &self,
        logits: Logits<'_, E>,
        targets: Targets<'_, E::Float>,
        sample_weights: &[E::Float],
    ) -> Result<BatchCounts, Error> {
        self.0.counts(logits, targets, sample_weights)
    }

    fn policy(&self) -> Policy {
        self.0.policy()
    }
}

#[test]
fn losses_of_others_are_losses() {
    let (x, targets) = ([0.0, 0.0_f32], Targets::index(&[1_u8]));
    let logits = || Logits::new(&x, 2).unwrap();
    let losses: [Box<dyn Loss<f32>>; 2] =
        [Box::new(SoftmaxCrossEntropy::new()), Box::new(Half(SoftmaxCrossEntropy::new()))];
    let mut grads = [[0.0; 2]; 2];
    let values: Vec<f64> = losses
        .iter()
        .zip(&mut grads)
        .map(|(loss, grad)| loss.loss_and_grad(logits(), targets, grad).unwrap())
        .collect();
    assert_eq!(values[1], values[0] / 2.0);
    assert_eq!(grads, [[0.5, -0.5], [0.25, -0.25]]);
    let unreduced = Half(SoftmaxCrossEntropy::new().with_reduction(Reduction::None));
    assert_eq!(unreduced.loss(logits(), targets), Err(Error::NotReduced));
}
