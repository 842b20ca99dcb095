//! Pages of `xent compare --report` for the browser's test, and the numbers that they are about: the test computes what
//! they must say itself.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::Serialize;

use crate::npy;

const ROWS: usize = 240;
const CLASSES: usize = 6;

/// A comparison.
#[derive(Serialize)]
struct Report {
    name: &'static str,
    loss: &'static str,
    classes: usize,
    /// Row by row.
    reference: Vec<f32>,
    /// The integers of the candidate, with their scale and zero point.
    candidate: Vec<i8>,
    scale: f32,
    zero_point: i32,
    labels: Vec<i64>,
    max_lsb: f64,
    max_changed: usize,
    is_within: bool,
}

/// Writes the pages and what they are about into a folder.
pub(super) fn write(folder: &Path) -> io::Result<()> {
    let mut random = StdRng::seed_from_u64(24);
    let mut uniform = |below: f64| random.random::<f64>() * below;
    let labels: Vec<i64> = (0..ROWS).map(|_| uniform(CLASSES as f64) as i64).collect();
    let logits: Vec<f32> = (0..ROWS * CLASSES)
        .map(|place| {
            let is_right = labels[place / CLASSES] == (place % CLASSES) as i64;
            (uniform(6.0) - 3.0 + if is_right { 1.5 } else { 0.0 }) as f32
        })
        .collect();
    let mut quantised = |x: &[f32], scale: f32, zero_point: i32, noise: f64| -> Vec<i8> {
        let mut whole = |x: &f32| {
            let steps = f64::from(x / scale) + uniform(noise) - noise / 2.0;
            (steps.round() as i32 + zero_point).clamp(-128, 127) as i8
        };
        x.iter().map(&mut whole).collect()
    };
    let probabilities: Vec<f32> = logits
        .chunks(CLASSES)
        .flat_map(|row| {
            let sum: f32 = row.iter().map(|x| x.exp()).sum();
            row.iter().map(move |x| x.exp() / sum)
        })
        .collect();
    let reports = [
        Report {
            name: "logits",
            loss: "softmax",
            classes: CLASSES,
            candidate: quantised(&logits, 0.0625, -5, 9.0),
            reference: logits,
            scale: 0.0625,
            zero_point: -5,
            labels: labels.clone(),
            max_lsb: 2.0,
            max_changed: 3,
            is_within: false,
        },
        Report {
            name: "probabilities",
            loss: "multinomial-logistic",
            classes: CLASSES,
            candidate: quantised(&probabilities, 1.0 / 256.0, -128, 0.0),
            reference: probabilities,
            scale: 1.0 / 256.0,
            zero_point: -128,
            labels,
            max_lsb: 1.0,
            max_changed: ROWS,
            is_within: true,
        },
    ];
    for report in &reports {
        compare(report, folder)?;
    }
    fs::write(folder.join("reports.json"), serde_json::to_string(&reports)?)
}

/// Writes the page of a comparison.
fn compare(report: &Report, folder: &Path) -> io::Result<()> {
    let path = |name: &str| folder.join(format!("{}-{name}", report.name));
    let (reference, candidate) = (path("desk.npy"), path("device.npy"));
    let (labels, page) = (path("labels.npy"), path("report.html"));
    npy::write(&reference, &[ROWS, CLASSES], report.reference.iter().copied())?;
    npy::write(&candidate, &[ROWS, CLASSES], report.candidate.iter().copied())?;
    npy::write(&labels, &[ROWS], report.labels.iter().copied())?;
    let numbers = [
        format!("--loss={}", report.loss),
        format!("--candidate-scale={}", report.scale),
        format!("--candidate-zero-point={}", report.zero_point),
        format!("--max-lsb={}", report.max_lsb),
        format!("--max-changed={}", report.max_changed),
    ];
    let files = [
        ("--reference", reference),
        ("--candidate", candidate),
        ("--targets", labels),
        ("--report", page),
    ];
    let words = ["xent", "compare"].map(OsString::from).into_iter();
    let numbers = numbers.into_iter().map(OsString::from);
    let files = files.into_iter().flat_map(|(option, path)| [option.into(), path.into_os_string()]);
    let is_within =
        xent_cli::compare(words.chain(numbers).chain(files)).map_err(io::Error::other)?;
    if is_within != report.is_within {
        return Err(io::Error::other(format!(
            "{}: another verdict than it was made for",
            report.name
        )));
    }
    Ok(())
}
