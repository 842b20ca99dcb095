//! The inputs of the page's test and the results it must show: computed here, at the level without fused
//! multiply-add, which has the bits of the module.

use std::fs;
use std::io;
use std::path::Path;

use npyz::{DType, Order};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::Serialize;
use xent_core::{
    Batch, Buffers, Error, Level, Quantisation, Shape, SigmoidBatch, SigmoidOptions,
    SigmoidTargets, SoftmaxBatch, SoftmaxOptions, SoftmaxTargets,
};

use crate::npy;

/// An input, and the text that is shown for it.
#[derive(Serialize)]
struct Case {
    name: String,
    loss: &'static str,
    /// A file to choose; without one, text is typed.
    file: Option<&'static str>,
    /// The scale and the zero point of logits that are integers.
    quantisation: Option<(f32, i32)>,
    logits: String,
    targets: String,
    smoothing: String,
    shown: Shown,
}

/// Numbers with the fewest digits that identify them.
#[derive(Serialize)]
struct Shown {
    loss: String,
    log_sum_exp: String,
    logits: Vec<String>,
    probabilities: Vec<String>,
    gradient: Vec<String>,
}

/// Two rows to compare.
#[derive(Serialize)]
struct Pair {
    /// If they are that row of `desk.npy` and `device.npy`.
    row: Option<usize>,
    first: Case,
    second: Case,
    /// The largest distance of two logits, and that in steps of the second row's integers.
    difference: f64,
    lsb: Option<f64>,
    /// From the first row to the second, in nats.
    divergence: f64,
    largest: [usize; 2],
}

/// Writes the files and the cases into a folder.
pub(super) fn write(folder: &Path) -> io::Result<()> {
    let Some(level) = Level::available().find(|level| !level.has_fma()) else {
        let reason = "this machine has no level without fused multiply-add, so its numbers differ \
                      from the module's";
        return Err(io::Error::other(reason));
    };
    let mut cases = typed(level)?;
    cases.extend(files(level, folder)?);
    fs::write(folder.join("cases.json"), serde_json::to_string_pretty(&cases)?)?;
    let pairs = pairs(level, folder)?;
    fs::write(folder.join("pairs.json"), serde_json::to_string_pretty(&pairs)?)
}

fn typed(level: Level) -> io::Result<Vec<Case>> {
    let mut cases = Vec::new();
    let mut add = |name: &str, loss, logits: &str, targets: &str, smoothing: &str| {
        let case = case(level, name, loss, logits, targets, smoothing)?;
        cases.push(case);
        io::Result::Ok(())
    };
    add("three classes", "softmax", "2, 1, 0.1", "0", "0")?;
    add("one class", "softmax", "3.25", "0", "0")?;
    add("a confident row keeps its digits", "softmax", "50 0", "0", "0")?;
    add("a row that is wrong", "softmax", "50 0", "1", "0")?;
    add("a class that is absent", "softmax", "1; -inf; 0.5", "2", "0")?;
    add("an absent class as the target", "softmax", "1; -inf; 0.5", "1", "0")?;
    add("smoothed", "softmax", "2\n-1\n0.5\n3e-1", "3", "0.1")?;
    add("smoothed until nothing is left", "softmax", "2 -1 0.5", "2", "1")?;
    add("no positives", "sigmoid", "2, 1, -0.1", "", "0")?;
    add("several positives", "sigmoid", "2, 1, -0.1, -20, 7e-3", "0, 3", "0")?;
    add("smoothed positives", "sigmoid", "2, 1, -0.1", "1", "0.25")?;
    let mut random = StdRng::seed_from_u64(1);
    for count in [2_usize, 7, 31, 32, 33, 50, 51, 1000, 5000] {
        for loss in ["softmax", "sigmoid"] {
            let logits: Vec<_> =
                (0..count).map(|_| (random.random::<f32>() * 24.0 - 12.0).to_string()).collect();
            let target = random.random_range(0..count).to_string();
            let smoothing = if count % 2 == 0 { "0" } else { "0.05" };
            let name = format!("{loss}, {count} classes");
            add(&name, loss, &logits.join(" "), &target, smoothing)?;
        }
    }
    Ok(cases)
}

/// A row in every kind of file; of files with several rows the first.
fn files(level: Level, folder: &Path) -> io::Result<Vec<Case>> {
    const LOGITS: &str = "1.5 -0.75 0.1 3.0000001 -2.5e-3 12";
    let row: Vec<f32> = numbers(LOGITS)?;
    let precise: Vec<f64> = LOGITS.split(' ').map(|word| word.parse().expect("a number")).collect();
    let others = || precise.iter().map(|x| -x);
    let rows: Vec<f64> = precise.iter().copied().chain(others()).collect();
    let columns: Vec<f64> = precise.iter().copied().flat_map(|x| [x, -x]).collect();
    let path = |name: &str| folder.join(name);

    npy::write(&path("row.npy"), &[6], row)?;
    npy::write(&path("rows.npy"), &[2, 6], rows)?;
    let big_endian = DType::Plain(">f8".parse().map_err(io::Error::other)?);
    npy::write_as(&path("columns.npy"), big_endian, Order::Fortran, &[2, 6], columns)?;
    let line = LOGITS.replace(' ', ", ");
    fs::write(path("row.csv"), format!("{line}\n"))?;
    fs::write(path("column.csv"), LOGITS.replace(' ', "\r\n"))?;
    fs::write(path("rows.csv"), format!("{line}\n1,2,3,4,5,6\n"))?;
    fs::write(path("row.json"), serde_json::to_string(&precise)?)?;
    fs::write(path("rows.json"), serde_json::to_string(&[&precise, &vec![0.5; 6]])?)?;

    let names = [
        "row.npy",
        "rows.npy",
        "columns.npy",
        "row.csv",
        "column.csv",
        "rows.csv",
        "row.json",
        "rows.json",
    ];
    let of = |file| {
        let case = case(level, file, "softmax", LOGITS, "3", "0")?;
        Ok(Case { file: Some(file), ..case })
    };
    names.into_iter().map(of).collect()
}

/// Rows of a desk and of a device, typed and in two files of several rows.
fn pairs(level: Level, folder: &Path) -> io::Result<Vec<Pair>> {
    const ROWS: usize = 3;
    const CLASSES: usize = 10;
    const SCALE: f32 = 0.238_589_26;
    const ZERO_POINT: i32 = -2;
    let mut random = StdRng::seed_from_u64(5);
    let desk: Vec<f32> =
        (0..ROWS * CLASSES).map(|_| random.random::<f32>() * 40.0 - 20.0).collect();
    let device: Vec<i8> = desk
        .iter()
        .map(|x| (x / SCALE).round() as i32 + ZERO_POINT + random.random_range(-3..=3))
        .map(|q| q.clamp(i8::MIN.into(), i8::MAX.into()) as i8)
        .collect();
    npy::write(&folder.join("desk.npy"), &[ROWS, CLASSES], desk.iter().copied())?;
    npy::write(&folder.join("device.npy"), &[ROWS, CLASSES], device.iter().copied())?;
    let words = |row: &[i8]| row.iter().map(i8::to_string).collect::<Vec<_>>().join(" ");
    let floats = |row: &[f32]| row.iter().map(f32::to_string).collect::<Vec<_>>().join(" ");
    let quantised = Some((SCALE, ZERO_POINT));
    let mut pairs = Vec::new();
    for (row, (a, b)) in desk.chunks(CLASSES).zip(device.chunks(CLASSES)).enumerate() {
        let (a, b) = (floats(a), words(b));
        pairs.push(pair(level, Some(row), "softmax", [(&a, None), (&b, quantised)])?);
        pairs.push(pair(level, None, "sigmoid", [(&a, None), (&b, quantised)])?);
        pairs.push(pair(level, None, "softmax", [(&b, quantised), (&a, None)])?);
    }
    // Unsigned, 16 bits, and the same row twice.
    let (unsigned, wide) = ("0 255 128 127 3", "-32768 32767 0 1 -1");
    let (of_unsigned, of_wide) = (Some((0.125, 128)), Some((0.000_25, 0)));
    pairs.push(pair(level, None, "softmax", [(unsigned, of_unsigned), (wide, of_wide)])?);
    pairs.push(pair(level, None, "softmax", [(wide, of_wide), (wide, of_wide)])?);
    Ok(pairs)
}

/// A row as it is typed, and what its integers stand for.
type Typed<'a> = (&'a str, Option<(f32, i32)>);

fn pair(
    level: Level,
    row: Option<usize>,
    loss: &'static str,
    typed: [Typed<'_>; 2],
) -> io::Result<Pair> {
    let of = |(logits, quantisation)| {
        quantised_case(level, "a row", loss, logits, quantisation, "2", "0")
    };
    let [a, b] = typed.map(|(logits, quantisation)| read(logits, quantisation));
    let (a, b) = (a?, b?);
    // The sums of the formula, in f64.
    let lse = |x: &[f32]| x.iter().map(|x| f64::from(*x).exp()).sum::<f64>().ln();
    let (of_a, of_b) = (lse(&a), lse(&b));
    let both = || a.iter().zip(&b).map(|(a, b)| (f64::from(*a), f64::from(*b)));
    let divergence = both().map(|(a, b)| (a - of_a).exp() * ((a - of_a) - (b - of_b))).sum();
    let difference = both().map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let largest = |x: &[f32]| {
        let most = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        x.iter().position(|x| *x == most).unwrap_or(0)
    };
    Ok(Pair {
        row,
        first: of(typed[0])?,
        second: of(typed[1])?,
        difference,
        lsb: typed[1].1.map(|(scale, _)| difference / f64::from(scale)),
        divergence,
        largest: [largest(&a), largest(&b)],
    })
}

/// The logits of a text.
fn read(text: &str, quantisation: Option<(f32, i32)>) -> io::Result<Vec<f32>> {
    let Some((scale, zero_point)) = quantisation else { return numbers(text) };
    let quantisation = Quantisation::new(scale, zero_point).map_err(io::Error::other)?;
    let integer = |word: &str| word.parse().map_err(io::Error::other);
    text.split(' ').map(|word| Ok(quantisation.dequantise(integer(word)?))).collect()
}

fn numbers(text: &str) -> io::Result<Vec<f32>> {
    let words = text.split([' ', ',', ';', '\n']).filter(|word| !word.is_empty());
    words.map(|word| word.parse().map_err(io::Error::other)).collect()
}

fn case(
    level: Level,
    name: &str,
    loss: &'static str,
    logits: &str,
    targets: &str,
    smoothing: &str,
) -> io::Result<Case> {
    quantised_case(level, name, loss, logits, None, targets, smoothing)
}

fn quantised_case(
    level: Level,
    name: &str,
    loss: &'static str,
    logits: &str,
    quantisation: Option<(f32, i32)>,
    targets: &str,
    smoothing: &str,
) -> io::Result<Case> {
    let x = read(logits, quantisation)?;
    let classes: Vec<u32> = numbers(targets)?.into_iter().map(|class| class as u32).collect();
    let shown = shown(level, loss, &x, &classes, smoothing.parse().map_err(io::Error::other)?);
    Ok(Case {
        name: name.into(),
        loss,
        file: None,
        quantisation,
        logits: logits.into(),
        targets: targets.into(),
        smoothing: smoothing.into(),
        shown: shown.map_err(io::Error::other)?,
    })
}

fn shown(
    level: Level,
    loss: &str,
    x: &[f32],
    targets: &[u32],
    label_smoothing: f64,
) -> Result<Shown, Error> {
    let shape = Shape::rows_of(x.len(), x.len())?;
    let (mut gradient, mut probabilities) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    let buffers = Buffers::gradient(x, &mut gradient);
    let sum = if loss == "softmax" {
        let options = SoftmaxOptions { label_smoothing, ..SoftmaxOptions::default() };
        xent_core::softmax(level, x, &mut probabilities)?;
        let targets = SoftmaxTargets::Index(targets.into());
        SoftmaxBatch::with_options(buffers, shape, targets, options)?.run(level)
    } else {
        let options = SigmoidOptions { label_smoothing, ..SigmoidOptions::default() };
        xent_core::sigmoid(level, x, &mut probabilities)?;
        // Different from the module's.
        let dense: Vec<_> =
            (0..x.len() as u32).map(|class| f32::from(targets.contains(&class))).collect();
        let targets = SigmoidTargets::Dense(&dense);
        SigmoidBatch::with_options(buffers, shape, targets, options)?.run(level)
    };
    let digits = |values: &[f32]| values.iter().map(|value| format!("{value:?}")).collect();
    Ok(Shown {
        loss: format!("{:?}", sum as f32),
        log_sum_exp: format!("{:?}", xent_core::log_sum_exp(level, x)),
        logits: digits(x),
        probabilities: digits(&probabilities),
        gradient: digits(&gradient),
    })
}
