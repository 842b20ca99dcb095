//! Second derivatives: of a distillation, and of columns of any length.

use xent_core::{
    Batch, Buffers, Element, Float, Hessian, Labels, Level, Outputs, RowWeights, Shape,
    SoftmaxBatch, SoftmaxOptions, SoftmaxTargets,
};
use xent_reference::hessian::{self, Second};
use xent_reference::{soft_cap, softmax, targets};

/// Numbers without a pattern, from -2 to 2.
fn numbers(count: usize, seed: u32) -> Vec<f64> {
    let spread = |i: u32| i.wrapping_add(seed).wrapping_mul(2_654_435_761) >> 8;
    (0..count as u32).map(|i| f64::from(spread(i)) / 4_194_304.0 - 2.0).collect()
}

#[test]
fn a_temperature_counts_once() {
    for (outer, classes, inner) in [(3, 3, 1), (3, 40, 1), (2, 5000, 1), (2, 3, 40), (1, 40, 3)] {
        let shape = Shape::columns(outer, classes, inner).expect("small");
        let rows = shape.row_count();
        let (x, mut teacher) = (numbers(shape.elements(), 1), numbers(shape.elements(), 2));
        // A row that no kernel computes.
        teacher[shape.place(1, 1)] = f64::INFINITY;
        let upstream: Vec<f64> = numbers(rows, 3).iter().map(|u| u.abs() + 0.5).collect();
        let weights = RowWeights { scale: 0.5, sample_weights: &[], upstream: &upstream };
        for temperature in [0.5, 1.0, 4.0] {
            for (convention, of) in [
                (Hessian::Exact, hessian::exact as fn(&[f64], f64) -> Vec<f64>),
                (Hessian::XgBoost, hessian::xgboost),
                (Hessian::LightGbm, hessian::lightgbm),
            ] {
                for level in Level::available() {
                    let mut second = vec![9.0; shape.elements()];
                    let outputs =
                        Outputs { hessian: &mut second, convention, ..Outputs::default() };
                    let targets = SoftmaxTargets::Teacher(&teacher, temperature);
                    let options = SoftmaxOptions::default();
                    SoftmaxBatch::with_options(Buffers::loss(&x), shape, targets, options)
                        .and_then(|batch| batch.with_weights(weights))
                        .and_then(|batch| batch.with_outputs(outputs))
                        .expect("valid")
                        .run(level);
                    for (row, upstream) in upstream.iter().enumerate() {
                        let scaled: Vec<f64> = (0..classes)
                            .map(|class| x[shape.place(row, class)] / temperature)
                            .collect();
                        for (class, want) in of(&scaled, 0.5 * upstream).iter().enumerate() {
                            let got = second[shape.place(row, class)];
                            let close = (got - want).abs() <= 1e-12 * want;
                            assert!(close, "{level}, {convention:?}, {temperature}: {got} {want}");
                        }
                    }
                }
            }
        }
    }
}

/// The rows of columns too long for a room, each with what the reference says of it: logits that are capped, and of
/// sixteen bits; labels and dense targets.
#[test]
fn columns_of_any_length_have_second_derivatives_in_every_format_and_under_a_soft_cap() {
    columns_have_them::<f32>();
    columns_have_them::<f64>();
    #[cfg(feature = "half")]
    {
        columns_have_them::<half::bf16>();
        columns_have_them::<half::f16>();
    }
}

fn columns_have_them<E: Element>() {
    for (outer, classes, inner) in [(2, 4097, 3), (1, 9000, 2), (2, 300, 5)] {
        let shape = Shape::columns(outer, classes, inner).expect("small");
        let (rows, elements) = (shape.row_count(), shape.elements());
        let float = |value: f64| E::Float::from(value as f32);
        let x: Vec<E> =
            numbers(elements, 1).iter().map(|&x| E::from_float(float(4.0 * x))).collect();
        let wide: Vec<f64> = x.iter().map(|x| x.to_float().into()).collect();
        let labels: Vec<u16> = (0..rows as u16).collect();
        let q: Vec<E::Float> = numbers(elements, 2).iter().map(|&q| float(q.abs())).collect();
        for cap in [0.0, 2.5] {
            for is_dense in [false, true] {
                for level in Level::available() {
                    let mut second = vec![float(9.0); elements];
                    let mut gradient = vec![E::default(); elements];
                    let outputs = Outputs { hessian: &mut second, ..Outputs::default() };
                    let targets = if is_dense {
                        SoftmaxTargets::Dense(&q)
                    } else {
                        SoftmaxTargets::Index(Labels::from(&labels[..]))
                    };
                    let options = SoftmaxOptions { soft_cap: cap, ..SoftmaxOptions::default() };
                    let buffers = Buffers::gradient(&x, &mut gradient);
                    SoftmaxBatch::with_options(buffers, shape, targets, options)
                        .and_then(|batch| batch.with_outputs(outputs))
                        .expect("valid")
                        .run(level);
                    for row in 0..rows {
                        let place = |class| shape.place(row, class);
                        let x: Vec<f64> = (0..classes).map(|class| wide[place(class)]).collect();
                        let q: Vec<f64> = if is_dense {
                            (0..classes).map(|class| q[place(class)].into()).collect()
                        } else {
                            targets::one_hot(classes, row, 1.0)
                        };
                        let want = second_derivatives(&x, &q, cap);
                        for (class, want) in want.iter().enumerate() {
                            let got: f64 = second[place(class)].into();
                            let close = (got - want.value).abs() <= 2e-4 * want.scale + 1e-30;
                            assert!(
                                close,
                                "{level}, {}, cap {cap}, dense {is_dense}, row {row}, class {class} of \
                                 {classes} by {inner}: {got:e}, not {want:?}",
                                E::NAME
                            );
                        }
                    }
                }
            }
        }
    }
}

fn second_derivatives(x: &[f64], q: &[f64], cap: f64) -> Vec<Second> {
    let all = q.iter().sum();
    if cap == 0.0 {
        return hessian::exact(x, all).into_iter().map(Second::of).collect();
    }
    let capped: Vec<f64> = x.iter().map(|&x| soft_cap::cap(x, cap)).collect();
    let first = softmax::cross_entropy(&capped, q);
    let second = hessian::exact(&capped, all);
    (0..x.len())
        .map(|class| {
            let first = Second { value: first.grad[class], scale: first.scale[class] };
            hessian::capped(x[class], cap, first, Second::of(second[class]))
        })
        .collect()
}

/// The second derivatives of a batch whose gradient becomes this.
fn second_of<F: Float>(
    level: Level,
    buffers: Buffers<'_, F>,
    classes: usize,
    labels: &[u32],
    options: SoftmaxOptions<'_, F>,
) -> Vec<u64> {
    let mut second = vec![F::default(); buffers.len()];
    let outputs = Outputs { hessian: &mut second, ..Outputs::default() };
    let shape = Shape::rows(labels.len(), classes).expect("small");
    SoftmaxBatch::with_options(buffers, shape, SoftmaxTargets::Index(labels.into()), options)
        .and_then(|batch| batch.with_outputs(outputs))
        .expect("valid")
        .run(level);
    second.into_iter().map(|h| Into::<f64>::into(h).to_bits()).collect()
}

/// The exponentials of a row come from where its gradient goes, or from its logits.
fn gradient_and_second_derivatives_go_together<F: Float>() {
    for (rows, classes) in [(40, 2), (9, 10), (48, 33), (70, 42), (33, 64), (40, 129), (3, 5000)] {
        let x: Vec<F> =
            numbers(rows * classes, 8).iter().map(|&x| F::from(9.0 * x as f32)).collect();
        let labels: Vec<u32> = (0..rows).map(|row| (row * 5 % classes) as u32).collect();
        for (focal_gamma, z_loss) in [(0.0, 0.0), (0.5, 0.0), (2.0, 0.01), (6.0, 0.0)] {
            let options = SoftmaxOptions { focal_gamma, z_loss, ..SoftmaxOptions::default() };
            for level in Level::available() {
                let (mut beside, mut both) = (vec![F::default(); x.len()], x.clone());
                let alone = second_of(level, Buffers::loss(&x), classes, &labels, options);
                let agrees = |buffers: Buffers<'_, F>| {
                    let second = second_of(level, buffers, classes, &labels, options);
                    assert!(second == alone, "{level}, {rows} × {classes}, gamma {focal_gamma}");
                };
                agrees(Buffers::gradient(&x, &mut beside));
                agrees(Buffers::accumulate(&x, &mut beside));
                agrees(Buffers::in_place(&mut both));
            }
        }
    }
}

#[test]
fn they_have_the_same_bits_whatever_becomes_of_the_gradient() {
    gradient_and_second_derivatives_go_together::<f32>();
    gradient_and_second_derivatives_go_together::<f64>();
}
