//! Votes of a forest, or only a class, where the reference has probabilities.

use super::super::side::Side;
use super::Cause;
use super::sample::Sample;
use crate::judge::argmax;

/// The fewest rows that show it.
const FEWEST: usize = 16;
/// The most trees that are looked for.
const MOST_TREES: u32 = 255;
/// A multiple, up to the rounding of f32.
const NEARLY: f64 = 1e-4;

/// Whether each number is a multiple of `1 / trees`, and each row has that many.
fn are_votes(numbers: &[f64], classes: usize, sum: f64, trees: f64) -> bool {
    let is_whole = |x: &f64| {
        let votes = x * trees;
        *x >= 0.0 && (votes - votes.round()).abs() < NEARLY
    };
    let is_complete = |row: &[f64]| (row.iter().sum::<f64>() - sum).abs() * trees < NEARLY;
    numbers.chunks_exact(classes).all(|row| row.iter().all(is_whole) && is_complete(row))
}

/// Votes, or zeros and ones, that the reference does not have.
pub(super) fn votes(sample: &Sample, candidate: Side) -> Option<Cause> {
    let Sample { classes, ref a, ref b, .. } = *sample;
    let rows = sample.rows();
    if classes < 2 || rows < FEWEST {
        return None;
    }
    let agreeing = (0..rows).filter(|&row| {
        let class = |x: &[f64]| argmax(x.iter().copied());
        class(sample.row_of_reference(row)) == class(sample.row_of_candidate(row))
    });
    // Otherwise they are votes for something else.
    let agreeing = agreeing.count();
    if 2 * agreeing < rows {
        return None;
    }
    let same = format!("the largest is the reference's in {agreeing} of {rows} rows");
    if are_votes(b, classes, 1.0, 1.0) && !are_votes(a, classes, 1.0, 1.0) {
        let evidence = format!(
            "each row of the candidate has a single 1 and otherwise zeros, {same}: it is only a class, or \
             probabilities with a scale of 1"
        );
        return Some(Cause::new("one_hot", evidence));
    }
    // The integers of a quantised output are multiples of something, too.
    if candidate.integers.is_some() {
        return None;
    }
    let first_sum: f64 = sample.row_of_candidate(0).iter().sum();
    let (sum, trees) = if first_sum > 1.5 {
        are_votes(b, classes, first_sum.round(), 1.0).then_some((first_sum.round(), first_sum))?
    } else {
        let trees = (2..=MOST_TREES).map(f64::from);
        (1.0, trees.into_iter().find(|&trees| are_votes(b, classes, 1.0, trees))?)
    };
    let step = sum / trees;
    let is_rounding =
        a.iter().zip(b).all(|(a, b)| (a * sum - b).abs() <= 0.5 * step * (1.0 + NEARLY));
    let has_votes = are_votes(a, classes, sum, trees / sum);
    (!is_rounding && !has_votes).then(|| {
        let evidence = format!(
            "each row of the candidate is whole votes of {trees} (multiples of {step}, their sum is {sum}), {same}: \
             compare the votes of the reference, or the probabilities of the candidate"
        );
        Cause::new("votes", evidence)
    })
}
