//! Results have the same bits for every alignment of slices, for a row alone and in a batch, and on every machine,
//! by recorded digests. `xent-rayon` tests threads.
//!
//! `cargo xtask digests --record` writes `digests.txt`, which should only happen if a result was meant to change.

mod corpus;
mod digest;
mod losses;

use std::fs;
use std::ops::Range;

#[cfg(feature = "half")]
use half::{bf16, f16};
use xent_core::Batch as _;
use xent_core::{
    Buffers, Element, Float, Hessian, Level, LogSumExpBatch, Outputs, PartialRow, exp, ln,
    log_softmax, log_sum_exp, log1p, max, sigmoid, softmax,
};

use corpus::{Corpus, Layout};
use digest::{Digest, Record};
use losses::Loss;

const LAYOUTS: [Layout; 16] = [
    Layout::Rows(5, 1),
    Layout::Rows(75, 2),
    Layout::Rows(37, 3),
    Layout::Rows(70, 10),
    Layout::Rows(33, 32),
    Layout::Rows(9, 33),
    Layout::Rows(35, 100),
    Layout::Rows(11, 1000),
    Layout::Rows(2, 4096),
    Layout::Rows(3, 4097),
    Layout::Rows(1, 20_001),
    Layout::Columns(1, 2, 33),
    Layout::Columns(3, 7, 5),
    Layout::Columns(2, 21, 67),
    Layout::Columns(1, 300, 41),
    // Longer than a tile, and without the limit of 16-bit formats, which need a whole column.
    Layout::Columns(1, 4100, 3),
];

/// The results of a loss.
#[derive(Clone, Debug)]
struct Results<E: Element> {
    sum: f64,
    gradient: Vec<E>,
    losses: Vec<E::Float>,
    log_sum_exp: Vec<E::Float>,
    predicted: Vec<u32>,
    hessian: Vec<E::Float>,
}

impl<E: Element> Results<E> {
    /// Space for the results of some rows.
    fn of(loss: Loss, rows: usize, classes: usize) -> Self {
        let extras = loss.extras();
        let elements = rows * classes;
        let room =
            |wanted: bool, count: usize| vec![E::Float::default(); usize::from(wanted) * count];
        Self {
            sum: 0.0,
            gradient: vec![E::default(); elements],
            losses: room(true, if extras.by_element { elements } else { rows }),
            log_sum_exp: room(extras.softmax, rows),
            predicted: vec![0; usize::from(extras.softmax) * rows],
            hessian: room(extras.hessian, elements),
        }
    }

    /// Of everything except the gradient, and the sum.
    fn add_rows(&self, digest: &mut Digest) {
        digest.add_all(&self.losses);
        digest.add_all(&self.log_sum_exp);
        self.predicted.iter().for_each(|&class| digest.add(class.into()));
        digest.add_all(&self.hessian);
    }

    fn digest(&self) -> u64 {
        let mut digest = Digest::default();
        digest.add(self.sum);
        digest.add_all(&self.gradient);
        self.add_rows(&mut digest);
        digest.finish()
    }

    /// Of the results of a loss without gradient.
    fn digest_of_loss(&self) -> u64 {
        let mut digest = Digest::default();
        digest.add(self.sum);
        self.add_rows(&mut digest);
        digest.finish()
    }
}

/// How the gradient is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    Loss,
    Beside,
    InPlace,
}

/// A loss of some rows of a corpus, in slices that start this many numbers after the start of an allocation.
fn solve<E: Element>(
    loss: Loss,
    level: Level,
    corpus: &Corpus<E>,
    rows: Range<usize>,
    mode: Mode,
    offset: usize,
) -> Results<E> {
    let classes = corpus.layout.classes();
    let mut results = Results::of(loss, rows.len(), classes);
    let input = &loss.input(corpus)[rows.start * classes..rows.end * classes];
    let shifted = |numbers: &[E]| [&vec![E::default(); offset], numbers].concat();
    let logits = shifted(input);
    let mut gradient =
        if mode == Mode::InPlace { logits.clone() } else { shifted(&results.gradient) };
    let mut losses = vec![E::Float::default(); offset + results.losses.len()];
    let buffers = match mode {
        Mode::Loss => Buffers::loss(&logits[offset..]),
        Mode::Beside => Buffers::gradient(&logits[offset..], &mut gradient[offset..]),
        Mode::InPlace => Buffers::in_place(&mut gradient[offset..]),
    };
    let outputs = Outputs {
        losses: &mut losses[offset..],
        log_sum_exp: &mut results.log_sum_exp,
        predicted: &mut results.predicted,
        hessian: &mut results.hessian,
        convention: Hessian::Exact,
        ..Outputs::default()
    };
    results.sum = loss.run(level, corpus, rows, buffers, outputs).expect("a valid batch");
    results.gradient = gradient.split_off(offset);
    results.losses = losses.split_off(offset);
    results
}

/// The rows of a batch, computed one at a time; the sum is that of the batch.
fn alone<E: Element>(loss: Loss, level: Level, corpus: &Corpus<E>, sum: f64) -> Results<E> {
    let mut all = Results::of(loss, 0, corpus.layout.classes());
    for row in 0..corpus.layout.rows() {
        let one = solve(loss, level, corpus, row..row + 1, Mode::Beside, 0);
        all.gradient.extend(one.gradient);
        all.losses.extend(one.losses);
        all.log_sum_exp.extend(one.log_sum_exp);
        all.predicted.extend(one.predicted);
        all.hessian.extend(one.hessian);
    }
    Results { sum, ..all }
}

/// Calls the function for every case of a format, with its name and corpus.
fn each_case<E: Element>(mut call: impl FnMut(&str, Loss, &Corpus<E>)) {
    for layout in LAYOUTS {
        let corpus = Corpus::new(layout);
        for loss in Loss::ALL {
            let long_column = matches!(layout, Layout::Columns(..)) && layout.classes() > 4096;
            if long_column && size_of::<E>() == 2 && loss.extras().softmax {
                // A teacher is refused there; the others are held to f32 by `hessian.rs`.
                continue;
            }
            call(&format!("{} {loss:?} {}", E::NAME, layout.name()), loss, &corpus);
        }
    }
}

fn arrangements_make_no_difference<E: Element>() {
    each_case::<E>(|name, loss, corpus| {
        for level in Level::available() {
            let all = 0..corpus.layout.rows();
            let solve = |mode, offset| solve(loss, level, corpus, all.clone(), mode, offset);
            let plain = solve(Mode::Beside, 0);
            for offset in [1, 3] {
                let shifted = solve(Mode::Beside, offset);
                assert_eq!(shifted.digest(), plain.digest(), "{name} at {level}, {offset} behind");
            }
            for offset in [0, 1] {
                let in_place = solve(Mode::InPlace, offset);
                assert_eq!(in_place.digest(), plain.digest(), "{name} at {level}, in place");
            }
            let of_loss = solve(Mode::Loss, 0);
            assert_eq!(of_loss.digest_of_loss(), plain.digest_of_loss(), "{name} at {level}: loss");
            let (rows, by_rows) = (all.len(), matches!(corpus.layout, Layout::Rows(..)));
            if by_rows && rows > 1 {
                let alone = alone(loss, level, corpus, plain.sum);
                assert_eq!(alone.digest(), plain.digest(), "{name} at {level}: rows alone");
            }
        }
    });
}

/// The functions of slices, for the logits of each row; and the log-sum-exp of a row, at once and in parts.
fn digest_of_slices<F: Float>(level: Level, corpus: &Corpus<F>) -> u64 {
    let mut digest = Digest::default();
    let mut out = corpus.logits.clone();
    for function in [exp, ln, log1p, sigmoid] {
        function(level, &corpus.logits, &mut out).expect("equal lengths");
        digest.add_all(&out);
    }
    for row in corpus.logits.chunks_exact(corpus.layout.classes()) {
        let out = &mut out[..row.len()];
        softmax(level, row, out).expect("equal lengths");
        digest.add_all(out);
        log_softmax(level, row, out).expect("equal lengths");
        digest.add_all(out);
        digest.add_all(&[max(level, row), log_sum_exp(level, row)]);
    }
    digest.finish()
}

fn digest_of_sums<E: Element>(level: Level, corpus: &Corpus<E>) -> u64 {
    let mut digest = Digest::default();
    let mut out = vec![E::Float::default(); corpus.layout.rows()];
    let batch = LogSumExpBatch::new(&corpus.logits, corpus.layout.shape(), &mut out);
    digest.add(batch.expect("a valid batch").run(level));
    digest.add_all(&out);
    let classes = corpus.layout.classes();
    for (row, &label) in corpus.logits.chunks_exact(classes).zip(&corpus.labels) {
        let label = Some(label as usize);
        let whole = PartialRow::new(level, row, 0, label).expect("a part");
        let parts = row
            .chunks(PartialRow::TILE)
            .enumerate()
            .map(|(i, part)| PartialRow::new(level, part, i * PartialRow::TILE, label))
            .reduce(|a, b| a?.merge(&b?))
            .expect("a class")
            .expect("parts");
        for part in [whole, parts] {
            digest.add(part.log_sum_exp());
            digest.add(part.loss().expect("the label's class"));
            let mut gradient = vec![E::default(); classes];
            part.gradient(level, Buffers::gradient(row, &mut gradient), 0, 1.0)
                .expect("a gradient");
            digest.add_all(&gradient);
        }
    }
    digest.finish()
}

#[test]
fn arrangements_of_f32() {
    arrangements_make_no_difference::<f32>();
}

#[test]
fn arrangements_of_f64() {
    arrangements_make_no_difference::<f64>();
}

#[cfg(feature = "half")]
#[test]
fn arrangements_of_sixteen_bits() {
    arrangements_make_no_difference::<bf16>();
    arrangements_make_no_difference::<f16>();
}

/// Calls the function with the name, the level and the digest of everything on record.
fn each_digest(mut found: impl FnMut(&str, Level, u64)) {
    fn of_losses<E: Element>(found: &mut impl FnMut(&str, Level, u64)) {
        each_case::<E>(|name, loss, corpus| {
            for level in Level::available() {
                let all = 0..corpus.layout.rows();
                let results = solve(loss, level, corpus, all, Mode::Beside, 0);
                found(name, level, results.digest());
            }
        });
        for layout in LAYOUTS {
            let corpus = Corpus::<E>::new(layout);
            for level in Level::available() {
                let name = format!("{} LogSumExp {}", E::NAME, layout.name());
                found(&name, level, digest_of_sums(level, &corpus));
            }
        }
    }
    fn of_slices<F: Float>(found: &mut impl FnMut(&str, Level, u64)) {
        for layout in LAYOUTS {
            let corpus = Corpus::<F>::new(layout);
            for level in Level::available() {
                let name = format!("{} Slices {}", F::NAME, layout.name());
                found(&name, level, digest_of_slices(level, &corpus));
            }
        }
    }
    of_losses::<f32>(&mut found);
    of_losses::<f64>(&mut found);
    of_slices::<f32>(&mut found);
    of_slices::<f64>(&mut found);
    #[cfg(feature = "half")]
    {
        of_losses::<bf16>(&mut found);
        of_losses::<f16>(&mut found);
    }
}

/// Prints one digest of all levels that fuse, or of all that do not, which `cargo xtask portability` compares
/// between machines.
fn print_sums(found: &[(Level, u64)]) {
    for fused in [true, false] {
        let of_kind = || found.iter().filter(|(level, _)| level.has_fma() == fused);
        let mut levels: Vec<_> = of_kind().map(|(level, _)| level.name()).collect();
        levels.sort_unstable();
        levels.dedup();
        if let Some(&first) = levels.first() {
            let mut digest = Digest::default();
            let of_one = of_kind().filter(|(level, _)| level.name() == first);
            of_one.for_each(|&(_, one)| digest.add_bits(one));
            let kind = if fused { "fused" } else { "plain" };
            println!("digests {kind} {:016x} {}", digest.finish(), levels.join(","));
        }
    }
}

const DIGESTS: &str = include_str!("digests.txt");
/// The variable with the path to record digests in.
const RECORD: &str = "XENT_RECORD_DIGESTS";

#[test]
fn digests_are_those_on_record() {
    if let Some(path) = std::env::var_os(RECORD) {
        let mut record = Record::default();
        let mut differ = Vec::new();
        each_digest(|name, level, digest| {
            if record.add(name, level.has_fma(), digest).is_err() {
                differ.push(format!("{name} at {level}"));
            }
        });
        assert!(differ.is_empty(), "levels differ: {differ:?}");
        // This machine may have no level with FMA, or none without it.
        record.fill_from(&Record::parse(DIGESTS));
        fs::write(path, record.to_text()).expect("a file to write to");
        return;
    }
    let mut record = Record::parse(DIGESTS);
    let known: Vec<String> = record.names().map(str::to_owned).collect();
    let (mut compared, mut differ) = (Vec::new(), Vec::new());
    let mut all = Vec::new();
    each_digest(|name, level, digest| {
        all.push((level, digest));
        compared.push(name.to_owned());
        if let Err(known) = record.add(name, level.has_fma(), digest) {
            differ.push(format!("{name} at {level}: {digest:016x} instead of {known:016x}"));
        }
    });
    print_sums(&all);
    let count = differ.len();
    differ.truncate(10);
    assert!(count == 0, "{count} digests differ, among them\n{}", differ.join("\n"));
    let unknown = compared.iter().find(|name| !known.contains(name));
    assert_eq!(unknown, None, "not on record: cargo xtask digests --record");
    let gone = known
        .iter()
        .find(|name| !compared.contains(name) && (cfg!(feature = "half") || !name.contains("16 ")));
    assert_eq!(gone, None, "on record, but nothing computes it: cargo xtask digests --record");
}
