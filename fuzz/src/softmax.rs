//! The reference for a row of a softmax loss.

use xent_reference::hessian::{self, Second};
use xent_reference::softmax::{self, mean_distance_of_others};
use xent_reference::ulp::Format;
use xent_reference::{distillation, focal, soft_cap, z_loss};

use crate::answer::{Answer, Tolerance};

/// The weights of the classes of a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weights<'a> {
    pub(crate) of_loss: &'a [f64],
    pub(crate) of_gradient: &'a [f64],
    /// The size of each if the terms of its sum did not cancel.
    pub(crate) sizes: &'a [f64],
}

/// The target of a row.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RowTarget<'a> {
    /// An index, with its weight.
    Label(usize, f64),
    /// A weight for each class.
    Weights(Weights<'a>),
    /// The logits of a teacher, the class weights, and the temperature.
    Teacher(&'a [f64], &'a [f64], f64),
}

/// Changes to the row, and terms added to its loss.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) gamma: f64,
    pub(crate) z_loss: f64,
    pub(crate) soft_cap: Option<f64>,
}

/// All results of a row, without its factors.
#[derive(Clone, Debug)]
pub(crate) struct RowAnswers {
    pub(crate) loss: Answer,
    pub(crate) gradient: Vec<Answer>,
    pub(crate) log_sum_exp: Answer,
    /// `Q p (1 - p)`.
    pub(crate) curvature: Vec<Answer>,
}

/// The errors of a row's exponentials and sums, in ULP.
struct Errors {
    class: Vec<f64>,
    mean: f64,
    others: f64,
}

impl Errors {
    /// By the distances of the logits, each with an error of `times` its rounding.
    fn new(x: &[f64], tolerance: Tolerance, times: f64, more: f64) -> Self {
        let row = softmax::cross_entropy(x, &vec![0.0; x.len()]);
        let bounded = |d: f64| if d.is_finite() { d.min(tolerance.vanishing()) } else { 0.0 };
        Self {
            // A class without probability has no error from it.
            class: x.iter().map(|x| times * bounded(row.max - x) + more).collect(),
            mean: times * bounded(row.mean_distance) + more,
            others: times * bounded(mean_distance_of_others(x)) + more,
        }
    }

    fn of_all(&self) -> f64 {
        self.mean.max(self.others)
    }
}

pub(crate) fn row(
    x: &[f64],
    target: RowTarget<'_>,
    terms: Terms,
    tolerance: Tolerance,
) -> RowAnswers {
    let classes = x.len();
    let lse_tolerance = |lse: f64, max: f64, errors: &Errors| {
        let ln_sum = (lse - max).abs();
        // Where it is nearly the logarithm of the sum, it has the error of the sum of the others.
        let distance = if max.abs() < ln_sum { errors.of_all() } else { errors.mean };
        tolerance.near(lse, max.abs().max(ln_sum), 4.0 + distance)
    };
    let far = |x: &[f64]| {
        let finite = || x.iter().copied().filter(|x| x.is_finite());
        let most = finite().fold(f64::NEG_INFINITY, f64::max);
        let least = finite().fold(f64::INFINITY, f64::min);
        tolerance.overflows(most - least) || finite().any(|x| tolerance.overflows(x))
    };

    if let RowTarget::Teacher(teacher, weights, tau) = target {
        // Starting with the largest: a quotient of large numbers would be rounded at its own size.
        let tempered = |x: &[f64]| -> (f64, Vec<f64>) {
            let max = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let shift = if max.is_finite() { max } else { 0.0 };
            (shift / tau, x.iter().map(|x| (x - shift) / tau).collect())
        };
        let ((shift, scaled), (_, scaled_teacher)) = (tempered(x), tempered(teacher));
        let errors = Errors::new(&scaled, tolerance, 3.0, 0.0);
        let of_teacher = Errors::new(&scaled_teacher, tolerance, 3.0, 0.0);
        let lse = shift + softmax::log_sum_exp(&scaled);
        let log_sum_exp = lse_tolerance(lse, shift, &errors);
        let q = softmax::softmax(&scaled_teacher);
        if far(&scaled) || far(&scaled_teacher) || far(x) || far(teacher) {
            return RowAnswers { log_sum_exp: Answer::ANYTHING, ..anything(classes) };
        }
        let q: Vec<f64> =
            q.iter().enumerate().map(|(c, q)| q * weights.get(c).copied().unwrap_or(1.0)).collect();
        let all = xent_reference::sum::sum(q.iter().copied());
        let plain = weights.is_empty();
        let (loss, gradient, scale) = if plain {
            let answer = distillation::divergence(x, teacher, tau);
            (answer.loss, answer.grad, answer.scale)
        } else {
            let of_student = softmax::cross_entropy(&scaled, &q);
            let of_teacher = softmax::cross_entropy(&scaled_teacher, &q);
            let times = |of: &[f64]| of.iter().map(|g| tau * g).collect::<Vec<_>>();
            (
                tau * tau * (of_student.loss - of_teacher.loss),
                times(&of_student.grad),
                times(&of_student.scale),
            )
        };
        // The reference uses differences of logits, which an f64 rounds at their own size.
        let largest = x.iter().chain(teacher).copied().filter(|x| x.is_finite());
        let largest = largest.fold(0.0, |largest: f64, x| largest.max(x.abs()));
        let own =
            if tolerance.format == Format::F64 { (4.0 * largest / tau).min(1e12) } else { 0.0 };
        // Each term is a share of the teacher, with the error of its own distance, times the
        // difference of two logarithms.
        let (p, surprise) = (softmax::softmax(&scaled), softmax::log_softmax(&scaled));
        let teacher_surprise = softmax::log_softmax(&scaled_teacher);
        let taught = || (0..classes).filter(|&c| q[c] > 0.0);
        let size = |c: usize| surprise[c].abs() + teacher_surprise[c].abs();
        let terms: f64 = taught()
            .map(|c| {
                let others = own + errors.others + of_teacher.others + of_teacher.mean;
                q[c] * (8.0 + of_teacher.class[c] + others) * (size(c) + f64::MIN_POSITIVE)
            })
            .sum();
        // A share that is zero in the format of the computation costs nothing, however far the
        // class is.
        let least = 65536.0 * tolerance.least_normal();
        let is_lost = |c: usize| q[c] < least;
        let lost = || taught().filter(|&c| is_lost(c));
        let vanishes = lost().any(|c| surprise[c].is_infinite());
        let lost_shares: f64 = lost().map(|c| q[c]).sum();
        let lost: f64 = lost().map(|c| q[c] * size(c)).sum();
        // The loss is a difference of two sums, either of which may be too large for the format, or for the reference.
        let sizes = tau * tau * taught().map(|c| q[c] * size(c)).sum::<f64>();
        let is_far = taught().all(|c| size(c).is_finite())
            && (!sizes.is_finite() || tolerance.overflows(sizes));
        let loss = if is_far || vanishes || loss.is_finite() && !terms.is_finite() {
            Answer::ANYTHING
        } else if loss.is_finite() {
            let ulp = tolerance.near(1.0, 0.0, 2.0).allowed;
            Answer { value: loss, allowed: tau * tau * (ulp * terms + lost) + 1e-44 }
        } else {
            Answer::exact(loss)
        };
        let error = |c: usize| {
            let of_p = if p[c] > 0.0 { errors.class[c] } else { 0.0 };
            let of_q = if q[c] > 0.0 { of_teacher.class[c] } else { 0.0 };
            12.0 + own + of_p + of_q + errors.of_all() + of_teacher.of_all()
        };
        // The temperature multiplies a difference that may have been rounded below the least
        // normal number, and in which shares may be lost.
        let rounding = 64.0 * tolerance.format.spacing(0.0);
        let gradient = (0..classes)
            .map(|c| {
                let lost = lost_shares * p[c] + if is_lost(c) { q[c] } else { 0.0 };
                tolerance.near(gradient[c], scale[c], error(c)).widened(tau * (rounding + lost))
            })
            .collect();
        let curvature = hessian::exact(&scaled, all);
        let curvature = (0..classes)
            .map(|c| {
                let lost = lost_shares * p[c];
                tolerance.near(curvature[c], 0.0, 2.0 * error(c)).widened(lost)
            })
            .collect();
        return RowAnswers { loss, gradient, log_sum_exp, curvature };
    }

    let cap = terms.soft_cap;
    let mapped: Vec<f64> = match cap {
        Some(cap) => x.iter().map(|&x| soft_cap::cap(x, cap)).collect(),
        None => x.to_vec(),
    };
    // A capped logit has an error of some ULP of the cap.
    let errors = Errors::new(&mapped, tolerance, 1.0, cap.map_or(0.0, |cap| 12.0 * cap));
    let max = mapped.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let lse = softmax::log_sum_exp(&mapped);
    let mut log_sum_exp = lse_tolerance(lse, max, &errors);
    if let RowTarget::Label(label, _) = target
        && mapped[label] != max
        && lse.is_finite()
    {
        // The sum is then at least one, and its logarithm has its absolute error.
        log_sum_exp.allowed += tolerance.near(1.0, 0.0, 1.0).allowed;
    }
    if let (Some(cap), true) = (cap, lse.is_finite()) {
        log_sum_exp.allowed += tolerance.near(0.0, cap, 8.0).allowed;
    }
    let p = softmax::softmax(&mapped);

    let one_hot;
    let Weights { of_loss: q, of_gradient: q_gradient, sizes } = match target {
        RowTarget::Label(label, weight) => {
            one_hot = xent_reference::targets::one_hot(classes, label, weight);
            Weights { of_loss: &one_hot, of_gradient: &one_hot, sizes: &one_hot }
        }
        RowTarget::Weights(weights) => weights,
        RowTarget::Teacher(..) => unreachable!("treated above"),
    };
    if far(&mapped) || !q.iter().all(|&q| q == 0.0 || (2.0_f64.powi(-40)..1e6).contains(&q)) {
        return RowAnswers { log_sum_exp, ..anything(classes) };
    }
    let all = xent_reference::sum::sum(q.iter().copied());
    let is_plain = matches!(target, RowTarget::Label(..));

    let entropy = softmax::cross_entropy(&mapped, q);
    let mut gradient = softmax::cross_entropy(&mapped, q_gradient);
    let mut loss = entropy.loss;
    let mut more = 0.0;
    let mut absolute = 0.0;
    if terms.gamma != 0.0
        && let RowTarget::Label(label, weight) = target
    {
        gradient = focal::softmax(&mapped, label, terms.gamma, weight);
        loss = gradient.loss;
        // A power multiplies the relative error of its base by the exponent, and adds the error of
        // its logarithm.
        let missing: f64 = (0..classes).filter(|&c| c != label).map(|c| p[c]).sum();
        let logarithm = if missing > 0.0 { -missing.ln() } else { 0.0 };
        more = 8.0 + terms.gamma * (16.0 + 2.0 * (errors.mean + errors.others) + 4.0 * logarithm);
        absolute = 4096.0 * tolerance.format.spacing(0.0) * (1.0 + entropy.loss);
    }
    // Sums of several targets, and products with their weights, are rounded.
    let times = if is_plain { 1.0 } else { 1.5 };
    let cancelled = (0..classes).filter(|&c| sizes[c] > q[c].abs()).map(|c| {
        let surprise = if p[c] > 0.0 { -p[c].ln() } else { tolerance.vanishing() };
        4.0 * tolerance.format.spacing(sizes[c]) * surprise.max(max - mapped[c])
    });
    let cancelled: f64 = cancelled.sum();
    let mut loss = tolerance.near(loss, 0.0, times * (4.5 + errors.others) + more);
    if loss.value.is_finite() {
        loss.allowed += cancelled;
    }
    if loss.value.is_finite() && loss.value != 0.0 {
        loss.allowed += absolute;
    }

    let lambda = terms.z_loss;
    if lambda != 0.0 {
        let with = z_loss::cross_entropy(&mapped, &vec![0.0; classes], lambda);
        if tolerance.overflows(lse * lse) {
            loss = Answer::ANYTHING;
        } else {
            let off = log_sum_exp.allowed;
            let value = loss.value + with.loss;
            let allowed = loss.allowed
                + lambda * off * (2.0 * lse.abs() + off)
                + tolerance.near(with.loss, 0.0, 4.0).allowed;
            let allowed = if value.is_finite() { allowed } else { 0.0 };
            loss = Answer { value, allowed };
        }
        // Kernels scale exponentials by a power of two, which may overflow here.
        let most = crate::format::largest(tolerance.format) * 2.0_f64.powi(-70);
        if lse.is_finite() && lambda.max(1.0) * lse.abs() > most {
            return RowAnswers { loss, log_sum_exp, ..anything(classes) };
        }
        for c in 0..classes {
            gradient.grad[c] += with.grad[c];
            gradient.scale[c] = gradient.scale[c].max(with.grad[c].abs());
        }
    }
    let slope = |c: usize| cap.map_or(1.0, |cap| soft_cap::slope(x[c], cap));
    let slope_error =
        |c: usize| cap.map_or(0.0, |cap| 8.0 + 8.0 * (x[c].abs() / cap).min(tolerance.vanishing()));
    let answers = (0..classes)
        .map(|c| {
            let value = gradient.grad[c];
            // The derivative by the label has no cancellation, so its error is relative to itself.
            let scale =
                if is_plain && lambda == 0.0 { 0.0 } else { gradient.scale[c].max(sizes[c]) };
            let of_class = if p[c] > 0.0 { errors.class[c] } else { 0.0 };
            let ulp = times * (5.0 + of_class + errors.of_all()) + more + slope_error(c);
            let slope = slope(c);
            let mut answer = tolerance.near(value * slope, scale * slope, ulp);
            if lambda != 0.0 && value.is_finite() {
                answer.allowed += 2.0 * lambda * p[c] * log_sum_exp.allowed * slope;
            }
            if value != 0.0 && value.is_finite() {
                answer.allowed += absolute;
            }
            answer
        })
        .collect();
    let mut second: Vec<Second> = match target {
        RowTarget::Label(label, weight) if terms.gamma != 0.0 => {
            hessian::focal(&mapped, label, terms.gamma, weight)
        }
        _ => hessian::exact(&mapped, all).into_iter().map(Second::of).collect(),
    };
    if lambda != 0.0 {
        let of_lse = hessian::z_loss(&mapped, lambda);
        second = second.into_iter().zip(of_lse).map(|(h, of_lse)| h.plus(of_lse)).collect();
    }
    let curvature = second
        .into_iter()
        .enumerate()
        .map(|(c, mut second)| {
            let of_class = if p[c] > 0.0 { errors.class[c] } else { 0.0 };
            if let Some(cap) = cap {
                let first =
                    Second { value: gradient.grad[c], scale: gradient.scale[c].max(sizes[c]) };
                second = hessian::capped(x[c], cap, first, second);
            }
            let ulp = 2.0 * (8.0 + of_class + errors.of_all() + more + slope_error(c));
            let mut answer = tolerance.near(second.value, second.scale, ulp);
            if second.value.is_finite() {
                answer.allowed +=
                    2.0 * lambda * p[c] * log_sum_exp.allowed * slope(c) * slope(c) + absolute;
            }
            answer
        })
        .collect();
    RowAnswers { loss, gradient: answers, log_sum_exp, curvature }
}

fn anything(classes: usize) -> RowAnswers {
    RowAnswers {
        loss: Answer::ANYTHING,
        gradient: vec![Answer::ANYTHING; classes],
        log_sum_exp: Answer::ANYTHING,
        curvature: vec![Answer::ANYTHING; classes],
    }
}
