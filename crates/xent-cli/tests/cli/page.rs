//! The page of `xent compare --report`, read by a small reader and compared with the JSON object and plain formulas.

use approx::assert_relative_eq;
use serde_json::Value;

use crate::causes::Random;
use crate::folder::{Folder, Outcome};

const COMPARE: &str = "compare --reference a.npy --candidate b.npy --report r.html";

/// A page, as text.
struct Page(String);

impl Page {
    fn of(folder: &Folder) -> Self {
        Self(std::fs::read_to_string(folder.path("r.html")).expect("a page"))
    }

    /// The text between the tags.
    fn between(&self, start: &str, end: &str) -> &str {
        let (_, rest) =
            self.0.split_once(start).unwrap_or_else(|| panic!("no {start:?} in {}", self.0));
        rest.split_once(end).unwrap_or_else(|| panic!("no {end:?} after {start:?}")).0
    }

    fn has_table(&self, caption: &str) -> bool {
        self.0.contains(&format!("<caption>{caption}</caption>"))
    }

    /// The cells of a table's body, row by row.
    fn table(&self, caption: &str) -> Vec<Vec<String>> {
        let table = self.between(&format!("<caption>{caption}</caption>"), "</table>");
        let (_, body) = table.split_once("<tbody>").expect("a body");
        let cells = |row: &str| row.split("<t").skip(1).map(cell).collect();
        body.split("<tr>").skip(1).map(cells).collect()
    }

    /// The cells after the first in the row of a table that starts with this.
    fn row(&self, caption: &str, name: &str) -> Vec<String> {
        let rows = self.table(caption);
        let row = rows.iter().find(|row| row[0] == name);
        row.unwrap_or_else(|| panic!("no {name:?} in {rows:?}"))[1..].to_vec()
    }
}

/// The number of a cell with all of its digits, otherwise its text.
fn cell(html: &str) -> String {
    if let Some((_, rest)) = html.split_once("<data value=\"") {
        return rest.split('"').next().expect("a value").to_owned();
    }
    let (_, text) = html.split_once('>').expect("the end of a tag");
    text.split('<').next().expect("a text").to_owned()
}

fn float(text: &str) -> f64 {
    text.parse().unwrap_or_else(|_| panic!("no number: {text:?}"))
}

/// Writes the page; the status and the JSON object of the same run.
fn report(folder: &Folder, options: &str) -> (Option<i32>, Value) {
    let Outcome { status, stdout, stderr } = folder.run(&format!("{COMPARE} --json {options}"));
    (status, serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stdout}{stderr}")))
}

/// Logits of two models that are not quite the same, and labels.
fn models(classes: usize, rows: usize) -> (Folder, Vec<f32>, Vec<f32>, Vec<i64>) {
    let mut random = Random::new(71);
    let a: Vec<f32> = (0..classes * rows).map(|_| (2.0 * random.normal()) as f32).collect();
    let b: Vec<f32> = a.iter().map(|x| x + (0.5 * random.normal()) as f32).collect();
    let labels: Vec<i64> = (0..rows).map(|_| (classes as f64 * random.next()) as i64).collect();
    let folder = Folder::new();
    let shape = [rows as u64, classes as u64];
    folder.save("a.npy", &shape, &a);
    folder.save("b.npy", &shape, &b);
    folder.save("y.npy", &[rows as u64], &labels);
    (folder, a, b, labels)
}

fn largest(row: &[f64]) -> usize {
    (0..row.len()).fold(0, |best, class| if row[class] > row[best] { class } else { best })
}

/// Of each row that counts: the largest probability, whether it is right, and the row's weight.
fn predictions(rows: &[Vec<f64>], labels: &[i64], weights: &[f64]) -> Vec<(f64, bool, f64)> {
    let of_row = |((row, label), weight): ((&Vec<f64>, &i64), &f64)| {
        let class = largest(row);
        let sum: f64 = row.iter().map(|x| x.exp()).sum();
        (row[class].exp() / sum, class as i64 == *label, *weight)
    };
    rows.iter().zip(labels).zip(weights).map(of_row).collect()
}

/// The expected calibration error over fifteen bins, from its definition.
fn calibration_error(predictions: &[(f64, bool, f64)]) -> f64 {
    let all: f64 = predictions.iter().map(|(.., weight)| weight).sum();
    let of_bin = |bin: usize| {
        let (low, high) = (bin as f64 / 15.0, (bin + 1) as f64 / 15.0);
        // A bin holds its upper end, and the first one zero, too.
        let is_in = |p: f64| (p > low || p == 0.0 && bin == 0) && p <= high;
        let inside = || predictions.iter().filter(|(p, ..)| is_in(*p));
        let weight: f64 = inside().map(|(.., weight)| weight).sum();
        if weight == 0.0 {
            return 0.0;
        }
        let confidence = inside().map(|(p, _, weight)| p * weight).sum::<f64>() / weight;
        let accuracy =
            inside().map(|(_, right, w)| if *right { *w } else { 0.0 }).sum::<f64>() / weight;
        weight / all * (accuracy - confidence).abs()
    };
    (0..15).map(of_bin).sum()
}

#[test]
fn the_calibration_error_is_that_of_the_formula() {
    let (folder, a, b, labels) = models(10, 300);
    let rows = |x: &[f32]| -> Vec<Vec<f64>> {
        x.chunks(10).map(|row| row.iter().map(|x| f64::from(*x)).collect()).collect()
    };
    report(&folder, "--targets y.npy");
    let page = Page::of(&folder);
    let errors = page.row("Both sides", "expected calibration error");
    for (found, x) in errors.iter().zip([&a, &b]) {
        let expected = calibration_error(&predictions(&rows(x), &labels, &[1.0; 300]));
        assert!(expected > 0.05, "{expected}");
        assert_relative_eq!(float(found), expected, max_relative = 1e-9);
    }
    let bins = page.table("Rows by their largest probability");
    for (first, x) in [(1, &a), (4, &b)] {
        let all = predictions(&rows(x), &labels, &[1.0; 300]);
        let counts: usize = bins.iter().map(|bin| bin[first].parse::<usize>().unwrap()).sum();
        assert_eq!(counts, 300);
        for bin in &bins {
            let ends: Vec<f64> =
                bin[0].split(" to ").map(|end| (15.0 * float(end)).round() / 15.0).collect();
            let inside: Vec<_> =
                all.iter().filter(|(p, ..)| *p > ends[0] && *p <= ends[1]).collect();
            assert_eq!(bin[first], inside.len().to_string());
            if inside.is_empty() {
                continue;
            }
            let count = inside.len() as f64;
            let confidence = inside.iter().map(|(p, ..)| p).sum::<f64>() / count;
            let right = inside.iter().filter(|(_, right, _)| *right).count() as f64 / count;
            assert_relative_eq!(float(&bin[first + 1]), confidence, max_relative = 1e-9);
            assert_relative_eq!(float(&bin[first + 2]), right, max_relative = 1e-9);
        }
    }
}

#[test]
fn probabilities_have_the_calibration_of_their_own_numbers() {
    let mut random = Random::new(75);
    // Of a device: steps of 1/256, and rows that do not add up to one.
    let rows = |random: &mut Random| -> Vec<i8> {
        let of_row = |random: &mut Random| {
            let x: Vec<f64> = (0..5).map(|_| (1.5 * random.normal()).exp()).collect();
            let sum: f64 = x.iter().sum();
            x.into_iter().map(|x| ((256.0 * x / sum).round() - 128.0).min(127.0) as i8).collect()
        };
        (0..200).flat_map(|_| -> Vec<i8> { of_row(random) }).collect()
    };
    let (a, mut b) = (rows(&mut random), rows(&mut random));
    // As devices do with many equal logits.
    b[..5].fill(-128);
    let labels: Vec<i64> = (0..200).map(|_| (5.0 * random.next()) as i64).collect();
    let folder = Folder::new();
    folder.save("a.npy", &[200, 5], &a);
    folder.save("b.npy", &[200, 5], &b);
    folder.save("y.npy", &[200], &labels);
    let scale = "-scale 0.00390625 --";
    let quantised = format!(
        "--reference{scale}reference-zero-point -128 --candidate{scale}candidate-zero-point -128"
    );
    report(&folder, &format!("--targets y.npy --loss multinomial-logistic {quantised}"));
    let page = Page::of(&folder);
    let errors = page.row("Both sides", "expected calibration error");
    for (found, q) in errors.iter().zip([&a, &b]) {
        let of_row = |(row, label): (&[i8], &i64)| {
            let p: Vec<f64> = row.iter().map(|q| f64::from(i16::from(*q) + 128) / 256.0).collect();
            let class = largest(&p);
            (p[class], class as i64 == *label, 1.0)
        };
        let rows: Vec<_> = q.chunks(5).zip(&labels).map(of_row).collect();
        let expected = calibration_error(&rows);
        assert_relative_eq!(float(found), expected, max_relative = 1e-9);
    }
    let bins = page.table("Rows by their largest probability");
    let counts: usize = bins.iter().map(|bin| bin[4].parse::<usize>().unwrap()).sum();
    assert_eq!(counts, 200);
}

#[test]
fn calibration_leaves_out_what_is_ignored_and_counts_the_weights() {
    // The classes are on the second axis.
    let mut random = Random::new(72);
    let x: Vec<f32> = (0..40 * 6 * 3).map(|_| (2.0 * random.normal()) as f32).collect();
    let mut labels: Vec<i64> = (0..120).map(|_| (6.0 * random.next()) as i64).collect();
    let mut weights: Vec<f32> = (0..120).map(|_| random.next() as f32).collect();
    labels[5] = -1;
    labels[77] = -1;
    weights[8] = 0.0;
    let folder = Folder::new();
    folder.save("a.npy", &[40, 6, 3], &x);
    folder.save("b.npy", &[40, 6, 3], &x);
    folder.save("y.npy", &[40, 3], &labels);
    folder.save("w.npy", &[40, 3], &weights);
    report(
        &folder,
        "--targets y.npy --class-axis 1 --ignore-index -1 --sample-weights w.npy --loss nll",
    );
    let rows: Vec<Vec<f64>> = (0..120)
        .map(|row| (0..6).map(|c| f64::from(x[row / 3 * 18 + c * 3 + row % 3])).collect())
        .collect();
    let weights: Vec<f64> = weights.iter().map(|weight| f64::from(*weight)).collect();
    let mut all = predictions(&rows, &labels, &weights);
    for row in [77, 8, 5] {
        all.remove(row);
    }
    let page = Page::of(&folder);
    for found in page.row("Both sides", "expected calibration error") {
        assert_relative_eq!(float(&found), calibration_error(&all), max_relative = 1e-9);
    }
    let bins = page.table("Rows by their largest probability");
    let counts: usize = bins.iter().map(|bin| bin[1].parse::<usize>().unwrap()).sum();
    assert_eq!(counts, 117);
}

#[test]
fn only_labels_of_a_softmax_have_a_calibration() {
    let (folder, a, ..) = models(4, 20);
    folder.save("t.npy", &[20, 4], &vec![0.25_f32; a.len()]);
    for (options, has_one) in [
        ("--targets y.npy", true),
        ("--targets y.npy --loss softmax-focal", true),
        ("--targets t.npy", false),
        ("--targets t.npy --loss sigmoid", false),
        ("", false),
    ] {
        report(&folder, options);
        let page = Page::of(&folder);
        assert_eq!(page.has_table("Rows by their largest probability"), has_one, "{options}");
        assert_eq!(page.0.contains("Reliability diagram"), has_one, "{options}");
    }
    let nan: Vec<f32> =
        a.iter().enumerate().map(|(i, x)| if i == 9 { f32::NAN } else { *x }).collect();
    folder.save("b.npy", &[20, 4], &nan);
    report(&folder, "--targets y.npy");
    assert!(Page::of(&folder).0.contains(" 1 rows without a largest probability are left out."));
}

#[test]
fn the_histogram_counts_steps() {
    let mut random = Random::new(73);
    let a: Vec<i8> = (0..2000).map(|_| (20.0 * random.normal()).clamp(-90.0, 90.0) as i8).collect();
    let steps = [0, 0, 0, 0, 1, 1, -1, 3, -30, 17];
    let b: Vec<i8> = a.iter().map(|q| q + steps[(10.0 * random.next()) as usize]).collect();
    let folder = Folder::new();
    folder.save("a.npy", &[200, 10], &a);
    folder.save("b.npy", &[200, 10], &b);
    let (_, json) = report(&folder, "--reference-scale 0.1 --candidate-scale 0.1");
    let rows = Page::of(&folder).table("Elements by error");
    let count = |step: i8| a.iter().zip(&b).filter(|(a, b)| **b - **a == step).count();
    for (label, lsb) in [("≤ -16", -30), ("≥ 16", 17), ("0", 0), ("1", 1), ("-1", -1), ("3", 3)]
    {
        let row = rows.iter().find(|row| row[0] == label).expect("a bin");
        assert_eq!(row[1], count(lsb).to_string(), "{label}");
        let bins = json["lsb_histogram"].as_array().expect("bins");
        let bin = bins.iter().find(|bin| bin["lsb"] == lsb.clamp(-16, 16)).expect("a bin");
        assert_eq!(bin["elements"], count(lsb));
    }
    assert_eq!(rows.len(), 33);
    let sum: usize = rows.iter().map(|row| row[1].parse::<usize>().unwrap()).sum();
    assert_eq!(sum, 2000);
}

#[test]
fn without_a_scale_the_histogram_counts_powers_of_two() {
    let mut random = Random::new(74);
    let a: Vec<f64> = (0..600).map(|_| random.normal()).collect();
    let b: Vec<f64> = a
        .iter()
        .enumerate()
        .map(|(i, x)| match i % 6 {
            0 => *x,
            1 => x + 0.25,
            2 => f64::NAN,
            _ => x + random.normal() * 2_f64.powi(-(i as i32 % 5)),
        })
        .collect();
    let folder = Folder::new();
    folder.save("a.npy", &[60, 10], &a);
    folder.save("b.npy", &[60, 10], &b);
    report(&folder, "");
    let off: Vec<f64> =
        a.iter().zip(&b).map(|(a, b)| (a - b).abs()).filter(|off| !off.is_nan()).collect();
    assert_eq!(off.len(), 500);
    let rows = Page::of(&folder).table("Elements by error");
    for row in &rows {
        let inside = |off: &&f64| match row[0].as_str() {
            "0" => **off == 0.0,
            name if name.starts_with("&lt;") => {
                let power = name.trim_start_matches("&lt; 2^").parse().unwrap();
                **off > 0.0 && **off < 2_f64.powi(power)
            }
            name => {
                let power: i32 = name.trim_start_matches("2^").parse().unwrap();
                (2_f64.powi(power)..2_f64.powi(power + 1)).contains(*off)
            }
        };
        assert_eq!(row[1], off.iter().filter(inside).count().to_string(), "{row:?}");
    }
    let sum: usize = rows.iter().map(|row| row[1].parse::<usize>().unwrap()).sum();
    assert_eq!(sum, 500);
}

#[test]
fn powers_far_below_the_largest_are_one_bar() {
    let folder = Folder::new();
    let (a, b) = ([0.0_f64; 8], [8.0, 1.0, 1e-3, 1e-6, 1e-7, 1e-9, 5e-324, 0.0]);
    folder.save("a.npy", &[1, 8], &a);
    folder.save("b.npy", &[1, 8], &b);
    report(&folder, "");
    let rows = Page::of(&folder).table("Elements by error");
    // From 2^-20, which is 9.5e-7, to 2^3.
    assert_eq!(rows[0], ["0", "1"]);
    assert_eq!(rows[1], ["&lt; 2^-20", "3"]);
    assert_eq!(rows[2], ["2^-20", "1"]);
    assert_eq!(rows.last().unwrap(), &["2^3", "1"]);
    assert_eq!(rows.len(), 26);
}

#[test]
fn predictions_are_a_matrix_of_few_classes_and_a_table_of_many() {
    for classes in [3_usize, 20, 21] {
        let (folder, a, b, _) = models(classes, 150);
        let (_, json) = report(&folder, "");
        let page = Page::of(&folder);
        let predicted = |x: &[f32]| -> Vec<usize> {
            let row = |row: &[f32]| largest(&row.iter().map(|x| f64::from(*x)).collect::<Vec<_>>());
            x.chunks(classes).map(row).collect()
        };
        let pairs: Vec<(usize, usize)> = predicted(&a).into_iter().zip(predicted(&b)).collect();
        let changed = pairs.iter().filter(|(a, b)| a != b).count();
        assert!(changed > 1);
        assert!(page.0.contains(&format!("{changed} of 150 rows are predicted differently.")));
        let matrix =
            "Rows by predicted class: the reference&#39;s down, the candidate&#39;s across";
        let most_frequent = "The most frequent changes, at most 10";
        assert_eq!(page.has_table(matrix), classes <= 20);
        assert_eq!(page.has_table(most_frequent), classes > 20);
        if classes > 20 {
            let changes = json["changes"].as_array().expect("changes");
            assert!(changes.len() > 10);
            let rows = page.table(most_frequent);
            assert_eq!(rows.len(), 10);
            for (row, change) in rows.iter().zip(changes) {
                let expected = ["from", "to", "rows"].map(|name| change[name].to_string());
                assert_eq!(*row, expected);
            }
            continue;
        }
        for (from, row) in page.table(matrix).iter().enumerate() {
            assert_eq!(row[0], from.to_string());
            for (to, found) in row[1..].iter().enumerate() {
                let count = pairs.iter().filter(|pair| **pair == (from, to)).count();
                let found = if found.is_empty() { 0 } else { found.parse().unwrap() };
                assert_eq!(found, count, "{from} {to}");
            }
        }
    }
    let (folder, ..) = models(3, 20);
    folder.run("compare --reference a.npy --candidate a.npy --report r.html");
    let page = Page::of(&folder);
    assert!(page.0.contains("All 20 rows are predicted the same."));
    assert!(page.0.contains("No row differs."));
}

#[test]
fn figures_and_worst_rows_are_those_of_the_object() {
    let (folder, ..) = models(12, 80);
    let (_, json) = report(&folder, "--targets y.npy --top-k 3");
    let page = Page::of(&folder);
    for (name, key) in
        [("loss", "loss"), ("accuracy", "accuracy"), ("accuracy of the top 3", "top_k_accuracy")]
    {
        let row = page.row("Both sides", name);
        for (found, side) in row.iter().zip(["reference", "candidate"]) {
            assert_eq!(float(found), json[format!("{side}_{key}")].as_f64().unwrap(), "{name}");
        }
    }
    for (name, found) in [
        ("rows with the same prediction, share", &json["agreement"]),
        ("largest, absolute", &json["worst_abs"]["distance"]),
        ("largest, relative", &json["worst_rel"]["distance"]),
        ("largest, ULP", &json["worst_ulp"]["distance"]),
        ("mean, absolute", &json["mean_abs"]),
        ("SQNR, dB", &json["sqnr_db"]),
        ("KL divergence, mean, nats", &json["mean_kl"]),
        ("KL divergence, largest, nats", &json["worst_rows"][0]["kl"]),
    ] {
        assert_eq!(float(&page.row("Differences", name)[0]), found.as_f64().unwrap(), "{name}");
    }
    let worst = json["worst_rows"].as_array().expect("rows");
    assert_eq!(worst.len(), 10);
    for row in worst {
        let shown = page.table(&format!("Row {}", row["row"]));
        assert_eq!(shown.len(), 10);
        for cells in shown {
            let class: usize = cells[0].parse().unwrap();
            for (cell, side) in cells[1..].iter().zip(["reference", "candidate"]) {
                assert_eq!(float(cell), row[side][class].as_f64().unwrap());
            }
        }
    }
    assert_eq!(page.0.matches("the 10 classes that differ most").count(), 10);
    // Two bars for each class, the histogram's, and nothing else.
    let bars = page.0.matches("<rect").count();
    let of_histogram = page.table("Elements by error").iter().filter(|row| row[1] != "0").count();
    assert_eq!(bars, 10 * 10 * 2 + of_histogram);
}

#[test]
fn the_verdict_is_on_top_with_every_tolerance() {
    let (folder, ..) = models(5, 40);
    let (status, json) = report(
        &folder,
        "--targets y.npy --max-abs 9 --max-rel 0.5 --max-ulp 3 --max-changed 1% --max-loss-difference 5",
    );
    assert_eq!(status, Some(1));
    let page = Page::of(&folder);
    let verdict = page.between("<h1 class=\"outside\">", "</h1>");
    assert_eq!(verdict, "Outside the tolerance: --max-ulp, --max-changed");
    let rows = page.table("Tolerances, all of which must hold");
    let found = |row: usize| float(&rows[row][2]);
    let verdicts: Vec<(&str, &str)> =
        rows.iter().map(|row| (row[0].as_str(), row[3].as_str())).collect();
    assert_eq!(
        verdicts,
        [
            ("--max-ulp", "does not hold"),
            ("--max-abs and --max-rel", "holds"),
            ("--max-loss-difference", "holds"),
            ("--max-changed", "does not hold"),
        ]
    );
    assert_eq!(found(0), json["worst_ulp"]["distance"].as_f64().unwrap());
    assert_eq!(found(1), json["worst_abs"]["distance"].as_f64().unwrap());
    let losses = ["reference_loss", "candidate_loss"].map(|name| json[name].as_f64().unwrap());
    assert_eq!(found(2), (losses[0] - losses[1]).abs());
    assert_eq!(found(3), json["changed_rows"].as_f64().unwrap());
    assert_eq!(rows[1][1], "9 + 0.5 × |reference|");
    assert_eq!(rows[3][1], "1 % of the rows");

    report(&folder, "--max-abs 9");
    assert_eq!(Page::of(&folder).between("<h1 class=\"within\">", "</h1>"), "Within the tolerance");
    report(&folder, "");
    let page = Page::of(&folder);
    assert_eq!(page.between("<h1 class=\"none\">", "</h1>"), "No tolerance given");
    assert!(!page.has_table("Tolerances, all of which must hold"));
}

#[test]
fn causes_are_on_the_page() {
    let (folder, a, ..) = models(5, 40);
    let twice: Vec<f32> = a.iter().map(|x| 2.0 * x).collect();
    folder.save("b.npy", &[40, 5], &twice);
    let (_, json) = report(&folder, "");
    assert_eq!(json["causes"][0]["name"], "factor");
    let evidence = json["causes"][0]["evidence"].as_str().expect("a text");
    let line = format!("<li><strong>factor</strong>: {evidence}</li>");
    assert!(Page::of(&folder).0.contains(&line));
}

#[cfg(unix)]
#[test]
fn names_of_files_are_text() {
    let (folder, ..) = models(3, 10);
    let strange = "<script>alert('1')&\"\u{1}.npy";
    std::fs::rename(folder.path("b.npy"), folder.path(strange)).expect("another name");
    let outcome =
        folder.run(&format!("compare --reference a.npy --candidate {strange} --report r.html"));
    assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
    let page = Page::of(&folder).0;
    let shown = "&lt;script&gt;alert(&#39;1&#39;)&amp;&quot;\u{fffd}.npy";
    assert_eq!(page.matches(shown).count(), 2, "{page}");
    assert!(!page.contains("<script"));
}

#[test]
fn the_page_needs_nothing_else() {
    let (folder, ..) = models(4, 30);
    report(&folder, "--targets y.npy");
    let page = Page::of(&folder).0;
    assert!(
        page.starts_with("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">")
    );
    for needed in ["<title>", "name=\"viewport\"", "prefers-color-scheme: dark"] {
        assert!(page.contains(needed), "{needed}");
    }
    // The name of SVG is no address that is opened.
    let others = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    for unwanted in ["<script", "://", "src=", "href=", "url(", "@import", "onload"] {
        assert!(!others.contains(unwanted), "{unwanted}");
    }
    for tag in ["table", "svg", "figure", "section", "div", "tr", "details", "data", "main"] {
        let open =
            page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(open, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
    assert_eq!(page.matches("<table").count(), page.matches("<caption>").count());
}

#[test]
fn numbers_that_cannot_be_drawn_do_not_stop_the_page() {
    let folder = Folder::new();
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    for (a, b) in [
        ([nan, 1.0, 2.0], [nan, nan, nan]),
        ([inf, 1.0, -inf], [1.0, -inf, inf]),
        ([1e308, -1e308, 0.0], [-1e308, 1e308, 1.0]),
        ([5e-324, 0.0, 0.0], [0.0, 5e-324, 0.0]),
        ([nan, nan, nan], [1.0, 2.0, 3.0]),
        ([nan; 3], [nan; 3]),
        ([0.0; 3], [0.0; 3]),
    ] {
        folder.save("a.npy", &[1, 3], &a);
        folder.save("b.npy", &[1, 3], &b);
        folder.save("y.npy", &[1], &[1_u8]);
        for options in ["", "--targets y.npy", "--loss sigmoid"] {
            let (status, _) = report(&folder, options);
            assert_eq!(status, Some(0), "{a:?} {b:?}");
            let page = Page::of(&folder).0;
            assert!(page.ends_with("</html>\n"), "{a:?} {b:?}");
            let pictures: Vec<&str> = page.split("<svg").skip(1).collect();
            for picture in pictures {
                let picture = picture.split("</svg>").next().expect("a picture");
                assert!(!picture.contains("=\"NaN\"") && !picture.contains("=\"inf"), "{picture}");
            }
        }
    }
}

#[test]
fn an_input_is_not_replaced() {
    let (folder, ..) = models(3, 10);
    folder.save("w.npy", &[10], &[1.0_f32; 10]);
    folder.save("c.npy", &[3], &[1.0_f32; 3]);
    let options = "--targets y.npy --sample-weights w.npy --class-weights c.npy";
    let compare = format!("compare --reference a.npy --candidate b.npy {options}");
    for input in ["a.npy", "b.npy", "y.npy", "w.npy", "c.npy", "./a.npy"] {
        let before = std::fs::read(folder.path(input)).expect("an array");
        folder.refused(&format!("{compare} --report {input}"), &[input, "is an input"]);
        assert_eq!(std::fs::read(folder.path(input)).expect("an array"), before);
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(folder.path("a.npy"), folder.path("l.html")).expect("a link");
        folder.refused(&format!("{compare} --report l.html"), &["l.html", "is an input"]);
    }
    folder.refused(&format!("{compare} --report -"), &["only an input"]);
    folder.refused(&format!("{compare} --report no/r.html"), &["no/r.html", "no folder"]);
    folder.refused(&format!("{compare} --report ./"), &["expected a file"]);
}

#[test]
fn a_comparison_that_fails_writes_no_page() {
    let (folder, a, _, mut labels) = models(3, 10);
    folder.save("short.npy", &[9, 3], &a[..27]);
    labels[7] = 3;
    folder.save("wrong.npy", &[10], &labels);
    folder.save("none.npy", &[10], &[0.0_f32; 10]);
    for (options, words) in [
        ("--candidate b.npy --targets wrong.npy", &["wrong.npy", "row 7"][..]),
        ("--candidate short.npy", &["short.npy", "shape"]),
        ("--candidate b.npy --sample-weights none.npy", &["nothing was compared"]),
        ("--candidate b.npy --max-lsb 1", &["--candidate-scale"]),
        ("--candidate gone.npy", &["gone.npy"]),
    ] {
        for is_there in [false, true] {
            if is_there {
                std::fs::write(folder.path("r.html"), "what was there").expect("a file");
            }
            folder.refused(&format!("compare --reference a.npy {options} --report r.html"), words);
            if is_there {
                let kept = std::fs::read_to_string(folder.path("r.html")).expect("a file");
                assert_eq!(kept, "what was there");
                std::fs::remove_file(folder.path("r.html")).expect("a file");
            }
        }
    }
}

#[test]
fn the_object_is_the_same_with_and_without_a_page() {
    let (folder, ..) = models(6, 50);
    let compare =
        "compare --reference a.npy --candidate b.npy --targets y.npy --max-abs 0.1 --json";
    let without = folder.run(compare);
    assert!(!folder.files().contains(&"r.html".to_owned()));
    let with = folder.run(&format!("{compare} --report r.html"));
    assert_eq!((with.status, with.stdout), (without.status, without.stdout));
}
