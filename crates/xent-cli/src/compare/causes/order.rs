//! Rows or classes in another order.

use std::ops::Range;

use super::Cause;
use super::sample::{Measure, Rest, Sample};

/// The fewest rows that tell an order.
const FEWEST: usize = 4;
/// The most numbers of a row or a column that are looked at to find its like.
const MOST_LOOKED_AT: usize = 64;
/// The most pairs of numbers that are looked at for an order.
const MOST_PAIRS: usize = 1 << 28;
/// The most classes whose order is looked for.
const MOST_CLASSES: usize = 1 << 12;
/// How many moved rows or classes are named.
const NAMED: usize = 8;

/// The candidate's row `r + k` is the reference's row `r`.
pub(super) fn shifted_rows(sample: &Sample, measure: &Measure) -> Option<Cause> {
    let (rows, numbers) = (sample.rows(), &sample.numbers);
    let most = rows / 2;
    let shifts = (1..=most).flat_map(|by| [by as isize, -(by as isize)]);
    if rows < FEWEST {
        return None;
    }
    let rest_of = |shift: isize, rows: Range<usize>| -> (usize, Rest) {
        let (mut rest, mut count) = (Rest::default(), 0);
        for row in rows {
            let source = numbers[row].checked_add_signed(-shift);
            let Some(Ok(source)) = source.map(|source| numbers.binary_search(&source)) else {
                continue;
            };
            count += 1;
            let (a, b) = (sample.row_of_reference(source), sample.row_of_candidate(row));
            a.iter().zip(b).for_each(|(&a, &b)| rest.add(a, b));
        }
        (count, rest)
    };
    for shift in shifts {
        // A shift that does not explain some rows in the middle does not explain all.
        let middle = rows / 2..(rows / 2 + FEWEST).min(rows);
        let (looked, some) = rest_of(shift, middle.clone());
        let before = middle.flat_map(|row| {
            let (a, b) = (sample.row_of_reference(row), sample.row_of_candidate(row));
            a.iter().copied().zip(b.iter().copied())
        });
        if looked > 0 && !measure.explains_part(some, before.collect()) && some.squares > 0.0 {
            continue;
        }
        let (count, rest) = rest_of(shift, 0..rows);
        if count >= rows / 2 && measure.explains(rest) {
            let (by, to) = (shift.abs(), if shift > 0 { "later" } else { "earlier" });
            let s = if by == 1 { "" } else { "s" };
            let evidence = format!(
                "the candidate has each row of the reference {by} row{s} {to}: {}",
                measure.fall(rest)
            );
            return Some(Cause::new("shifted_rows", evidence));
        }
    }
    None
}

/// The candidate has the classes in another order.
pub(super) fn permuted_classes(sample: &Sample, measure: &Measure) -> Option<Cause> {
    let Sample { classes, ref a, ref b, .. } = *sample;
    if !(2..=MOST_CLASSES).contains(&classes) || sample.rows() < FEWEST {
        return None;
    }
    let rows = looked_at(sample.rows(), classes);
    let column =
        |x: &[f64], class: usize| rows.iter().map(|row| x[row * classes + class]).collect();
    let order = matching(classes, |class| column(a, class), |class| column(b, class))?;
    let rest =
        (0..a.len()).map(|at| (a[at / classes * classes + order[at % classes]], b[at])).collect();
    measure.explains(rest).then(|| {
        let evidence = format!(
            "the candidate has the classes in another order ({}): {}",
            moves(&order, |class| class),
            measure.fall(rest)
        );
        Cause::new("permuted_classes", evidence)
    })
}

/// The candidate has the rows in another order. It can only be told from all rows.
pub(super) fn permuted_rows(sample: &Sample, measure: &Measure) -> Option<Cause> {
    let (rows, classes) = (sample.rows(), sample.classes);
    // Single numbers are near to some other number by chance.
    if classes < 2 || rows < FEWEST || !sample.is_everything() {
        return None;
    }
    let pairs_of = |from: usize, to: usize| {
        let (a, b) = (sample.row_of_reference(from), sample.row_of_candidate(to));
        a.iter().copied().zip(b.iter().copied())
    };
    let some = looked_at(classes, rows);
    let of_row = |row: &[f64]| some.iter().map(|class| row[*class]).collect();
    let order = matching(
        rows,
        |row| of_row(sample.row_of_reference(row)),
        |row| of_row(sample.row_of_candidate(row)),
    )?;
    let rest = order.iter().enumerate().flat_map(|(to, &from)| pairs_of(from, to)).collect();
    measure.explains(rest).then(|| {
        let evidence = format!(
            "the candidate has the rows in another order ({}): {}",
            moves(&order, |row| sample.numbers[row]),
            measure.fall(rest)
        );
        Cause::new("permuted_rows", evidence)
    })
}

/// Places of a row or column, evenly spread, so that `count` of them can be compared with one another.
fn looked_at(length: usize, count: usize) -> Vec<usize> {
    let most = (MOST_PAIRS / (count * count)).clamp(FEWEST, MOST_LOOKED_AT);
    (0..length).step_by(length.div_ceil(most)).collect()
}

/// The sum of the squares of the differences; it may stop beyond `most`.
fn distance(a: &[f64], b: &[f64], most: f64) -> f64 {
    let mut sum = 0.0;
    for (a, b) in a.iter().zip(b) {
        let difference = if a == b { 0.0 } else { a - b };
        sum += if difference.is_nan() { f64::INFINITY } else { difference * difference };
        if sum > most {
            break;
        }
    }
    sum
}

/// For each item of the candidate, the item of the reference that it is. None unless at least half of them are much
/// closer to theirs than to any other, which does not happen by chance.
fn matching(
    count: usize,
    of_reference: impl Fn(usize) -> Vec<f64>,
    of_candidate: impl Fn(usize) -> Vec<f64>,
) -> Option<Vec<usize>> {
    const CLEARLY: f64 = 100.0;
    let items: Vec<Vec<f64>> = (0..count).map(of_reference).collect();
    let mut used = vec![false; count];
    let mut order = Vec::with_capacity(count);
    let mut clear = 0;
    for to in 0..count {
        let item = of_candidate(to);
        let (mut nearest, mut second) = (f64::INFINITY, f64::INFINITY);
        // Among items that no other has.
        let mut free = (f64::INFINITY, None);
        for (from, other) in items.iter().enumerate() {
            let most = if used[from] { second } else { second.max(free.0) };
            let found = distance(other, &item, most);
            if found < nearest {
                (nearest, second) = (found, nearest);
            } else if found < second {
                second = found;
            }
            if !used[from] && found < free.0 {
                free = (found, Some(from));
            }
        }
        let from = free.1?;
        used[from] = true;
        order.push(from);
        clear += usize::from(second > CLEARLY * nearest);
        // Too many are like others.
        if to + 1 - clear > count.div_ceil(2) {
            return None;
        }
    }
    let is_moved = order.iter().enumerate().any(|(to, from)| to != *from);
    (2 * clear >= count && is_moved).then_some(order)
}

/// Where the first moved items went.
fn moves(order: &[usize], number: impl Fn(usize) -> usize) -> String {
    let mut moved: Vec<(usize, usize)> = order
        .iter()
        .enumerate()
        .filter(|(to, from)| to != *from)
        .map(|(to, &from)| (from, to))
        .collect();
    moved.sort_unstable();
    let named: Vec<String> = moved
        .iter()
        .take(NAMED)
        .map(|&(from, to)| format!("{} is at {}", number(from), number(to)))
        .collect();
    let more = moved.len() - named.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", named.join(", "))
}
